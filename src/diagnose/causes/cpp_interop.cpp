// cpp_interop: C++ (LibTorch) or another language cannot read what Python wrote, or the reverse.
//
//   torch.save         pickle in a zip: data.pkl          -> torch.load, tenon; in C++ torch::pickle_load for plain
//   tensors torch.jit.save     code/ and constants.pkl            -> torch.jit.load, torch::jit::load torch::save (C++)
//   an archive of names                -> torch::load
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kWays = "convert to a format that both sides read    tenon convert FILE out.safetensors";

constexpr Reading kReadings[] = {
    {Symptom::CppArchive, 0.9, "the C++ module tree and the archive do not have the same names",
     "torch::load asks the archive for each registered submodule and parameter by name",
     "compare names: register_module names in C++ against the file's    tenon inspect FILE"},
    {Symptom::CppValue, 0.92, "C++ reads a value of another kind than it expects",
     "an OrderedDict or a module pickled by Python is no plain dict or tensor to LibTorch's unpickler",
     "save a plain dict of tensors, or convert    tenon convert FILE out.safetensors"},
    {Symptom::OtherLanguage, 0.85, "the reader is another language's and wants its own format",
     "bindings have formats of their own, or want metadata that Python's files do not have", kWays},
    {Symptom::StateDictToJit, 0.62, "a file of torch.save does not load as an archive of C++ or TorchScript",
     "torch::jit::load and torch::load read archives; torch.save writes a pickle",
     "export with torch.jit.script or trace, or convert    tenon convert FILE out.safetensors"},
    {Symptom::ArchiveToPickle, 0.55, "a C++ or TorchScript archive does not load as a state dict in Python",
     "its classes live in the archive", kWays},
    {Symptom::AbsentOperator, 0.6, "the C++ program does not have an operator that the archive calls",
     "operators of an extension library must be linked and registered",
     "link the library, and keep the linker from dropping it"},
    {Symptom::NativeProgram, 0.88,
     "a program that is not Python does not read the file, or does not find its names in it",
     "LibTorch and its bindings read archives of names; what Python writes is a pickle of another make", kWays},
    {Symptom::CppTrace, 0.6, "C++ and Python do not read each other's files here",
     "LibTorch and PyTorch of other versions, or formats of two kinds", kWays},
};

}  // namespace

std::optional<Finding> find_cpp_interop(const Case& facts) {
  if (facts.text == nullptr || facts.text->tells_keys()) return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
