// Listings of checkpoints: the index of a file as names that a model could want.
#include <tenon/listing.hpp>

#include <map>
#include <tuple>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "model/script/script_blueprint.hpp"

namespace tenon {
namespace {

/// Tensors of one place in one storage are tied: the later ones carry the name of the first.
class Ties {
 public:
  std::string first_of(const TensorInfo& tensor, const std::string& name) {
    if (tensor.storage == kNoStorage) return {};
    const auto [at, is_new] =
        first_.try_emplace({tensor.storage, tensor.offset_bytes, tensor.shape, tensor.stride}, name);
    return is_new ? std::string() : at->second;
  }

 private:
  std::map<std::tuple<std::uint32_t, std::uint64_t, Shape, Stride>, std::string> first_;
};

Role role_of(const TensorInfo& tensor) {
  if (tensor.type == "torch.nn.Parameter" || tensor.type == "torch.nn.parameter.Parameter") return Role::Parameter;
  return Role::Unknown;
}

Error no_such_state_dict(const Checkpoint& checkpoint, std::string_view path) {
  std::vector<std::string_view> paths;
  for (const Container& container : checkpoint.containers())
    if (container.tensor_count > 0) paths.push_back(container.path);
  const auto near = base::nearest(path, paths, 3);
  return Error(Code::NotFound, {checkpoint.file(), {}, std::string(path), {}}, "no tensor stands below this path",
               "a state dict of the file", near.empty() ? "no state dict" : base::join(near, ", "));
}

/// A damaged blueprint must not keep anybody from the tensors: it is reported instead.
void attach_blueprint(Listing& listing, const Checkpoint& checkpoint) {
  if (checkpoint.blueprint_json().empty()) return;
  try {
    auto blueprint = parse_blueprint(checkpoint.blueprint_json(), checkpoint.file());
    listing.class_name = blueprint.class_name;
    listing.blueprint = std::make_shared<const Blueprint>(std::move(blueprint));
  } catch (const Error& error) {
    listing.blueprint_problem = error.what_happened + (error.where.key.empty() ? "" : " (" + error.where.key + ")");
  }
}

/// The code in an archive tells of its function where no blueprint was written.
void tell_from_code(Listing& listing, const Checkpoint& checkpoint) {
  if (!checkpoint.blueprint_json().empty()) return;
  auto blueprint = model::script_blueprint(checkpoint, listing.tensors, listing.warnings);
  if (!blueprint) return;
  listing.tensors = blueprint->tensors;
  listing.class_name = blueprint->class_name;
  listing.blueprint = std::make_shared<const Blueprint>(std::move(*blueprint));
}

}  // namespace

Listing list(const Checkpoint& checkpoint) { return list(checkpoint, {}); }

Listing list(const Checkpoint& checkpoint, std::string_view path) {
  Listing listing;
  listing.label = checkpoint.file();
  listing.values = checkpoint;
  listing.state_dict = std::string(path);
  attach_blueprint(listing, checkpoint);
  const std::string prefix = path.empty() ? std::string() : std::string(path) + ".";
  Ties ties;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    TensorSpec spec{tensor.name.substr(prefix.size()), tensor.dtype, tensor.shape, role_of(tensor), {}};
    spec.tied_to = ties.first_of(tensor, spec.name);
    spec.requires_grad = tensor.requires_grad;
    if (layout_name(tensor.shape, tensor.stride) != "row-major") spec.stride = tensor.stride;
    listing.tensors.push_back(std::move(spec));
    listing.value_names.push_back(tensor.name);
  }
  if (path.empty()) tell_from_code(listing, checkpoint);
  if (!path.empty() && listing.tensors.empty()) throw no_such_state_dict(checkpoint, path);
  return listing;
}

}  // namespace tenon
