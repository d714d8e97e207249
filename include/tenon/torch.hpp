// The bridge to LibTorch: saves live modules and optimizers, loads any checkpoint that tenon reads into them.
//
//   save(module, path)             parameters and buffers, under LibTorch's names
//   check(module, path) -> Report  does the file fit, and if not, why
//   load(module, path)             all or nothing: every check comes before the first copy
//
// Part of the target tenon::torch (`find_package(tenon COMPONENTS torch)`), which is compiled from source against the
// program's own LibTorch, 1.13 to 2.x. Every function turns c10::Error into tenon::Error. None is safe to call while
// another thread writes to the same module or optimizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <tenon/checkpoint.hpp>
#include <tenon/diagnose.hpp>
#include <tenon/error.hpp>
#include <tenon/listing.hpp>
#include <tenon/plan.hpp>
#include <tenon/save.hpp>
#include <tenon/snapshot.hpp>

namespace tenon::torch {

/// What load() may do with a checkpoint that does not fit as it is.
enum class Repair : std::uint8_t {
  No,     ///< names, shapes and dtypes must fit
  Exact,  ///< carries out the part of check()'s plan that changes no value; what is left then must fit
};

/// What load() does where the file's blueprint says another function than the module's modules and options.
enum class Function : std::uint8_t {
  Check,   ///< refuses: names and shapes alone would load it in silence
  Ignore,  ///< loads all the same, and reports the differences
};

/// When load() compares the values with the digests and checksums of their file.
enum class Checking : std::uint8_t {
  First,         ///< all of them before the first one is copied: damage leaves the module as it was
  WhileReading,  ///< each tensor on its way into the module: one pass instead of two, and an error about damage leaves
                 ///< a module that is loaded in part. Names, shapes, dtypes and ties are still checked before
};

struct LoadOptions {
  Repair repair = Repair::No;
  Checking checking = Checking::First;
  Function function = Function::Check;
  Acceptance accept = {};  ///< `lossy`: dtype changes may round; `guess`: with Repair::Exact, guessed operations, too
  OpenOptions open = {};
};

/// What a load did.
struct LoadReport {
  std::size_t loaded = 0;                        ///< tensors of the module or optimizer that took the file's values
  std::vector<std::string> kept;                 ///< names that keep the model's own values, because the plan says so
  std::vector<std::string> dropped;              ///< names of the file that were left out, because the plan says so
  std::vector<DTypeChange> dtype_changes;        ///< with the loss, measured: none unless lossy changes were accepted
  Plan plan;                                     ///< what was carried out; empty where the file fitted as it was
  std::vector<ArchitectureChange> architecture;  ///< how the file's model differs, where that was ignored
  std::shared_ptr<const Blueprint> blueprint;    ///< of the file; null without one. set_parent() takes it
};

/// A checkpoint does not fit. Nothing was changed. `report` has every name, the causes and the plan; render_text()
/// makes a page of it.
class LoadError : public Error {
 public:
  LoadError(const std::string& file, Report why, const std::string& what_is_wrong, std::string next_step)
      : Error(Code::Invalid, {.file = file, .member = {}, .key = {}, .byte = {}},
              "the checkpoint does not fit, nothing was loaded", "every name, shape and dtype to fit", what_is_wrong,
              std::move(next_step)),
        report(std::move(why)) {}

  Report report;
};

/// The tensors that `module` wants: parameters, then buffers, of each module before its children. Names are LibTorch's
/// (`conv1.weight`), a tensor registered twice is `tied_to` its first name. Undefined ones (the bias of a layer built
/// without) do not count. Throws Error Unsupported for a dtype that tenon has no name for.
Listing list(const ::torch::nn::Module& module);

/// Saves the parameters and buffers of `module`, from any device.
///
/// The suffix of `path` names the format (.safetensors; .pt .pth .bin .ckpt), where it says nothing options.format
/// does. Tied tensors share one storage where the format knows sharing. A blueprint without run goes into the file
/// (tenon/torch_blueprint.hpp has the one with a run and a probe). Throws Error Refused, with every name, for a
/// module without tensors, meta tensors, tensors without elements and layouts other than strided; and whatever
/// tenon::save throws.
SaveReport save(const ::torch::nn::Module& module, const std::string& path, const SaveOptions& options = {});

/// What save() writes, as a snapshot that keeps the tensors alive and reads them when it is saved: for AsyncSaver,
/// which copies them at once. Throws Error Refused as save() does.
Snapshot snapshot(const ::torch::nn::Module& module);

/// Does the checkpoint fit `module`? Reads metadata only, and values where dtypes differ; never changes the module.
/// Optimizer state that save() put beside a module is left out of the comparison. Throws what open() throws.
Report check(const ::torch::nn::Module& module, const std::string& path, const OpenOptions& options = {});

/// Copies a checkpoint of any format that tenon reads into `module`: values only, gradients and requires_grad stay.
///
/// Order: open; compare names, shapes, dtypes; touch every needed tensor, so that the archive's checksums are verified;
/// copy, straight from the mapping into the parameters (on any device), so that memory does not grow with the file.
/// When it throws, nothing was changed (but see Checking). Where the file has a blueprint of LibTorch's, modules and
/// options must be the same, too (options.function). A dtype change that loses no value is made and reported, one that
/// does needs accept.lossy. Throws LoadError (does not fit), Error Invalid (module tensors that cannot be written:
/// meta, expanded, inference), Corrupt, Unsupported, and whatever open() throws.
LoadReport load(::torch::nn::Module& module, const std::string& path, const LoadOptions& options = {});

// Optimizers: SGD, Adam and AdamW. Their state is kept by the parameter's name in `module`, so that it finds its way
// back when parameters are registered or grouped in another order; the options of their groups (learning rate, betas)
// come with it, as they do in PyTorch. docs/formats/optimizer_state.md has the names.

/// Saves module and optimizer state in one file; load(module, path) reads the module of it alone.
SaveReport save(const ::torch::nn::Module& module, const ::torch::optim::Optimizer& optimizer, const std::string& path,
                const SaveOptions& options = {});

/// Saves the optimizer state alone. Throws as save() does; Error Invalid where the optimizer holds parameters that
/// `module` does not, Unsupported for other optimizers.
SaveReport save_optimizer(const ::torch::nn::Module& module, const ::torch::optim::Optimizer& optimizer,
                          const std::string& path, const SaveOptions& options = {});

/// Restores what save_optimizer() or save() wrote. All or nothing, as load() is: missing and unexpected names, shapes
/// and dtypes are one LoadError, and so are parameters that share a group here and had other options when they were
/// saved. Steps, running averages and options are taken bit for bit; options.repair and options.checking have no
/// meaning here.
LoadReport load_optimizer(const ::torch::nn::Module& module, ::torch::optim::Optimizer& optimizer,
                          const std::string& path, const LoadOptions& options = {});

}  // namespace tenon::torch
