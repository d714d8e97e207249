// PyTorch zip
//
//   R/data.pkl  R/byteorder  R/data/0  R/data/1 ...  R/version        R: base name of the output without its suffix
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
#include <utility>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/pickle_writer.hpp"
#include "container/zip_writer.hpp"

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

// ---- the tree that is pickled

/// What stands under one key of a dict or at one place of a list.
struct Child {
  std::string key;
  bool integer_key = false;
  enum class Kind : std::uint8_t { Container, Tensor, Object } kind = Kind::Container;
  std::size_t index = 0;
};

bool holds_plainly(const Container& container) {
  return container.kind == ContainerKind::Mapping || container.kind == ContainerKind::Sequence;
}

/// The snapshot's containers as dicts and lists. Modules, records and tensors in parts have no plain form: what stands
/// in them goes, under its longer name, into the nearest dict around them.
class Tree {
 public:
  explicit Tree(const WriteRequest& request) : snapshot_(request.snapshot), children_(snapshot_.containers.size()) {
    TENON_ASSERT(!snapshot_.containers.empty());
    find_plain();
    place_containers();
    for (std::size_t i = 0; i < snapshot_.tensors.size(); ++i) place(snapshot_.tensors[i], Child::Kind::Tensor, i);
    for (std::size_t i = 0; i < snapshot_.objects.size(); ++i) {
      const Object& object = snapshot_.objects[i];
      if (plain_[object.container] && is_plain(object.value))
        place(object, Child::Kind::Object, i);
      else if (object.key() != "_metadata")
        left_out_.push_back(object.name + " (" + type_name(object.value) + ")");
    }
    refuse_collisions(request.file);
  }

  const std::vector<std::string>& left_out() const { return left_out_; }
  bool is_bare_tensor() const {
    return snapshot_.containers.front().kind == ContainerKind::TensorParts && snapshot_.tensors.size() == 1 &&
           snapshot_.tensors.front().name.empty();
  }
  const std::vector<Child>& children(std::size_t container) const { return children_[container]; }
  const Container& container(std::size_t index) const { return snapshot_.containers[index]; }

 private:
  void find_plain() {
    plain_.resize(snapshot_.containers.size());
    for (std::size_t i = 0; i < plain_.size(); ++i) {
      const Container& container = snapshot_.containers[i];
      plain_[i] = holds_plainly(container) && (i == 0 || plain_[container.parent]);
    }
  }

  void place_containers() {
    for (std::size_t i = 1; i < snapshot_.containers.size(); ++i) {
      const Container& container = snapshot_.containers[i];
      if (plain_[i] && has_content(i))
        children_[container.parent].push_back({container.key, container.integer_key, Child::Kind::Container, i});
    }
  }

  /// Containers whose content was left out altogether would come back as empty dicts; the reader lists tensor-free ones
  /// as objects.
  bool has_content(std::size_t index) {
    if (content_.empty()) {
      content_.resize(snapshot_.containers.size());
      for (const SnapshotTensor& tensor : snapshot_.tensors) content_[home(tensor.container)] = true;
      for (const Object& object : snapshot_.objects)
        if (plain_[object.container] && is_plain(object.value)) content_[object.container] = true;
      for (std::size_t i = content_.size(); i-- > 1;)
        if (content_[i]) content_[snapshot_.containers[i].parent] = true;
    }
    return content_[index];
  }

  /// The container itself when it is plain, else the nearest plain dict around it, else the top.
  std::size_t home(std::size_t container) const {
    if (plain_[container]) return container;
    while (container != 0 && !(plain_[container] && snapshot_.containers[container].kind == ContainerKind::Mapping))
      container = snapshot_.containers[container].parent;
    return container;
  }

  template <class Leaf>
  void place(const Leaf& leaf, Child::Kind kind, std::size_t index) {
    const std::size_t at = home(leaf.container);
    if (at == leaf.container) {
      children_[at].push_back({std::string(leaf.key()), leaf.integer_key, kind, index});
      return;
    }
    const std::string& path = snapshot_.containers[at].path;
    const std::size_t skipped = path.empty() || leaf.name.size() <= path.size() ? 0 : path.size() + 1;
    children_[at].push_back({leaf.name.substr(skipped), false, kind, index});
  }

  void refuse_collisions(const std::string& file) const {
    std::vector<std::string> twice;
    for (std::size_t i = 0; i < children_.size(); ++i) {
      std::vector<std::pair<std::string_view, bool>> keys;
      for (const Child& child : children_[i]) keys.emplace_back(child.key, child.integer_key);
      std::sort(keys.begin(), keys.end());
      for (auto at = keys.begin(); (at = std::adjacent_find(at, keys.end())) != keys.end(); ++at)
        twice.push_back(snapshot_.containers[i].path + (snapshot_.containers[i].path.empty() ? "" : ".") +
                        std::string(at->first));
    }
    refuse_if_any(file, twice, "two entries would be saved under one name", "rename one of them");
  }

  const Snapshot& snapshot_;
  std::vector<bool> plain_, content_;
  std::vector<std::vector<Child>> children_;
  std::vector<std::string> left_out_;
};

// ---- data.pkl

class DataPickle {
 public:
  DataPickle(const Snapshot& snapshot, const Tree& tree, const Storages& storages)
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
    const Container& shape = tree_.container(index);
    if (shape.kind == ContainerKind::Sequence) return sequence(index);
    out_.begin_dict();
    for (const Child& child : tree_.children(index)) {
      if (child.integer_key)
        out_.big_integer(child.key);
      else
        out_.text(child.key);
      content(child);
    }
    out_.end_dict();
  }

  /// Places that lost their content are None, so that the others keep their index.
  void sequence(std::size_t index) {
    std::map<std::size_t, const Child*> by_place;
    for (const Child& child : tree_.children(index)) by_place[std::stoull(child.key)] = &child;
    const bool tuple = tree_.container(index).type == "tuple";
    tuple ? out_.begin_tuple() : out_.begin_list();
    std::size_t next = 0;
    for (const auto& [place, child] : by_place) {
      for (; next < place; ++next) out_.none();
      content(*child);
      ++next;
    }
    tuple ? out_.end_tuple() : out_.end_list();
  }

  void content(const Child& child) {
    switch (child.kind) {
      case Child::Kind::Container: return container(child.index);
      case Child::Kind::Tensor: return tensor(child.index);
      case Child::Kind::Object: return out_.value(snapshot_.objects[child.index].value);
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
  const Tree& tree_;
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

void refuse_types(const WriteRequest& request) {
  std::vector<std::string> refused, names;
  for (const SnapshotTensor& tensor : request.snapshot.tensors) {
    if (!can_hold(tensor.dtype)) refused.push_back(tensor.name + " (" + std::string(dtype_name(tensor.dtype)) + ")");
    if (!base::is_utf8(tensor.name)) names.push_back(base::to_valid_utf8(tensor.name));
  }
  refuse_if_any(request.file, refused, "a PyTorch zip written by tenon cannot hold tensors of these types",
                "dequantise or cast them first");
  refuse_if_any(request.file, names, "names must be UTF-8 text", "rename these tensors by a plan");
}

}  // namespace

Layout lay_out_torch_zip(const WriteRequest& request) {
  refuse_types(request);
  const Tree tree(request);
  Layout layout;
  const std::string dropped = leave_out_objects(request, tree.left_out(), "a PyTorch zip of plain values");
  if (!dropped.empty()) layout.notes.push_back(dropped);
  Storages storages = StoragePlanner(request.snapshot).plan();

  const std::string root = root_name(request.file) + "/";
  auto zip = std::make_shared<container::ZipWriter>();
  zip->add(root + "data.pkl", DataPickle(request.snapshot, tree, storages).text());
  zip->add(root + "byteorder", "little");
  for (std::size_t i = 0; i < storages.records.size(); ++i)
    zip->add(root + "data/" + std::to_string(i), storages.records[i].nbytes, std::move(storages.records[i].write));
  zip->add(root + "version", "3\n");
  layout.file_bytes = zip->file_bytes();
  layout.write = [zip](const Sink& sink) { zip->write(sink); };
  return layout;
}

}  // namespace tenon::formats
