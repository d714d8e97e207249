// PyTorch zip
//
//   R/data.pkl  R/byteorder  R/data/0  R/data/1 ...  R/version        R: base name of the output without its suffix
//   R/tenon.blueprint.json   where there is a blueprint: torch and LibTorch read only the records they know
//   R/tenon.digests          of every storage and of all else (formats/digests.hpp)
//
// data.pkl: protocol 2, plain dicts. A tensor is
//   torch._utils._rebuild_tensor_v2(('storage', torch.FloatStorage, '0', 'cpu', n), offset, size, stride,
//   requires_grad, OrderedDict())
// and _rebuild_tensor_v3 with an untyped storage and a dtype for types that have no storage class.
// Source: torch/serialization.py `_save`, torch/_utils.py, torch/_tensor.py `__reduce_ex__` of PyTorch 1.13 and 2.x.
#include "formats/torch_zip_writer.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/pickle_writer.hpp"
#include "container/zip_writer.hpp"
#include "formats/snapshot_tree.hpp"

namespace tenon::formats {

namespace {

using container::PickleWriter;

struct StorageClass {
  DType dtype;
  std::string_view name;
};
constexpr StorageClass kStorageClasses[] = {
    {DType::Float64, "DoubleStorage"},
    {DType::Float32, "FloatStorage"},
    {DType::Float16, "HalfStorage"},
    {DType::BFloat16, "BFloat16Storage"},
    {DType::Int64, "LongStorage"},
    {DType::Int32, "IntStorage"},
    {DType::Int16, "ShortStorage"},
    {DType::Int8, "CharStorage"},
    {DType::UInt8, "ByteStorage"},
    {DType::Bool, "BoolStorage"},
    {DType::Complex64, "ComplexFloatStorage"},
    {DType::Complex128, "ComplexDoubleStorage"},
};

const StorageClass* storage_class(DType dtype) {
  const auto found = std::find_if(std::begin(kStorageClasses), std::end(kStorageClasses),
                                  [&](const StorageClass& c) { return c.dtype == dtype; });
  return found == std::end(kStorageClasses) ? nullptr : found;
}

/// Quantised tensors need their scales in the same call; sub-byte and text types have no tensor in PyTorch.
bool can_hold(DType dtype) {
  return dtype_kind(dtype) != DTypeKind::Quantized && dtype_kind(dtype) != DTypeKind::Text && dtype_bytes(dtype) > 0;
}

// ---- where each tensor's bytes go

/// One record of the archive, and the tensors' views into it.
struct StoredView {
  std::uint32_t record = 0;
  std::uint64_t offset = 0;  ///< in elements
  Stride stride;
};

struct Record {
  std::uint64_t nbytes = 0;
  std::function<void(const Sink&)> write;
};

struct Storages {
  std::vector<Record> records;
  std::vector<StoredView> views;  ///< beside the snapshot's tensors
};

bool viewable(const Tensor& tensor, const Tensor& first) {
  return tensor.encoding.is_plain() && tensor.dtype == first.dtype && tensor.storage.data() == first.storage.data() &&
         tensor.storage.size() == first.storage.size() &&
         tensor.offset_bytes % static_cast<std::uint64_t>(dtype_bytes(tensor.dtype)) == 0 &&
         tensor.storage.size() % static_cast<std::uint64_t>(dtype_bytes(tensor.dtype)) == 0;
}

/// Gives every tensor a record of its own, dense, but those that share bytes: their storage is written once and they
/// view it.
class StoragePlanner {
 public:
  explicit StoragePlanner(const Snapshot& snapshot) : snapshot_(snapshot) {
    for (const SnapshotTensor& tensor : snapshot.tensors)
      if (tensor.storage) ++users_[*tensor.storage];
  }

  Storages plan() {
    for (const SnapshotTensor& tensor : snapshot_.tensors) {
      const bool shares = tensor.storage && users_[*tensor.storage] > 1;
      if (!shares || !add_shared(tensor)) add_dense(tensor);
    }
    return std::move(storages_);
  }

 private:
  bool add_shared(const SnapshotTensor& tensor) {
    const Tensor loaded = tensor.load();
    const auto [place, is_first] = shared_.try_emplace(*tensor.storage, Shared{0, loaded});
    if (!viewable(loaded, place->second.first)) {
      if (is_first) shared_.erase(place);
      return false;
    }
    if (is_first) {
      place->second.record = static_cast<std::uint32_t>(storages_.records.size());
      storages_.records.push_back(
          {loaded.storage.size(), [load = tensor.load](const Sink& sink) { sink(load().storage); }});
    }
    const auto width = static_cast<std::uint64_t>(dtype_bytes(loaded.dtype));
    storages_.views.push_back({place->second.record, loaded.offset_bytes / width, loaded.stride});
    return true;
  }

  void add_dense(const SnapshotTensor& tensor) {
    storages_.views.push_back({static_cast<std::uint32_t>(storages_.records.size()), 0, dense_stride(tensor.shape)});
    storages_.records.push_back(
        {byte_size(tensor.shape, tensor.dtype), [&tensor](const Sink& sink) { write_tensor(tensor, sink); }});
  }

  struct Shared {
    std::uint32_t record;
    Tensor first;
  };
  const Snapshot& snapshot_;
  std::map<std::uint64_t, std::uint64_t> users_;
  std::map<std::uint64_t, Shared> shared_;
  Storages storages_;
};

// ---- data.pkl

class DataPickle {
 public:
  DataPickle(const Snapshot& snapshot, const SnapshotTree& tree, const Storages& storages)
      : snapshot_(snapshot), tree_(tree), storages_(storages) {}

  std::string text() {
    if (tree_.is_bare_tensor())
      tensor(0);
    else
      container(0);
    return out_.finish();
  }

 private:
  // Recursion is as deep as the containers, which the reader has limited.
  void container(std::size_t index) {
    switch (tree_.form(index)) {
      case SnapshotTree::Form::Dict: return dict(index);
      case SnapshotTree::Form::List:
        out_.begin_list();
        items(index);
        return out_.end_list();
      case SnapshotTree::Form::Tuple:
        out_.begin_tuple();
        items(index);
        return out_.end_tuple();
    }
  }

  void dict(std::size_t index) {
    out_.begin_dict();
    for (const Branch& branch : tree_.branches(index)) {
      if (branch.integer_key)
        out_.big_integer(branch.key);
      else
        out_.text(branch.key);
      content(branch);
    }
    out_.end_dict();
  }

  /// Places that lost their content are None, so that the others keep their index.
  void items(std::size_t index) {
    std::uint64_t next = 0;
    for (const Branch& branch : tree_.branches(index)) {
      for (; next < branch.position; ++next) out_.none();
      content(branch);
      ++next;
    }
  }

  void content(const Branch& branch) {
    switch (branch.kind) {
      case Branch::Kind::Container: return container(branch.index);
      case Branch::Kind::Tensor: return tensor(branch.index);
      case Branch::Kind::Object: return out_.value(snapshot_.objects[branch.index].value);
    }
  }

  void tensor(std::size_t index) {
    const SnapshotTensor& tensor = snapshot_.tensors[index];
    const StoredView& view = storages_.views[index];
    const StorageClass* typed = storage_class(tensor.dtype);
    out_.global("torch._utils", typed != nullptr ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
    out_.begin_tuple();
    storage(view.record, tensor.dtype, typed);
    out_.integer(static_cast<std::int64_t>(view.offset));
    extents(tensor.shape);
    extents(view.stride);
    out_.boolean(tensor.requires_grad.value_or(false));
    out_.global("collections", "OrderedDict");  // no backward hooks
    out_.begin_tuple();
    out_.end_tuple();
    out_.reduce();
    if (typed == nullptr) out_.global("torch", dtype_name(tensor.dtype));
    out_.end_tuple();
    out_.reduce();
  }

  void storage(std::uint32_t record, DType dtype, const StorageClass* typed) {
    const std::uint64_t nbytes = storages_.records[record].nbytes;
    out_.begin_tuple();
    out_.text("storage");
    if (typed != nullptr)
      out_.global("torch", typed->name);
    else
      out_.global("torch.storage", "UntypedStorage");
    out_.text(std::to_string(record));
    out_.text("cpu");
    const std::uint64_t width = typed != nullptr ? static_cast<std::uint64_t>(dtype_bytes(dtype)) : 1;
    out_.integer(static_cast<std::int64_t>(nbytes / width));
    out_.end_tuple();
    out_.persistent_id();
  }

  void extents(const std::vector<std::int64_t>& numbers) {
    out_.begin_tuple();
    for (const std::int64_t number : numbers) out_.integer(number);
    out_.end_tuple();
  }

  const Snapshot& snapshot_;
  const SnapshotTree& tree_;
  const Storages& storages_;
  PickleWriter out_;
};

/// The archive's folder: the output's base name without its last suffix, as torch does, in characters that every reader
/// takes.
std::string root_name(const std::string& file) {
  std::string root = std::filesystem::path(file).stem().string();
  for (char& c : root) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (!plain) c = '_';
  }
  const bool only_dots = root.find_first_not_of('.') == std::string::npos;
  return only_dots ? "archive" : root;
}

/// The restricted reader of PyTorch 1.13 knows neither the opcode of floats nor the call that makes bytes; later ones
/// know both. LibTorch 1.13 knows the floats.
bool needs_torch_2(const Value& value) {
  if (const auto* sequence = std::get_if<Sequence>(&value.is))
    return std::any_of(sequence->items.begin(), sequence->items.end(), needs_torch_2);
  if (const auto* mapping = std::get_if<Mapping>(&value.is))
    return std::any_of(mapping->items.begin(), mapping->items.end(),
                       [](const auto& item) { return needs_torch_2(item.first) || needs_torch_2(item.second); });
  return std::holds_alternative<double>(value.is) || std::holds_alternative<Bytes>(value.is);
}

std::string torch_2_note(const Snapshot& snapshot, const SnapshotTree& tree) {
  for (std::size_t i = 0; i < snapshot.containers.size(); ++i)
    for (const Branch& branch : tree.branches(i))
      if (branch.kind == Branch::Kind::Object && needs_torch_2(snapshot.objects[branch.index].value))
        return "floats or bytes among the objects (" + snapshot.objects[branch.index].name +
               ", ...): torch.load(weights_only=True) reads them from PyTorch 2 on, LibTorch reads no bytes";
  return {};
}

void refuse_types(const WriteRequest& request) {
  std::vector<std::string> refused, names;
  for (const SnapshotTensor& tensor : request.snapshot.tensors) {
    if (!can_hold(tensor.dtype)) refused.push_back(tensor.name + " (" + std::string(dtype_name(tensor.dtype)) + ")");
    if (!base::is_utf8(tensor.name)) names.push_back(base::to_valid_utf8(tensor.name));
  }
  refuse_if_any(request.file, refused, "a PyTorch zip written by tenon cannot hold tensors of these types",
                next_for_types(request.snapshot, "dequantise or cast them first"));
  refuse_if_any(request.file, names, "names must be UTF-8 text", "rename these tensors by a plan");
}

/// The last record; its bytes come when all others have gone by.
DigestPlaces add_digest_record(container::ZipWriter& zip, const std::string& root, std::size_t first_data,
                               std::size_t count) {
  std::uint64_t blocks = 0;
  const auto before = zip.places();
  for (const auto& place : std::span(before).subspan(first_data, count))
    blocks += digest_blocks(place.nbytes, kDigestBlockBytes);
  zip.add_later(root + std::string(kDigestsKey), digest_text_bytes(blocks, kDigestBlockBytes));
  DigestPlaces places;
  const auto all = zip.places();
  for (const auto& place : std::span(all).subspan(first_data, count))
    places.data.push_back({place.content, place.nbytes});
  places.text = {all.back().content, all.back().nbytes};
  places.checksums = {all.back().descriptor_crc, all.back().directory_crc};
  return places;
}

}  // namespace

Layout lay_out_torch_zip(const WriteRequest& request) {
  refuse_types(request);
  const SnapshotTree tree(request.snapshot);
  refuse_if_any(request.file, tree.names_that_stand_twice(), "two entries would be saved under one name",
                "rename one of them by a plan");
  Layout layout;
  const std::string dropped = leave_out_objects(request, tree.left_out(), "a PyTorch zip of plain values");
  for (const std::string& note : {dropped, torch_2_note(request.snapshot, tree)})
    if (!note.empty()) layout.notes.push_back(note);
  Storages storages = StoragePlanner(request.snapshot).plan();

  const std::string root = root_name(request.file) + "/";
  auto zip = std::make_shared<container::ZipWriter>();
  zip->add(root + "data.pkl", DataPickle(request.snapshot, tree, storages).text());
  zip->add(root + "byteorder", "little");
  const std::size_t first_data = zip->places().size(), record_count = storages.records.size();
  for (std::size_t i = 0; i < record_count; ++i)
    zip->add(root + "data/" + std::to_string(i), storages.records[i].nbytes, std::move(storages.records[i].write));
  zip->add(root + "version", "3\n");
  if (!request.snapshot.blueprint_json.empty())
    zip->add(root + std::string(kBlueprintRecord), request.snapshot.blueprint_json);
  if (request.digests == Digests::Write) layout.digests = add_digest_record(*zip, root, first_data, record_count);
  layout.file_bytes = zip->file_bytes();
  layout.write = [zip](const Sink& sink) { zip->write(sink); };
  return layout;
}

}  // namespace tenon::formats
