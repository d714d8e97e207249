// PyTorch before 0.1.10: an uncompressed tar of four streams.
//
//   sys_info  pickle of {protocol_version: 1000, little_endian, type_sizes}
//   storages  pickle of n; n times: pickle of (key, location, class), i64 count, elements;
//             pickle of the views: [(key, key of the root, offset, count)]
//   tensors   pickle of n; n times: pickle of (key, storage key, class), i32 rank, 4 bytes, i64 extents, i64 strides,
//             i64 offset in elements
//   pickle    the object; its persistent ids are keys of tensors and storages
//
// Source: torch/serialization.py, legacy_load.
#include "formats/torch_tar.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "container/pickle_reader.hpp"
#include "container/tar_reader.hpp"
#include "formats/claimed_count.hpp"
#include "formats/object_walk.hpp"

namespace tenon::formats {

namespace {

using container::PickleTree;

constexpr std::int64_t kProtocolVersion = 1000;
constexpr std::string_view kNext = "the file is damaged: fetch or save it again";

/// A member of the archive, read from its start: pickles and numbers in turn.
class MemberStream {
 public:
  MemberStream(const OpenRequest& request, const container::TarMember& member)
      : in_(request.file->bytes().subspan(member.offset, member.bytes), request.path, member.name),
        file_offset_(member.offset),
        limits_(request.options.limits) {}

  base::Cursor& in() { return in_; }
  std::uint64_t file_position() const { return file_offset_ + in_.position(); }

  PickleTree pickle() {
    PickleTree tree = container::read_pickle({in_.rest(), in_.file(), in_.member(), in_.position()}, limits_);
    in_.skip(tree.stream_bytes(), "a pickle");
    return tree;
  }

  /// A pickled count of things that take `least_bytes` each.
  std::uint64_t count(std::string_view things, std::uint64_t least_bytes) {
    const std::uint64_t at = in_.position();
    const PickleTree tree = pickle();
    const bool is_count = tree.kind(tree.root()) == NodeKind::Integer && tree.integer(tree.root()) >= 0;
    if (!is_count) throw in_.error_at(at, Code::Corrupt, "the number of " + std::string(things) + " is no count");
    const auto found = static_cast<std::uint64_t>(tree.integer(tree.root()));
    return claimed_count(in_, at, found, things, least_bytes, limits_, kNext);
  }

 private:
  base::Cursor in_;
  std::uint64_t file_offset_;
  const Limits& limits_;
};

class TarFile {
 public:
  explicit TarFile(const OpenRequest& request)
      : request_(request),
        members_(container::read_tar(request.file->bytes(), request.path, request.options.limits)),
        core_(std::make_shared<CheckpointCore>()) {
    core_->file = request.path;
    core_->format = Format::PytorchTar;
    core_->format_version = std::to_string(kProtocolVersion);
    core_->file_bytes = request.file->size();
    core_->files = {request.file};
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
  }

  std::shared_ptr<CheckpointCore> open() {
    require_version();
    read_storages();
    read_tensors();
    const container::TarMember& member = need("pickle");
    MemberStream stream(request_, member);
    const PickleTree object = stream.pickle();
    const PickleGraph graph(object, [this](std::int64_t key) { return row(key); });
    const PickleOrigin origin{member.name, 0, member.offset};
    const StorageFinder no_storage = [](const StorageClaim&, const Where& where) -> std::uint32_t {
      throw Error(Code::Corrupt, where, "the object names a storage by more than its key", "a key", {},
                  std::string(kNext));
    };
    walk_objects({graph, origin, no_storage, false}, *core_);
    note_other_members();
    return std::move(core_);
  }

 private:
  const container::TarMember* find(std::string_view name) const {
    const container::TarMember* found = nullptr;
    for (const container::TarMember& member : members_) {
      if (member.name != name || !member.is_file) continue;
      if (found != nullptr)
        throw Error(Code::Corrupt, {request_.path, member.name, {}, member.offset},
                    "a member of the archive stands twice", {}, {}, std::string(kNext));
      found = &member;
    }
    return found;
  }

  const container::TarMember& need(std::string_view name) const {
    if (const auto* member = find(name)) return *member;
    throw Error(Code::Corrupt, {request_.path, std::string(name), {}, 0}, "the archive lacks a member",
                std::string(name), base::count_text(members_.size()) + " members",
                "this is another kind of tar archive, or the file was cut short");
  }

  void require_version() const {
    MemberStream stream(request_, need("sys_info"));
    const PickleTree tree = stream.pickle();
    const PickleGraph graph(tree);
    if (!graph.is_mapping(tree.root()))
      throw stream.in().error_at(0, Code::Corrupt, "sys_info is no dict", "a dict", graph.type_name(tree.root()));
    for (const auto& [key, value] : graph.pairs(tree.root()))
      if (graph.text(key) == "protocol_version" &&
          (tree.kind(value) != NodeKind::Integer || tree.integer(value) != kProtocolVersion))
        throw stream.in().error_at(0, Code::Unsupported, "the file is of another protocol version",
                                   std::to_string(kProtocolVersion), graph.type_name(value));
  }

  // ---- storages

  void read_storages() {
    MemberStream stream(request_, need("storages"));
    const std::uint64_t count = stream.count("storages", sizeof(std::int64_t) + 2);
    for (std::uint64_t i = 0; i < count; ++i) read_storage(stream);
    read_views(stream);
    if (!stream.in().at_end())
      core_->warnings.push_back(base::plural(stream.in().remaining(), "byte") + " follow the views in `storages`");
  }

  void read_storage(MemberStream& stream) {
    base::Cursor& in = stream.in();
    const std::uint64_t at = in.position();
    const PickleTree tree = stream.pickle();
    const PickleGraph graph(tree);
    const auto parts = sequence(graph, in, at, 3, "the description of a storage");
    const std::int64_t key = integer(graph, parts[0], in, at);
    const DType dtype = storage_type(graph, parts[2], in, at);
    const std::uint64_t counted_at = in.position();
    const auto bytes = base::checked_multiply(in.u64("the element count of storage " + std::to_string(key)),
                                              storage_element_bytes(dtype));
    if (!bytes || *bytes > in.remaining())
      throw in.error_at(counted_at, Code::Corrupt, "the member ends within storage " + std::to_string(key),
                        bytes ? base::plural(*bytes, "byte") : "a count below 2^63",
                        base::plural(in.remaining(), "byte"), "the file is cut short: fetch or save it again");
    TensorInfo row;
    row.dtype = dtype;
    row.storage = static_cast<std::uint32_t>(core_->storages.size());
    row.shape = {static_cast<std::int64_t>(*bytes / storage_element_bytes(dtype))};
    row.stride = {1};
    core_->storages.push_back({std::to_string(key), in.member(), *bytes, std::string(graph.text(parts[1]))});
    StorageBytes& place = core_->storage_bytes.emplace_back();
    place.offset = stream.file_position();
    in.skip(*bytes, "storage " + std::to_string(key));
    add_row(storages_, key, std::move(row), in, at);
  }

  /// A view is a storage of its own to the tensors that name it: a part of its root.
  void read_views(MemberStream& stream) {
    base::Cursor& in = stream.in();
    const std::uint64_t at = in.position();
    const PickleTree tree = stream.pickle();
    const PickleGraph graph(tree);
    if (!graph.is_sequence(tree.root())) throw in.error_at(at, Code::Corrupt, "the list of views is no list");
    for (const NodeId node : graph.sequence(tree.root())) {
      const auto parts = sequence(graph, in, at, 4, "a view of a storage", node);
      const std::int64_t root = integer(graph, parts[1], in, at);
      const auto known = storages_.find(root);
      if (known == storages_.end())
        throw in.error_at(at, Code::Corrupt, "a view is of a storage that is not there", "a key", std::to_string(root));
      TensorInfo row = known->second;
      const std::int64_t offset = integer(graph, parts[2], in, at), count = integer(graph, parts[3], in, at);
      if (offset < 0 || count < 0 || offset > row.shape[0] || count > row.shape[0] - offset)
        throw in.error_at(at, Code::Corrupt, "a view reaches past its storage",
                          base::plural(static_cast<std::uint64_t>(row.shape[0]), "element"),
                          std::to_string(offset) + " and " + std::to_string(count) + " more", std::string(kNext));
      row.offset_bytes += static_cast<std::uint64_t>(offset) * storage_element_bytes(row.dtype);
      row.shape = {count};
      add_row(storages_, integer(graph, parts[0], in, at), std::move(row), in, at);
    }
  }

  // ---- tensors

  void read_tensors() {
    MemberStream stream(request_, need("tensors"));
    const std::uint64_t count = stream.count("tensors", 2 * sizeof(std::int64_t) + 2);
    for (std::uint64_t i = 0; i < count; ++i) read_tensor(stream);
    if (!stream.in().at_end())
      core_->warnings.push_back(base::plural(stream.in().remaining(), "byte") + " follow the last tensor in `tensors`");
  }

  void read_tensor(MemberStream& stream) {
    base::Cursor& in = stream.in();
    const std::uint64_t at = in.position();
    const PickleTree tree = stream.pickle();
    const PickleGraph graph(tree);
    const auto parts = sequence(graph, in, at, 3, "the description of a tensor");
    const std::int64_t key = integer(graph, parts[0], in, at), storage = integer(graph, parts[1], in, at);
    const auto known = storages_.find(storage);
    if (known == storages_.end())
      throw in.error_at(at, Code::Corrupt, "the tensor is of a storage that is not there", "a key",
                        std::to_string(storage), std::string(kNext));
    TensorInfo row = known->second;
    const std::int64_t elements = row.shape[0];
    const std::uint32_t rank = in.u32("the rank of a tensor");
    in.skip(4, "the high half of the rank");
    if (rank > core_->limits.tensor_rank)
      throw base::limit_error(in.where(at), "the tensor has too many dimensions", {&Limits::tensor_rank, core_->limits},
                              std::to_string(rank));
    row.shape = numbers(in, rank, "an extent");
    row.stride = numbers(in, rank, "a stride");
    const std::int64_t offset = in.i64("the offset of a tensor");
    if (offset < 0 || offset > elements)
      throw in.error_at(at, Code::Corrupt, "the tensor begins outside its storage",
                        base::plural(static_cast<std::uint64_t>(elements), "element"), std::to_string(offset),
                        std::string(kNext));
    require_within(row, elements - offset, in, at);
    row.offset_bytes += static_cast<std::uint64_t>(offset) * storage_element_bytes(row.dtype);
    add_row(tensors_, key, std::move(row), in, at);
  }

  static std::vector<std::int64_t> numbers(base::Cursor& in, std::uint32_t count, std::string_view field) {
    std::vector<std::int64_t> out;
    for (std::uint32_t i = 0; i < count; ++i) out.push_back(in.i64(field));
    return out;
  }

  /// The core checks views against whole storages; here the storage may itself be a part of one.
  static void require_within(const TensorInfo& row, std::int64_t elements, const base::Cursor& in, std::uint64_t at) {
    std::int64_t last = 0;
    bool fits = true;
    for (std::size_t axis = 0; axis < row.shape.size(); ++axis) {
      std::int64_t steps = 0;
      if (row.shape[axis] == 0) return;  // no element is touched
      fits = fits && row.shape[axis] > 0 && row.stride[axis] >= 0 &&
             !__builtin_mul_overflow(row.shape[axis] - 1, row.stride[axis], &steps) &&
             !__builtin_add_overflow(last, steps, &last);
    }
    if (!fits || last >= elements)
      throw in.error_at(at, Code::Corrupt, "the tensor reaches past its storage",
                        base::plural(static_cast<std::uint64_t>(elements), "element"),
                        "shape " + base::shape_text(row.shape) + ", stride " + base::shape_text(row.stride),
                        std::string(kNext));
  }

  // ---- parts of descriptions

  using Rows = std::unordered_map<std::int64_t, TensorInfo>;

  static void add_row(Rows& rows, std::int64_t key, TensorInfo row, const base::Cursor& in, std::uint64_t at) {
    if (!rows.emplace(key, std::move(row)).second)
      throw in.error_at(at, Code::Corrupt, "a key stands twice", {}, std::to_string(key), std::string(kNext));
  }

  static std::vector<NodeId> sequence(const PickleGraph& graph, const base::Cursor& in, std::uint64_t at,
                                      std::size_t parts, const std::string& what, NodeId node = kNoNode) {
    node = node == kNoNode ? graph.tree().root() : node;
    std::vector<NodeId> found = graph.is_sequence(node) ? graph.sequence(node) : std::vector<NodeId>();
    if (found.size() != parts)
      throw in.error_at(at, Code::Corrupt, what + " is malformed", std::to_string(parts) + " parts",
                        graph.type_name(node), std::string(kNext));
    return found;
  }

  static std::int64_t integer(const PickleGraph& graph, NodeId node, const base::Cursor& in, std::uint64_t at) {
    if (graph.tree().kind(node) != NodeKind::Integer)
      throw in.error_at(at, Code::Corrupt, "a key, offset or count is no integer", "an integer", graph.type_name(node),
                        std::string(kNext));
    return graph.tree().integer(node);
  }

  static DType storage_type(const PickleGraph& graph, NodeId node, const base::Cursor& in, std::uint64_t at) {
    if (graph.tree().kind(node) == NodeKind::Global) {
      const auto& global = graph.tree().global(node);
      if (const auto dtype = storage_dtype(canonical_name(global.module, global.name))) return *dtype;
    }
    throw in.error_at(at, Code::Corrupt, "the storage has an unknown class", "such as torch.FloatStorage",
                      graph.type_name(node));
  }

  const TensorInfo* row(std::int64_t key) const {
    for (const Rows* rows : {&tensors_, &storages_})
      if (const auto found = rows->find(key); found != rows->end()) return &found->second;
    return nullptr;
  }

  void note_other_members() {
    constexpr std::string_view kKnown[] = {"sys_info", "pickle", "tensors", "storages"};
    for (const container::TarMember& member : members_)
      if (std::find(std::begin(kKnown), std::end(kKnown), member.name) == std::end(kKnown)) ++others_;
    if (others_ > 0)
      core_->warnings.push_back(base::plural(others_, "member") + " of the archive are none of PyTorch's: not read");
  }

  const OpenRequest& request_;
  std::vector<container::TarMember> members_;
  std::shared_ptr<CheckpointCore> core_;
  Rows storages_, tensors_;
  std::uint64_t others_ = 0;
};

}  // namespace

bool looks_like_torch_tar(std::span<const std::byte> bytes) {
  if (!container::looks_like_tar(bytes)) return false;
  try {
    const auto members = container::read_tar(bytes, {}, {});
    return std::any_of(members.begin(), members.end(),
                       [](const container::TarMember& member) { return member.name == "storages"; });
  } catch (const Error&) {  // another reader will say what is wrong
    return false;
  }
}

std::shared_ptr<CheckpointCore> open_torch_tar(const OpenRequest& request) { return TarFile(request).open(); }

}  // namespace tenon::formats
