// Described models through the same way as all others: Listing, Blueprint, Snapshot, save; and back.
#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>

#include <tenon/describe.hpp>
#include <tenon/error.hpp>
#include <tenon/probe.hpp>

#include "base/text.hpp"

namespace tenon {
namespace {

Tensor view_of(const DescribedTensor& row) {
  Tensor tensor;
  tensor.dtype = row.dtype;
  tensor.shape = row.shape;
  tensor.stride = row.stride;
  tensor.storage = row.bytes;
  return tensor;
}

/// For each tensor the index of the first that is the same memory in the same form.
std::vector<std::size_t> first_of_same(const std::vector<DescribedTensor>& tensors) {
  std::map<std::tuple<const void*, DType, Shape, Stride>, std::size_t> seen;
  std::vector<std::size_t> first;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const DescribedTensor& row = tensors[i];
    const bool is_empty = row.bytes.empty();  // has no place of its own
    first.push_back(is_empty ? i
                             : seen.try_emplace({row.bytes.data(), row.dtype, row.shape, row.stride}, i).first->second);
  }
  return first;
}

std::vector<TensorSpec> specs_of(const Description& model) {
  const auto first = first_of_same(model.tensors());
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const DescribedTensor& row = model.tensors()[i];
    const std::string tied_to = first[i] == i ? std::string() : model.tensors()[first[i]].name;
    specs.push_back({row.name, row.dtype, row.shape, row.role, tied_to});
  }
  return specs;
}

JsonMembers environment() {
#if defined(__clang__)
  const std::string compiler = "Clang " + std::to_string(__clang_major__);
#elif defined(__GNUC__)
  const std::string compiler = "GCC " + std::to_string(__GNUC__);
#else
  const std::string compiler = "unknown";
#endif
  return {{"compiler", as_json(std::string_view(compiler))}, {"framework", as_json(std::string_view("plain"))}};
}

/// A pair that fits in name and shape; `stored` in the model's dtype.
struct Pair {
  const DescribedTensor* wanted;
  Tensor stored;
};

[[noreturn]] void refuse(const std::string& path, std::string found, std::string next) {
  throw Error(Code::Invalid, {path, {}, {}, {}}, "the checkpoint does not fit, nothing was loaded",
              "every name, shape and dtype, and the modules with their options", std::move(found), std::move(next));
}

void compare_functions(const Listing& stored, const Description& model, const std::string& path) {
  if (!stored.blueprint) return;
  const auto changes = architecture_changes(*stored.blueprint, blueprint(model));
  for (const ArchitectureChange& change : changes)
    refuse(path,
           base::plural(changes.size(), "difference") +
               " between the models, first: " + (change.module.empty() ? std::string("the model") : change.module) +
               ", " + change.what + " " + std::string(kind_name(change.kind)),
           "check() has them all with their causes");
}

void compare_names(const Listing& stored, const Description& model, const std::string& path) {
  std::unordered_map<std::string_view, const TensorSpec*> offered;
  for (const TensorSpec& spec : stored.tensors) offered.emplace(spec.name, &spec);
  std::vector<std::string> missing, mismatched;
  for (const DescribedTensor& row : model.tensors()) {
    const auto found = offered.find(row.name);
    if (found == offered.end())
      missing.push_back(row.name);
    else if (found->second->shape != row.shape)
      mismatched.push_back(row.name);
  }
  const std::size_t unexpected = stored.tensors.size() + missing.size() - model.tensors().size();
  if (missing.empty() && mismatched.empty() && unexpected == 0) return;
  const std::string first = !missing.empty() ? missing.front() : !mismatched.empty() ? mismatched.front() : "";
  refuse(path,
         std::to_string(missing.size()) + " missing, " + std::to_string(unexpected) + " unexpected, " +
             std::to_string(mismatched.size()) + " mismatched" + (first.empty() ? "" : ", first: " + first),
         "check() has the causes and a plan; tenon adapt makes a file that fits");
}

std::vector<Pair> pairs_of(const Listing& stored, const Description& model, const Acceptance& accept,
                           const std::string& path) {
  if (!stored.values) refuse(path, "a blueprint, which has no values", "give the checkpoint");
  std::unordered_map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < stored.tensors.size(); ++i) index.emplace(stored.tensors[i].name, i);
  std::vector<Pair> pairs;
  for (const DescribedTensor& row : model.tensors()) {
    Tensor values = stored.values->tensor(stored.value_names[index.at(row.name)]);
    if (values.dtype != row.dtype) {
      const CastLoss loss = cast_loss(values, row.dtype);
      if (loss.changed > 0 && !accept.lossy)
        refuse(path,
               row.name + ": " + std::string(dtype_name(values.dtype)) + " to " + std::string(dtype_name(row.dtype)) +
                   " changes " + base::plural(loss.changed, "value"),
               "set accept.lossy, or keep the model in " + std::string(dtype_name(values.dtype)));
      values = cast(values, row.dtype);
    }
    pairs.push_back({&row, std::move(values)});
  }
  return pairs;
}

/// Row-major elements into the model's own memory, which may lie otherwise.
void copy_into(const DescribedTensor& row, const TensorView& stored) {
  const auto width = static_cast<std::uint64_t>(dtype_bits(row.dtype) / 8);
  if (row.stride == dense_stride(row.shape)) {
    copy_dense(stored, row.bytes.first(static_cast<std::size_t>(byte_size(row.shape, row.dtype))));
    return;
  }
  std::vector<std::byte> dense(static_cast<std::size_t>(byte_size(row.shape, row.dtype)));
  copy_dense(stored, dense);
  const std::int64_t count = element_count(row.shape);
  for (std::int64_t flat = 0; flat < count; ++flat) {
    std::int64_t place = 0, rest = flat;
    for (std::size_t axis = row.shape.size(); axis-- > 0; rest /= row.shape[axis])
      place += rest % row.shape[axis] * row.stride[axis];
    std::memcpy(row.bytes.data() + static_cast<std::uint64_t>(place) * width,
                dense.data() + static_cast<std::uint64_t>(flat) * width, width);
  }
}

}  // namespace

Listing list(const Description& model) {
  Listing listing;
  listing.class_name = listing.label = model.modules().front().type;
  listing.tensors = specs_of(model);
  listing.blueprint = std::make_shared<const Blueprint>(blueprint(model));
  return listing;
}

Blueprint blueprint(const Description& model, const std::vector<TensorView>& inputs,
                    const std::vector<TensorView>& outputs) {
  Blueprint result;
  result.class_name = model.modules().front().type;
  result.tensors = specs_of(model);
  result.modules = model.modules();
  result.environment = environment();
  if (inputs.empty() || outputs.empty()) return result;
  Probe probe;
  for (const TensorView& input : inputs)
    probe.inputs.push_back(probe_input(std::to_string(probe.inputs.size()), input));
  for (const TensorView& output : outputs)
    probe.outputs.push_back(probe_output(std::to_string(probe.outputs.size()), output));
  for (const DescribedTensor& row : model.tensors()) probe.state.push_back(fingerprint(row.name, view_of(row)));
  set_tolerances(probe);
  note_other_batch(probe);
  result.probe = std::move(probe);
  return result;
}

SaveReport save(const Description& model, const std::string& path, const SaveOptions& options) {
  return save(model, path, blueprint(model), options);
}

SaveReport save(const Description& model, const std::string& path, const Blueprint& blueprint,
                const SaveOptions& options) {
  Snapshot snapshot;
  snapshot.blueprint_json = to_json(blueprint);
  snapshot.containers.push_back({.path = {}, .type = "dict", .parent = 0, .key = {}});
  const auto first = first_of_same(model.tensors());
  for (std::size_t i = 0; i < first.size(); ++i) {
    const DescribedTensor& row = model.tensors()[i];
    SnapshotTensor tensor;
    tensor.name = row.name;
    tensor.dtype = row.dtype;
    tensor.shape = row.shape;
    tensor.load = [view = view_of(row)] { return view; };
    tensor.storage = first[i];
    snapshot.tensors.push_back(std::move(tensor));
  }
  snapshot.containers.front().tensor_count = snapshot.tensors.size();
  SaveOptions with_format = options;
  with_format.format = format_from_suffix(path).value_or(options.format);
  return save(snapshot, path, with_format);
}

Report check(const Description& model, const std::string& path, const OpenOptions& options) {
  return diagnose(read_listing(path, options), list(model));
}

std::size_t load(const Description& model, const std::string& path, const Acceptance& accept,
                 const OpenOptions& options) {
  const Listing stored = read_listing(path, options);
  compare_names(stored, model, path);
  compare_functions(stored, model, path);
  const auto pairs = pairs_of(stored, model, accept, path);
  for (const Pair& pair : pairs) copy_into(*pair.wanted, pair.stored);
  return pairs.size();
}

}  // namespace tenon
