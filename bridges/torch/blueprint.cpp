// blueprint: a live module -> what decides its function; with an example, one run of it, too.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include <tenon/probe.hpp>
#include <tenon/torch_blueprint.hpp>

#include "torch/door.hpp"
#include "torch/dtypes.hpp"
#include "torch/environment.hpp"
#include "torch/module_tree.hpp"
#include "torch/op_recorder.hpp"
#include "torch/state.hpp"
#include "torch/tensors.hpp"
#include "torch/undisturbed.hpp"

namespace tenon::torch {

using namespace torch_bridge;

namespace {

/// Groups by parameter name; a parameter that the module does not hold is state that no file keeps.
void add_optimizer(Blueprint& blueprint, const std::vector<NamedTensor>& state,
                   const ::torch::optim::Optimizer& optimizer) {
  std::unordered_map<const void*, std::string> names;
  for (const NamedTensor& row : state) names.emplace(row.tensor.unsafeGetTensorImpl(), row.name);
  std::size_t number = 0;
  for (const auto& group : optimizer.param_groups()) {
    OptimizerGroup row;
    if (group.has_options()) row.options = {{"lr", as_json(group.options().get_lr())}};
    for (const ::torch::Tensor& parameter : group.params()) {
      const auto found = names.find(parameter.unsafeGetTensorImpl());
      const std::string name =
          found != names.end() ? found->second : "<optimizer parameter " + std::to_string(number) + ">";
      if (found == names.end()) blueprint.unsaved.push_back({name, "parameter of the optimizer"});
      row.parameters.push_back(name);
      ++number;
    }
    blueprint.optimizer.push_back(std::move(row));
  }
}

bool has_numbers(const ::torch::Tensor& tensor) {
  return tensor.defined() && !tensor.is_meta() && tensor.layout() == ::torch::kStrided &&
         dtype_of(tensor.scalar_type()).has_value() && !tensor.is_quantized();
}

void keep_inputs(Probe& probe, const Example& example) {
  probe.seed = example.seed;
  for (std::size_t i = 0; i < example.inputs.size(); ++i)
    if (has_numbers(example.inputs[i]))
      probe.inputs.push_back(probe_input(std::to_string(i), borrow(example.inputs[i])));
}

std::vector<ProbeTensor> rows_of(const std::vector<::torch::Tensor>& outputs) {
  std::vector<ProbeTensor> rows;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (has_numbers(outputs[i])) rows.push_back(probe_output(std::to_string(i), borrow(outputs[i])));
  return rows;
}

bool same_digests(const std::vector<ProbeTensor>& a, const std::vector<ProbeTensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const ProbeTensor& x, const ProbeTensor& y) { return x.digest == y.digest; });
}

/// What `forward` does to its inputs in place stays here.
std::vector<::torch::Tensor> copies(const std::vector<::torch::Tensor>& tensors) {
  std::vector<::torch::Tensor> result;
  for (const ::torch::Tensor& tensor : tensors) result.push_back(tensor.defined() ? tensor.clone() : tensor);
  return result;
}

void give_back(const Recording& recording) {
  for (auto [tensor, before] : recording.written) tensor.copy_(before);
}

/// One run; a second one only where the first drew random numbers.
void run(Blueprint& blueprint, ::torch::nn::Module& module, const Forward& forward, const Example& example) {
  const auto state = named_tensors(module);
  Probe probe;
  keep_inputs(probe, example);
  Undisturbed guard(module);
  const auto inputs = copies(example.inputs);
  std::vector<::torch::Tensor> outputs;
  Recording recording = record(state, inputs, [&] { return outputs = forward(inputs); });
  probe.outputs = rows_of(outputs);
  give_back(recording);
  if (guard.drew_numbers()) {
    probe.is_deterministic = same_digests(probe.outputs, rows_of(forward(copies(example.inputs))));
    give_back(recording);
  }
  probe.modules = std::move(recording.samples);
  for (const NamedTensor& row : state)
    if (has_numbers(row.tensor)) probe.state.push_back(fingerprint(row.name, borrow(row.tensor)));
  note_other_batch(probe);
  blueprint.graph = std::move(recording.graph);
  for (Unsaved& row : recording.unsaved) blueprint.unsaved.push_back(std::move(row));
  blueprint.probe = std::move(probe);
}

Blueprint still(const ::torch::nn::Module& module, const BlueprintOptions& options) {
  const auto state = named_tensors(module);
  Blueprint blueprint;
  blueprint.class_name = class_name(module);
  blueprint.tensors = listing_of(state, blueprint.class_name).tensors;
  for (std::size_t i = 0; i < state.size(); ++i)
    if (state[i].role == Role::Parameter) blueprint.tensors[i].requires_grad = state[i].tensor.requires_grad();
  blueprint.modules = module_rows(module);
  blueprint.environment = environment();
  blueprint.training = options.training;
  if (options.optimizer != nullptr) add_optimizer(blueprint, state, *options.optimizer);
  return blueprint;
}

}  // namespace

namespace detail {

void refuse_inputs(std::size_t count) {
  throw Error(Code::Invalid, {}, "forward does not take that many tensors", {}, std::to_string(count),
              "give as many example inputs as forward takes, or write a Forward");
}

}  // namespace detail

Blueprint blueprint(const ::torch::nn::Module& module, const BlueprintOptions& options) {
  return at_the_door({}, [&] { return still(module, options); });
}

Blueprint blueprint(::torch::nn::Module& module, const Forward& forward, const Example& example,
                    const BlueprintOptions& options) {
  return at_the_door({}, [&] {
    Blueprint result = still(module, options);
    run(result, module, forward, example);
    result.probe->accepted = options.accepted;
    return result;
  });
}

Example example_inputs(std::uint64_t seed, const std::vector<InputSpec>& specs) {
  return at_the_door({}, [&] {
    Example example{{}, seed};
    std::uint64_t position = seed;
    for (const InputSpec& spec : specs) {
      const auto count = static_cast<std::uint64_t>(element_count(spec.shape));
      ::torch::Tensor flat;
      if (::torch::isIntegralType(spec.dtype, /*includeBool=*/true))
        flat = ::torch::tensor(probe_integers(position, count, spec.below), ::torch::kInt64);
      else
        flat = ::torch::tensor(probe_values(position, count), ::torch::kFloat64);
      example.inputs.push_back(flat.to(spec.dtype).reshape(spec.shape));
      position += count;
    }
    return example;
  });
}

}  // namespace tenon::torch
