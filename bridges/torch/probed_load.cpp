// load_and_probe: the load, then the file's own probe; a model that computes something else gets its tensors back.
#include <cstring>
#include <memory>
#include <utility>

#include <tenon/torch_blueprint.hpp>

#include "torch/door.hpp"
#include "torch/dtypes.hpp"
#include "torch/optimizer_state.hpp"
#include "torch/state.hpp"

namespace tenon::torch {

using namespace torch_bridge;

namespace {

/// The inputs that a probe ran on, where it says enough: all values, or the generator's seed.
std::optional<Example> inputs_of(const Probe& probe) {
  Example example;
  std::vector<InputSpec> specs;
  for (const ProbeTensor& row : probe.inputs) {
    const auto type = scalar_type_of(row.dtype);
    if (!type) return {};
    specs.push_back({row.shape, *type, 2});
    const auto count = static_cast<std::size_t>(element_count(row.shape));
    if (row.values.size() == count && !::torch::isComplexType(*type))
      example.inputs.push_back(::torch::tensor(row.values, ::torch::kFloat64).to(*type).reshape(row.shape));
  }
  if (example.inputs.size() == probe.inputs.size()) return example;
  const bool all_floating = std::all_of(specs.begin(), specs.end(),
                                        [](const InputSpec& spec) { return ::torch::isFloatingType(spec.dtype); });
  if (probe.seed && all_floating) return example_inputs(*probe.seed, specs);
  return {};
}

/// A copy of every tensor, to go back to.
class Backup {
 public:
  explicit Backup(const ::torch::nn::Module& module) {
    for (const NamedTensor& row : named_tensors(module)) rows_.emplace_back(row.tensor, row.tensor.detach().clone());
  }
  void restore() const {
    const ::torch::NoGradGuard no_grad;
    for (const auto& [live, before] : rows_) live.copy_(before);
  }

 private:
  std::vector<std::pair<::torch::Tensor, ::torch::Tensor>> rows_;
};

/// Floating inputs in the dtype that the model computes in.
std::vector<::torch::Tensor> in_dtype_of(const ::torch::nn::Module& module, std::vector<::torch::Tensor> inputs) {
  for (const NamedTensor& row : named_tensors(module)) {
    if (row.role != Role::Parameter || !row.tensor.is_floating_point()) continue;
    for (::torch::Tensor& input : inputs)
      if (input.is_floating_point()) input = input.to(row.tensor.scalar_type());
    break;
  }
  return inputs;
}

Report report_of(const Blueprint& own, const ::torch::nn::Module& module, const std::string& path,
                 const OpenOptions& options) {
  Listing wanted = list(module);
  wanted.blueprint = std::make_shared<const Blueprint>(own);
  return diagnose(part_of(read_listing(path, options), Part::Module), wanted);
}

ProbedLoad load_probed(::torch::nn::Module& module, const Forward& forward, const std::string& path,
                       const LoadOptions& options, const std::vector<::torch::Tensor>& given) {
  const std::shared_ptr<const Blueprint> stored = read_listing(path, options.open).blueprint;
  const Backup backup(module);
  ProbedLoad result;
  result.load = load(module, path, options);
  if (!stored || !stored->probe) {
    result.why_not = "the file has no probe";
    return result;
  }
  std::optional<Example> example = given.empty() ? inputs_of(*stored->probe) : Example{given};
  if (!example) {
    result.why_not = "the file keeps a digest of the inputs only: give the inputs";
    return result;
  }
  example->inputs = in_dtype_of(module, std::move(example->inputs));
  try {
    const Blueprint own = blueprint(module, forward, *example);
    result.probe = compare_probes(*stored, own, &result.why_not);
    if (!own.probe && !own.left_out.empty()) result.why_not = own.left_out.back();
    const bool is_other = result.probe && result.probe->verdict == ProbeVerdict::OtherFunction;
    if (!is_other || options.function == Function::Ignore) return result;
    throw LoadError(path, report_of(own, module, path, options.open), result.probe->detail,
                    "read the causes in the error's report; Function::Ignore loads it all the same");
  } catch (...) {
    backup.restore();  // also when forward throws: the weights were made for another model
    throw;
  }
}

}  // namespace

Report check(const ::torch::nn::Module& module, const Blueprint& own, const std::string& path,
             const OpenOptions& options) {
  return at_the_door(path, [&] { return report_of(own, module, path, options); });
}

ProbedLoad load_and_probe(::torch::nn::Module& module, const Forward& forward, const std::string& path,
                          const LoadOptions& options, const std::vector<::torch::Tensor>& inputs) {
  return at_the_door(path, [&] { return load_probed(module, forward, path, options, inputs); });
}

}  // namespace tenon::torch
