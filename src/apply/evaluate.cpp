#include "apply/evaluate.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "apply/steps.hpp"
#include "base/text.hpp"
#include "tensor/numbers.hpp"
#include "tensor/reshape.hpp"

namespace tenon::apply_plan {
namespace {

Error no_values(const std::string& key, const std::string& file) {
  return Error(Code::Invalid, {file, {}, key, {}}, "the plan needs values that are not there", "a tensor with bytes",
               "none");
}

/// The name in the checkpoint of the one leaf below `node`; "" where there is none.
std::string leaf_name(const RecipeNode& node, const Values& values) {
  if (const auto* leaf = std::get_if<FromCheckpoint>(&node.step)) {
    const auto index = values.stored(leaf->index);
    return index ? values.checkpoint().tensors()[*index].name : std::string();
  }
  return node.inputs.empty() ? std::string() : leaf_name(*node.inputs.front(), values);
}

/// A number, or a list of numbers, that stands below a quantised tensor: as an object or as a tensor.
std::vector<double> part_of(const std::string& name, const std::string& part, const Values& values) {
  const std::string full = name + "." + part;
  if (const auto index = values.checkpoint().find(full)) return tensor::numbers(values.checkpoint().tensor(*index));
  for (const Object& object : values.checkpoint().objects()) {
    if (object.name != full) continue;
    if (const auto* number = std::get_if<double>(&object.value.is)) return {*number};
    if (const auto* number = std::get_if<std::int64_t>(&object.value.is)) return {static_cast<double>(*number)};
  }
  return {};
}

Tensor dequantized(const Tensor& input, const std::string& name, const Values& values) {
  const bool per_channel = !part_of(name, "<scales>", values).empty();
  const auto scales = part_of(name, per_channel ? "<scales>" : "<scale>", values);
  const auto zeros = part_of(name, per_channel ? "<zero_points>" : "<zero_point>", values);
  const auto axis = part_of(name, "<axis>", values);
  const double at = axis.empty() ? 0 : axis.front();
  const auto rank = static_cast<double>(input.shape.size());
  const bool has_axis = !per_channel || (at >= 0 && at < rank);
  const std::size_t dim = per_channel && has_axis ? static_cast<std::size_t>(at) : 0;
  const std::size_t wanted = per_channel && has_axis ? static_cast<std::size_t>(input.shape[dim]) : 1;
  if (!has_axis || scales.size() != wanted || zeros.size() != wanted)
    throw Error(Code::Invalid, {values.checkpoint().file(), {}, name, {}},
                "the scale of the quantised tensor is not in the checkpoint", std::to_string(wanted),
                std::to_string(scales.size()) + " scales, " + std::to_string(zeros.size()) + " zero points");
  return dequantize(input, scales, zeros, dim);
}

/// Carries out one step on the values of its inputs.
class Evaluation {
 public:
  Evaluation(const RecipeNode& node, const Values& values, const std::string& name)
      : node_(node), values_(values), name_(name) {}

  Tensor operator()(const FromCheckpoint& leaf) const {
    const auto index = values_.stored(leaf.index);
    if (!index) throw no_values(name_, values_.checkpoint().file());
    return values_.checkpoint().tensor(*index);
  }
  Tensor operator()(const FromTarget&) const {
    auto tensor = own();
    if (!tensor || (node_.shape && tensor->shape != *node_.shape)) throw no_values(name_, "the target");
    return *tensor;
  }
  Tensor operator()(const Permute& step) const { return tensor::permuted(input(0), step.dims); }
  Tensor operator()(const View&) const { return tensor::viewed(input(0), shape()); }
  Tensor operator()(const Slice& step) const { return tensor::sliced(input(0), step.dim, step.first, step.length); }
  Tensor operator()(const Concatenate& step) const { return tensor::concatenated(inputs(), step.dim); }
  Tensor operator()(const Convert& step) const {
    const Tensor before = input(0);
    const DType dtype = node_.dtype.value_or(before.dtype);
    if (before.dtype == dtype) return before;
    if (step.must_keep_values)
      if (const CastLoss loss = cast_loss(before, dtype); loss.changed > 0)
        throw Error(Code::Refused, {values_.checkpoint().file(), {}, name_, {}},
                    "a cast that is said to be exact changes values", "0 values changed",
                    base::count_text(loss.changed) + " of " + base::count_text(loss.elements),
                    "mark the operation lossy, and accept it with --accept lossy");
    return cast(before, dtype);
  }
  Tensor operator()(const Interpolate& step) const { return interpolate(input(0), step, shape()); }
  Tensor operator()(const FillRows& step) const {
    auto rows = step.fill == RowFill::Mean ? std::nullopt : own();
    if (rows && rows->shape != shape()) rows.reset();
    if (!rows && step.fill == RowFill::Target && shape()[0] > node_.inputs[0]->shape->front())
      throw no_values(name_, "the target");
    return fill_rows(input(0), shape()[0], rows);
  }
  Tensor operator()(const AddLora& step) const {
    const std::vector<Tensor> all = inputs();
    double scale = 0;
    if (step.scale) {
      scale = *step.scale;
    } else if (step.has_alpha) {
      scale = tensor::numbers(all[3]).front() / static_cast<double>(all[1].shape[0]);
    } else if (values_.adapter()) {
      if (values_.adapter()->fan_in_fan_out && !step.fan_in_fan_out && all[1].shape.size() == 2)
        throw Error(Code::Invalid, {values_.checkpoint().file(), {}, name_, {}},
                    "the operation and adapter_config.json tell different layouts of the weight",
                    "\"fan_in_fan_out\": true, as in adapter_config.json", "false",
                    "correct the operation, or give it its \"scale\"");
      scale = values_.adapter()->scale(leaf_name(*node_.inputs[1], values_), all[1].shape[0]);
    } else {
      throw Error(Code::Invalid, {values_.checkpoint().file(), {}, name_, {}},
                  "nothing tells the scale of the low-rank matrices",
                  "a \"scale\" or \"alpha\" in the operation, or adapter_config.json beside the file", "none of them");
    }
    return add_lora(all, scale, step.fan_in_fan_out);
  }
  Tensor operator()(const DequantizeStored&) const {
    if (const Tensor stored = input(0); is_block_dtype(stored.dtype)) return tenon::dequantized(stored);
    return dequantized(input(0), leaf_name(*node_.inputs[0], values_), values_);
  }
  Tensor operator()(const FoldNorm& step) const { return fold_norm(inputs(), step); }
  Tensor operator()(const MultiplyNorm&) const { return multiply_norm(input(0), input(1)); }
  Tensor operator()(const TakeNorm&) const { return take_norm(input(0), shape()); }
  Tensor operator()(const SpreadChannels&) const { return spread_channels(input(0), shape()); }

 private:
  Tensor input(std::size_t index) const { return evaluate(*node_.inputs[index], values_, name_); }
  std::vector<Tensor> inputs() const {
    std::vector<Tensor> all;
    for (const Recipe& one : node_.inputs) all.push_back(evaluate(*one, values_, name_));
    return all;
  }
  std::optional<Tensor> own() const {
    const auto index = values_.own(name_);
    return index ? std::optional(values_.target().tensor(*index)) : std::nullopt;
  }
  const Shape& shape() const {
    TENON_ASSERT(node_.shape.has_value());
    return *node_.shape;
  }

  const RecipeNode& node_;
  const Values& values_;
  const std::string& name_;
};

}  // namespace

Tensor evaluate(const RecipeNode& node, const Values& values, const std::string& name) {
  return std::visit(Evaluation(node, values, name), node.step);
}

}  // namespace tenon::apply_plan
