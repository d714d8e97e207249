// Texts in which no known message stands are read by their words: what they are about, and what is wrong with it.
//
//   CUDA ... is not available             a device      and that it is not there
//   hidden_size ... is not equal to       an option     and that it differs
//   the accuracy drops after loading      a result      and that it changed; and no error is told
//
// A row needs one word of each of its two lists; the first row that has both speaks. The order is that of the
// questions: security, bytes, classes, versions, devices, saving, and only then the model.
#include <algorithm>
#include <span>

#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kAny[] = {""};
constexpr std::string_view kDanger[] = {"unsafe",   "dangerous",   "malicious", "untrusted",
                                        "security", "not allowed", "disallowed"};
constexpr std::string_view kPickled[] = {"pickle", "import", "global", "lambda", "eval", "code", "load"};
constexpr std::string_view kBroken[] = {"too small",        "empty file",    "corrupt",
                                        "truncated",        "incomplete",    "checksum",
                                        "damaged",          "broken file",   "unpack requires",
                                        "not enough data",  "no item named", "failed locating file data",
                                        "partial download", "404 client",    "http error",
                                        "httperror",        "bytes got",     " hash"};
constexpr std::string_view kQuantised[] = {"quantiz", "quantis", "4bit", "8bit", "int8",
                                           "int4",    "fp8",     "gptq", "awq",  "prepack"};
constexpr std::string_view kAdapter[] = {"lora", "adapter", "peft"};
constexpr std::string_view kOptimizer[] = {"optimizer", "adamw'",      "adam'",   "sgd'",
                                           "scheduler", "grad scaler", "momentum"};
constexpr std::string_view kShard[] = {"shard",           "world size",     "fsdp",         "deepspeed",
                                       "zero stage",      "model_states",   "optim_states", "megatron",
                                       "use_orig_params", "pipeline stage", "distributed"};
constexpr std::string_view kDevice[] = {"cuda",  "gpu",         "mps",    " npu",      "xpu",
                                        " hip ", "accelerator", "on cpu", "cpu tensor"};
constexpr std::string_view kNotThere[] = {"not available", "unavailable", "none is available", "no device",
                                          "is on cpu",     "is on cuda",  "to be on",          "out of memory",
                                          "not found",     "not support", "must be on",        "error"};
constexpr std::string_view kType[] = {"bfloat16",  "float16", "float32", "float64",        "half",     "dtype",
                                      "data type", "uint8",   "complex", "different type", "same type"};
constexpr std::string_view kUnfit[] = {"only support", "not support", "unsupported",  "expected",
                                       "but got",      "correctly",   "promot",       "cannot",
                                       "can't",        "mismatch",    "incompatible", "invalid"};
constexpr std::string_view kAge[] = {"version",        "too old", "outdated", "up to date", "please update",
                                     "please upgrade", "newer",   "older",    "legacy",     "opcode"};
constexpr std::string_view kFormat[] = {"checkpoint", "library", "format",   "file",   "graphdef", "gguf",
                                        "onnx",       "parse",   "protocol", "reader", "argument"};
constexpr std::string_view kAbsentCode[] = {
    "find class",    "class not found",    "not registered", "is not defined", "has no attribute", "not recognized",
    "unknown class", "cannot be imported", "not importable", "no such class",  "no class"};
constexpr std::string_view kCode[] = {"class", "module", "type object", "layer", "function", "name '", "registry"};
constexpr std::string_view kWriting[] = {"pickl", "serializ", "deepcopy"};
constexpr std::string_view kImpossible[] = {"only supported", "not supported", "can't",       "cannot",
                                            "fail",           "unable",        "not possible"};
constexpr std::string_view kSaving[] = {"save",     "saving",    "write", "writing",
                                        "iostream", "directory", "path",  "export"};
constexpr std::string_view kOption[] = {"config", "hidden_size", "n_layers", "num_layers", "heads", "layers", "hidden",
                                        "args",   "argument",    "option",   "hyper",      "param", "dim"};
constexpr std::string_view kOptionNames[] = {"in config",  "dimension",       "hidden_size", "n_layers",
                                             "num_layers", "attention heads", "n_embd",      "d_model"};
constexpr std::string_view kDiffers[] = {" but ",        "not match",  "not equal", "mismatch",
                                         "differ",       "but config", "specif",    "inconsistent",
                                         "incompatible", "instead of", "but class", "expected"};
constexpr std::string_view kModelKind[] = {"architecture",      "model type",    "model_type",      "backbone",
                                           "checkpoint is for", "another model", "different model", "wrong model"};
constexpr std::string_view kClasses[] = {"classes", "num_class", "nc=", "n_classes", "labels", "class sizes"};
constexpr std::string_view kVocabulary[] = {"vocab", "tokenizer", "added_tokens", "number of tokens",
                                            "token embeddings"};
constexpr std::string_view kPositions[] = {"position embed",   "positional embed", "position_embed", "pos_embed",
                                           "input resolution", "img_size",         "patch grid"};
constexpr std::string_view kLayouts[] = {"hwio",          "oihw",           "nhwc",        "nchw",
                                         "channels_last", "channels_first", "data_format", "transposed weight"};
constexpr std::string_view kCounts[] = {"mismatch",    "not match",    "differ",       "bigger than",
                                        "larger than", "smaller than", "greater than", "inconsistent",
                                        "resize",      "not equal",    "out of range"};
constexpr std::string_view kKind[] = {".safetensors", "a pickle",       "a function",  "state dict",
                                      "state_dict",   "ordereddict",    "a list",      "torchscript",
                                      "zipfile",      "read-only mode", "torch.tensor"};
constexpr std::string_view kKindDiffers[] = {"this is a", "is a function", "expected", "got",
                                             "not a ",    "cannot",        "only one", "instead"};
constexpr std::string_view kOwnState[] = {
    "not in the state", "missing from state_dict", "not created",    "build()",   "not saved",     "python list",
    "not a parameter",  "non-persistent",          "register param", "buffer is", "registered as", "lazily"};
constexpr std::string_view kChannels[] = {"channel", "in_chans", "in_channels"};
constexpr std::string_view kOfInput[] = {"first conv", "first layer", "input", "in_chans", "in_channels", "takes in"};
constexpr std::string_view kOneName[] = {"share the name", "same name", "duplicate", "name collision", "name clash"};
constexpr std::string_view kErrors[] = {"error", "exception", "traceback", "failed", "cannot"};
constexpr std::string_view kResults[] = {"image",  "sample", "generat",     "accuracy", "result", "predict",
                                         "output", "loss",   "performance", "metric",   "score",  "quality"};
constexpr std::string_view kChanges[] = {"noise",   "garbl",  "black",  "differ",       "wrong",      "drop",
                                         "worse",   "random", "change", "not the same", "bad ",       "inconsistent",
                                         "restart", " nan",   "zero",   "mismatch",     "same class", "back to"};
constexpr std::string_view kSilence[] = {"no error", "without error", "no warning", "silent"};

struct Reading {
  Symptom symptom;
  Words about, wrong;
};
constexpr Reading kReadings[] = {
    {Symptom::UnsafePickle, kDanger, kPickled},
    {Symptom::ClassCount, kClasses, kDiffers},
    {Symptom::VocabularySize, kVocabulary, kCounts},
    {Symptom::InputSize, kPositions, kDiffers},
    {Symptom::AxesTurned, kLayouts, kDiffers},
    {Symptom::InputWidth, kChannels, kOfInput},
    {Symptom::NameTaken, kOneName, kAny},
    {Symptom::QuantState, kQuantised, kAny},
    {Symptom::AdapterFiles, kAdapter, kAny},
    {Symptom::OptimizerOther, kOptimizer, kAny},
    {Symptom::ShardWords, kShard, kAny},
    {Symptom::OtherOption, kOptionNames, kDiffers},
    {Symptom::EarlyEnd, kBroken, kAny},
    {Symptom::FileVersion, kAge, kFormat},
    {Symptom::AbsentDevice, kDevice, kNotThere},
    {Symptom::Unpicklable, kWriting, kImpossible},
    {Symptom::ExtraStateWords, kOwnState, kAny},
    {Symptom::AbsentClass, kAbsentCode, kCode},
    {Symptom::NoKernel, kType, kUnfit},
    {Symptom::OtherConfig, kKind, kKindDiffers},
    {Symptom::OtherModel, kModelKind, kAny},
    {Symptom::OtherOption, kOption, kDiffers},
    {Symptom::WriteFailed, kSaving, kImpossible},
};

/// The last words of a text, which tell what is wrong; a traceback before them has many words.
std::string_view last_words(const PlainText& text) {
  constexpr std::size_t kMost = 600;
  const std::string_view flat = text.flat;
  return flat.size() > kMost ? flat.substr(flat.size() - kMost) : flat;
}

}  // namespace

void recognise_words(const PlainText& text, TextFacts& facts) {
  if (facts.tells_failure()) return;
  const std::string_view last = last_words(text);
  const std::string plain = lowered(last);
  const auto note = [&](Symptom symptom) { facts.note(symptom, {}, last); };
  const bool tells_error = has_any(plain, kErrors) && !has_any(plain, kSilence);
  if (!tells_error && has_any(plain, kResults) && has_any(plain, kChanges)) return note(Symptom::SilentWords);
  if (!tells_error && !has_any(plain, kImpossible) && !has_any(plain, kBroken) && !has_any(plain, kDanger) &&
      !has_any(plain, kOwnState) && !has_any(plain, kAge) && !has_any(plain, kDiffers))
    return;
  for (const Reading& reading : kReadings)
    if (has_any(plain, reading.about) && has_any(plain, reading.wrong)) return note(reading.symptom);
}

}  // namespace tenon::diagnosis
