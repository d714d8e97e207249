#include <tenon/precision.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include <tenon/error.hpp>

#include "apply/evaluate.hpp"
#include "apply/values.hpp"
#include "tensor/words.hpp"

namespace tenon {
namespace {

bool is_floating(DType dtype) { return dtype_kind(dtype) == DTypeKind::Float && can_cast(dtype, DType::Float64); }
bool is_complex(DType dtype) { return dtype_kind(dtype) == DTypeKind::Complex; }

/// The complex type whose halves have this precision; bfloat16 and float8 have none.
std::optional<DType> complex_of(DType dtype) {
  if (dtype == DType::Float64) return DType::Complex128;
  if (dtype == DType::Float32) return DType::Complex64;
  if (dtype == DType::Float16) return DType::Complex32;
  return std::nullopt;
}

std::optional<DType> aim_for(DType from, DType wanted) {
  if (is_floating(from)) return wanted;
  return is_complex(from) ? complex_of(wanted) : std::nullopt;
}

/// The blueprint inside a snapshot names the dtypes that the file will have.
std::string with_dtypes(const std::string& blueprint_json, const std::unordered_map<std::string, DType>& dtypes) {
  if (blueprint_json.empty()) return blueprint_json;
  Blueprint blueprint = parse_blueprint(blueprint_json, "the checkpoint's blueprint");
  for (TensorSpec& spec : blueprint.tensors)
    if (const auto found = dtypes.find(spec.name); found != dtypes.end()) spec.dtype = found->second;
  return to_json(blueprint);
}

/// The losses of all casts in a recipe, from the leaves on.
void measure_casts(const RecipeNode& node, const apply_plan::Values& values, const std::string& name,
                   std::vector<DTypeChange>& changes) {
  for (const Recipe& input : node.inputs) measure_casts(*input, values, name, changes);
  if (!std::holds_alternative<Convert>(node.step) || !node.dtype) return;
  const RecipeNode& before = *node.inputs.front();
  if (!before.dtype || *before.dtype == *node.dtype) return;
  changes.push_back({name, *before.dtype, *node.dtype, {}});
  if (can_cast(*before.dtype, *node.dtype) && apply_plan::has_values(before, values, name))
    changes.back().loss = cast_loss(apply_plan::evaluate(before, values, name), *node.dtype);
}

}  // namespace

std::vector<DTypeChange> cast_losses(const Plan& plan, const Listing& checkpoint, const Listing& target) {
  const apply_plan::Values values(checkpoint, target);
  std::vector<DTypeChange> changes;
  for (const Planned& planned : rehearse(plan, checkpoint).tensors)
    if (planned.recipe) measure_casts(*planned.recipe, values, planned.spec.name, changes);
  return changes;
}

std::vector<DTypeChange> cast_floating(Snapshot& snapshot, DType dtype) {
  if (!is_floating(dtype))
    throw Error(Code::Invalid, {}, "values cannot be cast to this dtype", "float64, float32, float16, bfloat16, float8",
                std::string(dtype_name(dtype)), "name one of these");
  std::vector<DTypeChange> changes;
  std::unordered_map<std::string, DType> dtypes;
  for (SnapshotTensor& tensor : snapshot.tensors) {
    const auto to = aim_for(tensor.dtype, dtype);
    if (!to || *to == tensor.dtype) continue;
    DTypeChange change{tensor.name, tensor.dtype, *to, {}};
    if (!tensor.placeholder) change.loss = cast_loss(tensor.load(), *to);
    tensor.load = [load = std::move(tensor.load), to = *to] { return cast(load(), to); };
    tensor.storage.reset();  // a cast tensor has bytes of its own
    tensor.dtype = *to;
    dtypes.emplace(tensor.name, *to);
    changes.push_back(std::move(change));
  }
  if (!dtypes.empty()) snapshot.blueprint_json = with_dtypes(snapshot.blueprint_json, dtypes);
  return changes;
}

std::vector<std::string> dequantize_blocks(Snapshot& snapshot) {
  std::set<std::string_view> types;
  std::unordered_map<std::string, DType> dtypes;
  for (SnapshotTensor& tensor : snapshot.tensors) {
    if (!can_dequantize(tensor.dtype)) continue;
    types.insert(dtype_name(tensor.dtype));
    tensor.load = [load = std::move(tensor.load)] { return dequantized(load()); };
    tensor.storage.reset();
    tensor.dtype = DType::Float32;
    dtypes.emplace(tensor.name, DType::Float32);
  }
  if (!dtypes.empty()) snapshot.blueprint_json = with_dtypes(snapshot.blueprint_json, dtypes);
  return {types.begin(), types.end()};
}

bool loses_values(const std::vector<DTypeChange>& changes) {
  return std::any_of(changes.begin(), changes.end(),
                     [](const DTypeChange& change) { return !change.loss || !tensor::is_lossless(*change.loss); });
}

std::vector<LayoutChange> layout_changes(const Snapshot& snapshot, const Checkpoint& source, Format format) {
  std::map<std::uint64_t, std::size_t> users;
  for (const SnapshotTensor& tensor : snapshot.tensors)
    if (tensor.storage) ++users[*tensor.storage];
  std::vector<LayoutChange> changes;
  for (const SnapshotTensor& tensor : snapshot.tensors) {
    const auto index = source.find(tensor.name);
    if (!index || tensor.placeholder) continue;
    const TensorInfo& info = source.tensors()[*index];
    const bool keeps_view = format == Format::PytorchZip && tensor.storage && users[*tensor.storage] > 1;
    if (!keeps_view && layout_name(info.shape, info.stride) != "row-major")
      changes.push_back({tensor.name, info.shape, info.stride, dense_stride(info.shape)});
  }
  return changes;
}

}  // namespace tenon
