// apply: a plan carried out on values. Names, shapes and dtypes come from the rehearsal; here every target tensor gets
// a recipe for its bytes, which runs when it is saved. Nothing is read before that.
#include <tenon/plan.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <tenon/error.hpp>

#include "base/text.hpp"

namespace tenon {
namespace {

/// Reads one tensor of a checkpoint, cast where the plan says so. Holds the checkpoint open.
struct Recipe {
  Checkpoint checkpoint;
  std::size_t index = 0;
  DType dtype = DType::Float32;

  Tensor operator()() const {
    Tensor tensor = checkpoint.tensor(index);
    return tensor.dtype == dtype ? tensor : cast(tensor, dtype);
  }
};

/// Where a listing's tensors lie in its checkpoint.
class Source {
 public:
  explicit Source(const Listing& listing) : listing_(listing) {
    if (!listing.values) return;
    TENON_ASSERT(listing.value_names.size() == listing.tensors.size());
  }

  /// The tensor's index in the checkpoint; nothing where there are no bytes.
  std::optional<std::size_t> find(std::size_t index) const {
    if (!listing_.values) return std::nullopt;
    const auto found = listing_.values->find(listing_.value_names[index]);
    if (!found || listing_.values->tensors()[*found].storage == kNoStorage) return std::nullopt;
    return found;
  }

  SnapshotTensor tensor(std::size_t index, const std::string& name, DType dtype) const {
    const TensorInfo& info = listing_.values->tensors()[index];
    SnapshotTensor tensor;
    tensor.name = name;
    tensor.dtype = dtype;
    tensor.shape = info.shape;
    tensor.load = Recipe{*listing_.values, index, dtype};
    tensor.requires_grad = info.requires_grad;
    return tensor;
  }

 private:
  const Listing& listing_;
};

/// Tensors that are one place of one storage, in one dtype, stay one in what is written.
class Sharing {
 public:
  void number(SnapshotTensor& tensor, const Checkpoint& checkpoint, std::size_t index) {
    const TensorInfo& info = checkpoint.tensors()[index];
    const std::string place = std::to_string(info.storage) + " " + std::to_string(info.offset_bytes) + " " +
                              base::shape_text(info.shape) + base::shape_text(info.stride) +
                              std::string(dtype_name(tensor.dtype)) +
                              (info.encoding.is_plain() ? "" : " encoded " + std::to_string(index));
    tensor.storage = numbers_.try_emplace(place, numbers_.size()).first->second;
  }

 private:
  std::unordered_map<std::string, std::uint64_t> numbers_;
};

void require_casts(const Rehearsal& rehearsal, const Listing& checkpoint) {
  for (const Planned& planned : rehearsal.tensors) {
    const auto from = checkpoint.tensors[planned.source].dtype, to = planned.spec.dtype;
    if (from && to && *from != *to && !can_cast(*from, *to))
      throw Error(Code::Invalid, {checkpoint.label, {}, planned.spec.name, {}},
                  "the plan casts between types that tenon does not convert", "float, integer, bool or complex types",
                  std::string(dtype_name(*from)) + " to " + std::string(dtype_name(*to)),
                  "take the cast out of the plan");
  }
}

/// KeepTarget may match nothing in the checkpoint, but then it must match something in the target.
void require_kept(const Rehearsal& rehearsal, const Plan& plan, const Listing& checkpoint, const Listing& target) {
  for (const std::string& pattern : rehearsal.kept_patterns) {
    const auto matches = [&](const TensorSpec& spec) { return base::glob_match(pattern, spec.name); };
    if (std::any_of(target.tensors.begin(), target.tensors.end(), matches)) continue;
    for (const Op& op : plan.ops)
      if (const auto* kept = std::get_if<KeepTarget>(&op.operation); kept != nullptr && kept->pattern == pattern)
        throw Error(Code::Invalid, {checkpoint.label, {}, {}, {}}, "an operation of the plan matches nothing",
                    "a tensor of the target that it keeps", to_json(op),
                    "take the operation out of the plan, or correct it");
  }
}

}  // namespace

ApplyResult apply(const Plan& plan, const Listing& checkpoint, const Listing& target) {
  if (!checkpoint.values)
    throw Error(Code::Invalid, {checkpoint.label, {}, {}, {}}, "a plan cannot be applied to a blueprint",
                "a checkpoint with values", "names, shapes and dtypes only", "give the checkpoint itself");
  const Rehearsal rehearsal = rehearse(plan, checkpoint);
  require_casts(rehearsal, checkpoint);
  require_kept(rehearsal, plan, checkpoint, target);

  std::unordered_map<std::string_view, const Planned*> planned;
  for (const Planned& tensor : rehearsal.tensors) planned.emplace(tensor.spec.name, &tensor);
  const Source saved(checkpoint), own(target);
  std::vector<bool> is_used(checkpoint.tensors.size(), false);
  Sharing sharing;
  ApplyResult result;
  result.snapshot.containers.resize(1);
  result.snapshot.containers.front().type = "dict";

  for (std::size_t i = 0; i < target.tensors.size(); ++i) {
    const TensorSpec& want = target.tensors[i];
    const auto found = planned.find(want.name);
    const bool fits = found != planned.end() && (!want.shape || want.shape == found->second->spec.shape);
    if (const auto index = fits ? saved.find(found->second->source) : std::nullopt) {
      is_used[found->second->source] = true;
      result.snapshot.tensors.push_back(
          saved.tensor(*index, want.name, found->second->spec.dtype.value_or(DType::Float32)));
      sharing.number(result.snapshot.tensors.back(), *checkpoint.values, *index);
    } else if (const auto kept = own.find(i)) {
      result.snapshot.tensors.push_back(own.tensor(*kept, want.name, target.values->tensors()[*kept].dtype));
      result.filled_from_target.push_back(want.name);
    } else {
      result.unfilled.push_back(want.name);
    }
  }
  result.snapshot.containers.front().tensor_count = result.snapshot.tensors.size();
  for (std::size_t i = 0; i < is_used.size(); ++i)
    if (!is_used[i]) result.dropped.push_back(checkpoint.tensors[i].name);
  return result;
}

}  // namespace tenon
