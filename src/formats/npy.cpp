// Rows for arrays: strides and places are computed from the header, no element is touched.
#include "formats/npy.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked.hpp"
#include "base/text.hpp"
#include "container/pickle_reader.hpp"
#include "formats/object_walk.hpp"

namespace tenon::formats {

namespace {

using Axes = std::vector<NpyField::Axis>;

/// Axes of the array itself; steps saturate for shapes without elements, of which none is ever addressed.
Axes outer_axes(const NpyHeader& header) {
  Axes axes(header.shape.size());
  std::uint64_t step = header.item_bytes;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t at = header.fortran_order ? i : axes.size() - 1 - i;
    axes[at] = {header.shape[at], step};
    const auto extent = static_cast<std::uint64_t>(std::max<std::int64_t>(header.shape[at], 1));
    step = base::checked_multiply(step, extent).value_or(INT64_MAX);
  }
  return axes;
}

/// Throws when the elements that the shape promises are not there.
void require_elements(const NpyArray& array) {
  const auto count = static_cast<std::uint64_t>(element_count(array.header.shape));
  const auto wanted = base::checked_multiply(count, array.header.item_bytes);
  const std::uint64_t found = array.nbytes - array.header.data_begin;
  const Where where{array.place.file, array.place.member, array.key.value_or(""), array.header.data_begin};
  if (!wanted || *wanted > found)
    throw Error(Code::Corrupt, where, "the array holds fewer elements than its shape says",
                wanted ? base::plural(*wanted, "byte") : "fewer than 2^64 bytes", base::plural(found, "byte"),
                "the file is cut short or damaged: fetch or save it again");
}

/// Steps in elements, as tensors have them; a field whose steps are no multiple of its width becomes bytes.
void set_view(TensorInfo& tensor, Axes axes) {
  const auto width = static_cast<std::uint64_t>(std::max<std::int64_t>(dtype_bytes(tensor.dtype), 1));
  const auto is_whole = [&](const NpyField::Axis& axis) { return axis.step_bytes % width == 0; };
  const bool whole = std::all_of(axes.begin(), axes.end(), is_whole);
  if (!whole) {
    tensor.type = std::string(dtype_name(tensor.dtype)) + " as bytes";
    tensor.dtype = DType::UInt8;
    tensor.encoding = {};
    axes.push_back({static_cast<std::int64_t>(width), 1});
  }
  for (const NpyField::Axis& axis : axes) {
    tensor.shape.push_back(axis.extent);
    const std::uint64_t step = axis.step_bytes / (whole ? width : 1);
    tensor.stride.push_back(static_cast<std::int64_t>(std::min<std::uint64_t>(step, INT64_MAX)));
  }
}

TensorInfo row_of(const NpyArray& array, const NpyField& field) {
  TensorInfo tensor;
  tensor.dtype = field.dtype;
  tensor.type = field.type;
  tensor.encoding.big_endian = field.big_endian;
  Axes axes = outer_axes(array.header);
  axes.insert(axes.end(), field.axes.begin(), field.axes.end());
  if (field.dtype == DType::String) {  // text has no fixed width in tenon's terms: listed without bytes
    for (const NpyField::Axis& axis : axes) tensor.shape.push_back(axis.extent);
    tensor.stride = dense_stride(tensor.shape);
    return tensor;
  }
  tensor.storage = array.storage;
  tensor.offset_bytes = array.header.data_begin + field.offset_bytes;
  set_view(tensor, std::move(axes));
  return tensor;
}

void add_row(TensorInfo tensor, std::uint32_t container, std::string key, CheckpointCore& core) {
  const std::string& path = core.containers[container].path;
  tensor.name = path.empty() ? key : path + "." + key;
  tensor.container = container;
  tensor.key_begin = static_cast<std::uint32_t>(tensor.name.size() - key.size());
  core.check(tensor);
  if (!tensor.type.empty())
    core.warnings.push_back((tensor.name.empty() ? "the array" : tensor.name) + " is of NumPy's type " + tensor.type +
                            ", listed as " + std::string(dtype_name(tensor.dtype)));
  core.tensors.push_back(std::move(tensor));
  ++core.containers[container].tensor_count;
}

/// The dict whose keys are the fields of a structured array.
std::uint32_t add_fields_container(const NpyArray& array, CheckpointCore& core) {
  const std::string key = array.key.value_or("");
  core.containers.push_back({.path = key, .type = "numpy.recarray", .parent = 0, .key = key});
  return static_cast<std::uint32_t>(core.containers.size() - 1);
}

}  // namespace

void add_npy_array(const NpyArray& array, CheckpointCore& core) {
  require_elements(array);
  const bool is_plain = array.header.fields.size() == 1 && array.header.fields.front().name.empty();
  if (is_plain && !array.key)  // the array itself is the top: it has no key and no name
    core.containers.push_back(
        {.path = {}, .kind = ContainerKind::TensorParts, .type = "numpy.ndarray", .parent = 0, .key = {}});
  if (is_plain) return add_row(row_of(array, array.header.fields.front()), 0, array.key.value_or(""), core);
  const std::uint32_t container = add_fields_container(array, core);
  for (const NpyField& field : array.header.fields) add_row(row_of(array, field), container, field.name, core);
}

void add_npy_objects(const NpyObjects& objects, CheckpointCore& core) {
  const container::PickleTree tree =
      container::read_pickle({objects.pickle, objects.place.file, objects.place.member, objects.byte}, core.limits);
  if (tree.stream_bytes() < objects.pickle.size())
    core.warnings.push_back(base::plural(objects.pickle.size() - tree.stream_bytes(), "byte") +
                            " follow the pickle of the array" +
                            (objects.place.member.empty() ? "" : " in " + objects.place.member));
  const PickleGraph graph(tree);
  const PickleOrigin origin{objects.place.member, objects.byte, objects.file_offset};
  const StorageFinder finder = [](const StorageClaim& claim, const Where& where) -> std::uint32_t {
    throw Error(Code::Corrupt, where, "the pickle of an array names a storage of PyTorch, which only its files have",
                {}, std::string(claim.key), "the file is forged, or was saved by another program");
  };
  walk_objects({graph, origin, finder, false, objects.key}, core);
}

std::shared_ptr<CheckpointCore> open_npy(const OpenRequest& request) {
  const auto bytes = request.file->bytes();
  const NpyPlace place{request.path, {}};
  const NpyHeader header = read_npy_header(bytes, place, request.options.limits);
  auto core = std::make_shared<CheckpointCore>();
  core->file = request.path;
  core->format = Format::Npy;
  core->format_version = header.version;
  core->file_bytes = bytes.size();
  core->files = {request.file};
  core->salvage = request.options.salvage;
  core->limits = request.options.limits;
  if (header.holds_objects) {
    add_npy_objects({bytes.subspan(header.data_begin), place, header.data_begin, header.data_begin, {}}, *core);
    return core;
  }
  core->storages.push_back({.id = {}, .member = {}, .nbytes = bytes.size(), .device = {}});
  core->storage_bytes.emplace_back();
  add_npy_array({header, place, 0, bytes.size(), {}}, *core);
  const std::uint64_t used =
      header.data_begin + static_cast<std::uint64_t>(element_count(header.shape)) * header.item_bytes;
  if (used < bytes.size()) core->warnings.push_back(base::plural(bytes.size() - used, "byte") + " follow the array");
  return core;
}

}  // namespace tenon::formats
