// blueprint: a live module -> what decides its function; with an example, one run of it, too.
#include <algorithm>
#include <chrono>
#include <cmath>
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

std::uint64_t bytes_of(const std::vector<::torch::Tensor>& tensors) {
  std::uint64_t bytes = 0;
  for (const ::torch::Tensor& tensor : tensors)
    if (tensor.defined()) bytes += static_cast<std::uint64_t>(tensor.numel()) * tensor.element_size();
  return bytes;
}

/// What `forward` does to its inputs in place stays here.
std::vector<::torch::Tensor> copies(const std::vector<::torch::Tensor>& tensors) {
  std::vector<::torch::Tensor> result;
  for (const ::torch::Tensor& tensor : tensors) result.push_back(tensor.defined() ? tensor.clone() : tensor);
  return result;
}

/// What the run wrote into the module is undone at the end, whichever way it is reached.
struct GiveBack {
  const Recording& recording;
  ~GiveBack() { give_back(recording); }
};

/// One run within its limits; a second one only where the first drew random numbers.
class Run {
 public:
  Run(Blueprint& blueprint, ::torch::nn::Module& module, const Forward& forward, const Example& example,
      const RunLimits& limits)
      : blueprint_(blueprint), module_(module), forward_(forward), example_(example), limits_(limits) {}

  void operator()() {
    if (const auto bytes = bytes_of(example_.inputs); bytes > limits_.bytes)
      return leave_out("operations and probe: the inputs have " + over(bytes));
    const auto state = named_tensors(module_);
    Probe probe;
    keep_inputs(probe, example_);
    Undisturbed guard(module_);
    const auto inputs = copies(example_.inputs);
    std::vector<::torch::Tensor> outputs;
    Recording recording = record(state, inputs, [&] { return outputs = forward_(inputs); },
                                 {started_ + std::chrono::duration_cast<Clock::duration>(limit()), limits_.operations});
    const GiveBack at_end{recording};
    const std::chrono::duration<double> took = Clock::now() - started_;
    if (took > limit()) return leave_out("operations and probe: the run took " + over(took.count()));
    keep_graph(recording);
    if (const auto bytes = bytes_of(example_.inputs) + bytes_of(outputs); bytes > limits_.bytes)
      return leave_out("probe: inputs and outputs have " + over(bytes));
    probe.outputs = rows_of(outputs);
    give_back(recording);
    if (guard.drew_numbers()) probe.is_deterministic = took * 2 <= limit() && repeats(probe);
    probe.modules = std::move(recording.samples);
    for (const NamedTensor& row : state)
      if (has_numbers(row.tensor)) probe.state.push_back(fingerprint(row.name, borrow(row.tensor)));
    set_tolerances(probe);
    note_other_batch(probe);
    blueprint_.probe = std::move(probe);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// More than a hundred years are no limit, and no clock counts them.
  std::chrono::duration<double> limit() const { return std::chrono::duration<double>(std::min(limits_.seconds, 3e9)); }

  std::string over(std::uint64_t bytes) const {
    return std::to_string(bytes) + " bytes, the limit is " + std::to_string(limits_.bytes);
  }
  std::string over(double seconds) const {
    return as_json(std::round(seconds * 10) / 10) + " s, the limit is " + as_json(limits_.seconds) + " s";
  }
  void leave_out(std::string what) { blueprint_.left_out.push_back(std::move(what)); }

  void keep_graph(Recording& recording) {
    blueprint_.graph = std::move(recording.graph);
    if (recording.is_full)
      leave_out("operations: only the first " + std::to_string(limits_.operations) + " are written down");
    for (Unsaved& row : recording.unsaved) blueprint_.unsaved.push_back(std::move(row));
  }

  bool repeats(const Probe& probe) const {
    return same_digests(probe.outputs, rows_of(forward_(copies(example_.inputs))));
  }

  Blueprint& blueprint_;
  ::torch::nn::Module& module_;
  const Forward& forward_;
  const Example& example_;
  const RunLimits& limits_;
  const Clock::time_point started_ = Clock::now();
};

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
    Run(result, module, forward, example, options.limits)();
    if (result.probe) result.probe->accepted = options.accepted;
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
