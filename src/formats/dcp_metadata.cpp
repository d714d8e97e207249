// .metadata
//
//   Metadata {state_dict_metadata: {name: TensorStorageMetadata {properties, size, chunks: [ChunkStorageMetadata
//   {offsets, sizes}]} | BytesStorageMetadata}, storage_data: {MetadataIndex {fqn, offset, index}: _StorageInfo
//   {relative_path, offset, length}}, ...}
//
// The state of TensorProperties is a tuple whose first item is the dtype. A MetadataIndex is equal to another of the
// same name and offset, whatever its index.
// Source: torch/distributed/checkpoint/metadata.py and filesystem.py (2.0 to 2.x); torch/distributed/_shard/checkpoint
// (1.13).
#include "formats/dcp_metadata.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/checked.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/pickle_reader.hpp"
#include "formats/pickle_graph.hpp"

namespace tenon::formats {

namespace {

using container::PickleTree;

std::string place_key(std::string_view name, const Shape& offsets) {
  return std::string(name) + '\0' + base::shape_text(offsets);
}

class MetadataReader {
 public:
  MetadataReader(const OpenRequest& request, const PickleTree& tree) : request_(request), tree_(tree), graph_(tree) {}

  DcpMetadata read() {
    const NodeId root = graph_.see_through(tree_.root());
    index_blobs(attribute(root, "storage_data"));
    const NodeId entries = attribute(root, "state_dict_metadata");
    if (entries == kNoNode || !graph_.is_mapping(entries))
      throw error(root, {}, "the metadata has no list of tensors", "state_dict_metadata, a dict");
    for (const auto& [name, entry] : graph_.pairs(entries)) read_entry(name, entry);
    const NodeId version = attribute(root, "version");
    if (version != kNoNode) result_.version = graph_.text(version);
    return std::move(result_);
  }

 private:
  Error error(NodeId node, std::string key, std::string what, std::string expected = {}, std::string found = {}) const {
    return Error(Code::Corrupt, {request_.file->path(), {}, std::move(key), tree_.at(node)}, std::move(what),
                 std::move(expected), std::move(found), "the checkpoint is damaged: save it again");
  }

  /// An attribute of a plain object, whose state is a dict; kNoNode where it has none of that name.
  NodeId attribute(NodeId object, std::string_view name) const {
    if (tree_.kind(object) != NodeKind::Call) return kNoNode;
    const NodeId state = tree_.call(object).state;
    if (state == kNoNode || !graph_.is_mapping(state)) return kNoNode;
    for (const auto& [key, value] : graph_.pairs(state))
      if (graph_.text(key) == name) return graph_.see_through(value);
    return kNoNode;
  }

  NodeId required(NodeId object, std::string_view name, const std::string& key) const {
    const NodeId found = attribute(object, name);
    if (found == kNoNode) throw error(object, key, "a part of the metadata is missing", std::string(name));
    return found;
  }

  std::int64_t whole_number(NodeId node, const std::string& key, std::string_view what) const {
    if (tree_.kind(node) != NodeKind::Integer || tree_.integer(node) < 0)
      throw error(node, key, std::string(what) + " is no size", "an integer of 0 or more");
    return tree_.integer(node);
  }

  Shape extents(NodeId node, const std::string& key, std::string_view what) const {
    if (!graph_.is_sequence(node)) throw error(node, key, std::string(what) + " is no list of sizes", "torch.Size");
    Shape shape;
    for (const NodeId item : graph_.sequence(node)) shape.push_back(whole_number(item, key, what));
    if (shape.size() > request_.options.limits.tensor_rank)
      throw base::limit_error({request_.file->path(), {}, key, tree_.at(node)}, "the tensor has too many dimensions",
                              {&Limits::tensor_rank, request_.options.limits}, std::to_string(shape.size()));
    return shape;
  }

  void index_blobs(NodeId places) {
    if (places == kNoNode || !graph_.is_mapping(places)) return;
    for (const auto& [index, info] : graph_.pairs(places)) {
      const std::string name(graph_.text(required(index, "fqn", {})));
      const NodeId offset = attribute(index, "offset");
      const bool has_offset = offset != kNoNode && graph_.is_sequence(offset);
      const NodeId place = graph_.see_through(info);
      require_plain(place, name);
      DcpBlob blob{std::string(graph_.text(required(place, "relative_path", name))),
                   static_cast<std::uint64_t>(whole_number(required(place, "offset", name), name, "the offset")),
                   static_cast<std::uint64_t>(whole_number(required(place, "length", name), name, "the length"))};
      blobs_.emplace(has_offset ? place_key(name, extents(offset, name, "the offset of a chunk")) : name,
                     std::move(blob));
    }
  }

  /// Newer writers may pack or encrypt pieces through extensions.
  void require_plain(NodeId place, const std::string& name) const {
    const NodeId transforms = attribute(place, "transform_descriptors");
    if (transforms == kNoNode || !graph_.is_sequence(transforms) || graph_.sequence(transforms).empty()) return;
    throw Error(Code::Unsupported, {request_.file->path(), {}, name, tree_.at(transforms)},
                "the checkpoint's pieces were transformed by an extension", "plain pieces", {},
                "save it again without extensions");
  }

  void read_entry(NodeId name_node, NodeId entry_node) {
    const std::string name(graph_.text(name_node));
    const NodeId entry = graph_.see_through(entry_node);
    if (attribute(entry, "size") != kNoNode) return read_tensor(name, entry);
    const auto blob = blobs_.find(name);
    if (blob != blobs_.end()) result_.objects.push_back({name, blob->second});
  }

  void read_tensor(const std::string& name, NodeId entry) {
    DcpTensor tensor{name,
                     dtype_of(required(entry, "properties", name), name),
                     extents(required(entry, "size", name), name, "the size"),
                     {}};
    const NodeId chunks = required(entry, "chunks", name);
    if (!graph_.is_sequence(chunks)) throw error(chunks, name, "the chunks are no list", "a list");
    for (const NodeId item : graph_.sequence(chunks)) {
      const NodeId chunk = graph_.see_through(item);
      DcpChunk made{extents(required(chunk, "offsets", name), name, "the offset of a chunk"),
                    extents(required(chunk, "sizes", name), name, "the size of a chunk"),
                    {}};
      const auto blob = blobs_.find(place_key(name, made.offsets));
      if (blob == blobs_.end())
        throw error(chunk, name, "a piece of the tensor is in no file",
                    "an entry of storage_data for offset " + base::shape_text(made.offsets));
      made.blob = blob->second;
      tensor.chunks.push_back(std::move(made));
    }
    require_exact_cover(tensor, chunks);
    result_.tensors.push_back(std::move(tensor));
  }

  DType dtype_of(NodeId properties, const std::string& name) const {
    const NodeId state = tree_.kind(properties) == NodeKind::Call ? tree_.call(properties).state : kNoNode;
    NodeId dtype = attribute(properties, "dtype");
    if (dtype == kNoNode && state != kNoNode && tree_.kind(state) == NodeKind::Tuple && !tree_.tuple(state).empty())
      dtype = tree_.tuple(state)[0];
    if (dtype != kNoNode && tree_.kind(dtype) == NodeKind::Global && tree_.global(dtype).module == "torch")
      if (const auto known = parse_dtype(tree_.global(dtype).name)) return *known;
    throw error(properties, name, "the tensor's dtype is not told", "torch.float32, ...");
  }

  /// Every element is in one chunk and in no more: boxes within the tensor, disjoint, as many elements as it has.
  void require_exact_cover(DcpTensor& tensor, NodeId node) const {
    std::uint64_t covered = 0;
    for (const DcpChunk& chunk : tensor.chunks) {
      require_inside(tensor, chunk, node);
      const auto sum = base::checked_add(covered, static_cast<std::uint64_t>(element_count(chunk.sizes)));
      if (!sum) throw error(node, tensor.name, "the chunks hold too many elements");
      covered = *sum;
    }
    const auto needed = static_cast<std::uint64_t>(element_count(tensor.shape));
    if (covered != needed)
      throw error(node, tensor.name, "the pieces do not make up the tensor", base::plural(needed, "element"),
                  base::plural(covered, "element"));
    require_disjoint(tensor, node);
  }

  void require_inside(const DcpTensor& tensor, const DcpChunk& chunk, NodeId node) const {
    bool inside = chunk.offsets.size() == tensor.shape.size() && chunk.sizes.size() == tensor.shape.size();
    for (std::size_t axis = 0; inside && axis < tensor.shape.size(); ++axis)
      inside = chunk.sizes[axis] <= tensor.shape[axis] && chunk.offsets[axis] <= tensor.shape[axis] - chunk.sizes[axis];
    if (!inside)
      throw error(node, tensor.name, "a piece lies outside its tensor", "within " + base::shape_text(tensor.shape),
                  base::shape_text(chunk.sizes) + " at " + base::shape_text(chunk.offsets));
  }

  static bool overlap(const DcpChunk& a, const DcpChunk& b) {
    for (std::size_t axis = 0; axis < a.sizes.size(); ++axis)
      if (a.offsets[axis] + a.sizes[axis] <= b.offsets[axis] || b.offsets[axis] + b.sizes[axis] <= a.offsets[axis])
        return false;
    return element_count(a.sizes) > 0 && element_count(b.sizes) > 0;
  }

  /// Sorted by their first offset, a chunk is compared only with those that begin before it ends.
  void require_disjoint(DcpTensor& tensor, NodeId node) const {
    auto& chunks = tensor.chunks;
    std::sort(chunks.begin(), chunks.end(), [](const DcpChunk& a, const DcpChunk& b) { return a.offsets < b.offsets; });
    std::uint64_t compared = 0;
    for (std::size_t i = 0; i < chunks.size(); ++i)
      for (std::size_t j = i + 1; j < chunks.size(); ++j) {
        const bool apart = !tensor.shape.empty() && chunks[i].offsets[0] + chunks[i].sizes[0] <= chunks[j].offsets[0];
        if (apart) break;
        if (++compared > request_.options.limits.pieces_compared)
          throw base::limit_error({request_.file->path(), {}, tensor.name, tree_.at(node)},
                                  "the tensor is cut into too many pieces to compare each with each",
                                  {&Limits::pieces_compared, request_.options.limits},
                                  base::plural(chunks.size(), "piece"));
        if (overlap(chunks[i], chunks[j]))
          throw error(node, tensor.name, "two pieces of the tensor overlap", "disjoint pieces",
                      base::shape_text(chunks[i].offsets) + " and " + base::shape_text(chunks[j].offsets));
      }
  }

  const OpenRequest& request_;
  const PickleTree& tree_;
  PickleGraph graph_;
  std::unordered_map<std::string, DcpBlob> blobs_;  ///< by name and offset of the chunk; by name alone for objects
  DcpMetadata result_;
};

}  // namespace

DcpMetadata read_dcp_metadata(const OpenRequest& request) {
  const PickleTree tree =
      container::read_pickle({request.file->bytes(), request.file->path(), {}, 0}, request.options.limits);
  return MetadataReader(request, tree).read();
}

}  // namespace tenon::formats
