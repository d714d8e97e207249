#include "torch/state.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <tenon/error.hpp>

#include "torch/dtypes.hpp"
#include "torch/tensors.hpp"

namespace tenon::torch_bridge {
namespace {

void collect(const ::torch::nn::Module& module, const std::string& prefix, std::vector<NamedTensor>& into) {
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    if (item.value().defined()) into.push_back({prefix + item.key(), item.value(), Role::Parameter});
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    if (item.value().defined()) into.push_back({prefix + item.key(), item.value(), Role::Buffer});
  for (const auto& child : module.named_children()) collect(*child.value(), prefix + child.key() + ".", into);
}

/// Why a tensor cannot be saved; "" for one that can.
std::string unsavable(const NamedTensor& named) {
  const auto& tensor = named.tensor;
  if (tensor.is_meta()) return "meta, without values";
  if (tensor.layout() != ::torch::kStrided) return "not strided";
  if (!dtype_of(tensor.scalar_type())) return std::string("of dtype ") + ::torch::toString(tensor.scalar_type());
  // A buffer may be empty for a while; a parameter without elements is what sharded and lazy models leave behind.
  return named.role == Role::Parameter && tensor.numel() == 0 ? "without elements" : "";
}

bool expanded(const ::torch::Tensor& tensor) {
  for (std::int64_t axis = 0; axis < tensor.dim(); ++axis)
    if (tensor.size(axis) > 1 && tensor.stride(axis) == 0) return true;
  return false;
}

/// Why a tensor cannot be written to; "" for one that can.
std::string unwritable(const NamedTensor& named) {
  const auto& tensor = named.tensor;
  if (tensor.is_meta()) return "meta, without memory";
  if (tensor.layout() != ::torch::kStrided) return "not strided";
  if (!dtype_of(tensor.scalar_type())) return std::string("of dtype ") + ::torch::toString(tensor.scalar_type());
  if (expanded(tensor)) return "expanded: elements share memory";
  if (tensor.is_inference() && !c10::InferenceMode::is_enabled()) return "made in inference mode";
  return "";
}

/// `fc.weight (meta, without values)` for all that `why` has words for.
template <class Why>
std::vector<std::string> complaints(const std::vector<NamedTensor>& tensors, Why why) {
  std::vector<std::string> all;
  for (const auto& named : tensors)
    if (const auto reason = why(named); !reason.empty()) all.push_back(named.name + " (" + reason + ")");
  return all;
}

std::string joined(const std::vector<std::string>& names, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) text += (i ? ", " : "") + names[i];
  return text;
}

}  // namespace

std::vector<NamedTensor> named_tensors(const ::torch::nn::Module& module) {
  std::vector<NamedTensor> tensors;
  collect(module, "", tensors);
  return tensors;
}

std::vector<std::size_t> first_of_same(const std::vector<NamedTensor>& tensors) {
  using Identity = std::tuple<const void*, ::torch::ScalarType, std::vector<std::int64_t>, std::vector<std::int64_t>>;
  std::map<Identity, std::size_t> seen;
  std::vector<std::size_t> first(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& t = tensors[i].tensor;
    first[i] = i;
    // Meta tensors and empty ones have no memory to tell them apart by.
    if (t.layout() != ::torch::kStrided || t.is_meta() || t.numel() == 0) continue;
    first[i] =
        seen.emplace(Identity(t.data_ptr(), t.scalar_type(), t.sizes().vec(), t.strides().vec()), i).first->second;
  }
  return first;
}

Listing listing_of(const std::vector<NamedTensor>& tensors, std::string label) {
  Listing listing;
  listing.class_name = label;
  listing.label = std::move(label);
  const auto first = first_of_same(tensors);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto dtype = dtype_of(tensors[i].tensor.scalar_type());
    if (!dtype)
      throw Error(Code::Unsupported, {.file = {}, .member = {}, .key = tensors[i].name, .byte = {}},
                  "tenon has no name for the dtype of a live tensor", {},
                  ::torch::toString(tensors[i].tensor.scalar_type()));
    TensorSpec spec;
    spec.name = tensors[i].name;
    spec.dtype = dtype;
    spec.shape = tensors[i].tensor.sizes().vec();
    spec.role = tensors[i].role;
    if (tensors[i].tensor.layout() == ::torch::kStrided && !tensors[i].tensor.is_contiguous())
      spec.stride = tensors[i].tensor.strides().vec();
    if (first[i] != i) spec.tied_to = tensors[first[i]].name;
    listing.tensors.push_back(std::move(spec));
  }
  return listing;
}

void check_savable(const std::vector<NamedTensor>& tensors, const std::string& path) {
  if (tensors.empty())
    throw Error(Code::Refused, {.file = path, .member = {}, .key = {}, .byte = {}}, "there is nothing to save",
                "at least one parameter or buffer", "none",
                "register parameters and layers with register_parameter and register_module");
  const auto bad = complaints(tensors, unsavable);
  if (!bad.empty())
    throw Error(Code::Refused, {.file = path, .member = {}, .key = {}, .byte = {}},
                "tensors that hold no values to save", "values in every tensor", joined(bad, bad.size()),
                "give them values, or take them out of the module");
}

void check_writable(const std::vector<NamedTensor>& tensors, const std::string& file) {
  const auto bad = complaints(tensors, unwritable);
  if (!bad.empty())
    throw Error(Code::Invalid, {.file = file, .member = {}, .key = {}, .byte = {}},
                "the module has tensors that cannot be written to", "memory of their own", joined(bad, bad.size()),
                "make the module anew outside inference mode and meta device, then load");
}

void add_tensors(Snapshot& snapshot, const std::vector<NamedTensor>& tensors) {
  const auto first = first_of_same(tensors);
  const auto base = snapshot.tensors.size();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& live = tensors[i].tensor;
    SnapshotTensor row;
    row.name = tensors[i].name;
    row.dtype = *dtype_of(live.scalar_type());
    row.shape = live.sizes().vec();
    row.load = [live] { return borrow(live); };
    row.storage = base + first[i];
    if (tensors[i].role == Role::Parameter) row.requires_grad = live.requires_grad();
    snapshot.tensors.push_back(std::move(row));
  }
  snapshot.containers.front().tensor_count = snapshot.tensors.size();
}

std::string few(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  return joined(names, kMost) +
         (names.size() > kMost ? " and " + std::to_string(names.size() - kMost) + " more" : std::string());
}

}  // namespace tenon::torch_bridge
