// save: live tensors -> Snapshot -> the durable save. LibTorch's serialisation is not involved.
#include <functional>
#include <utility>

#include <tenon/torch_blueprint.hpp>

#include "torch/door.hpp"
#include "torch/optimizer_state.hpp"
#include "torch/state.hpp"

namespace tenon::torch {

using namespace torch_bridge;

namespace {

SaveOptions with_format_of(const std::string& path, SaveOptions options) {
  options.format = format_from_suffix(path).value_or(options.format);
  return options;
}

/// `blueprint_json` is asked for after the tensors have been looked at: their refusals say more.
Snapshot snapshot_of(const std::vector<NamedTensor>& tensors, const std::string& path,
                     const std::function<std::string()>& blueprint_json) {
  check_savable(tensors, path);
  Snapshot snapshot;
  snapshot.blueprint_json = blueprint_json();
  snapshot.containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  add_tensors(snapshot, tensors);
  return snapshot;
}

SaveReport save_tensors(
    const std::vector<NamedTensor>& tensors, const std::string& path, const SaveOptions& options,
    const std::function<std::string()>& blueprint_json = [] { return std::string(); }) {
  return tenon::save(snapshot_of(tensors, path, blueprint_json), path, with_format_of(path, options));
}

}  // namespace

Snapshot snapshot(const ::torch::nn::Module& module) {
  return at_the_door(
      {}, [&] { return snapshot_of(named_tensors(module), {}, [&] { return to_json(blueprint(module)); }); });
}

SaveReport save(const ::torch::nn::Module& module, const std::string& path, const SaveOptions& options) {
  return at_the_door(path, [&] {
    return save_tensors(named_tensors(module), path, options, [&] { return to_json(blueprint(module)); });
  });
}

SaveReport save(const ::torch::nn::Module& module, const std::string& path, const Blueprint& blueprint,
                const SaveOptions& options) {
  return at_the_door(
      path, [&] { return save_tensors(named_tensors(module), path, options, [&] { return to_json(blueprint); }); });
}

SaveReport save(const ::torch::nn::Module& module, const ::torch::optim::Optimizer& optimizer, const std::string& path,
                const SaveOptions& options) {
  return at_the_door(path, [&] {
    auto tensors = named_tensors(module);
    check_savable(tensors, path);
    for (const NamedTensor& tensor : tensors)
      if (is_optimizer_name(tensor.name))
        throw Error(Code::Refused, {.file = path, .member = {}, .key = tensor.name, .byte = {}},
                    "a tensor of the module has a name that optimizer state takes",
                    "no name of the module to start with " + std::string(kOptimizerPrefix), {},
                    "save the optimizer in a file of its own: save_optimizer()");
    for (NamedTensor& row : optimizer_tensors(module, optimizer)) tensors.push_back(std::move(row));
    return save_tensors(tensors, path, options, [&] { return to_json(blueprint(module, {.optimizer = &optimizer})); });
  });
}

SaveReport save_optimizer(const ::torch::nn::Module& module, const ::torch::optim::Optimizer& optimizer,
                          const std::string& path, const SaveOptions& options) {
  return at_the_door(path, [&] { return save_tensors(optimizer_tensors(module, optimizer), path, options); });
}

}  // namespace tenon::torch
