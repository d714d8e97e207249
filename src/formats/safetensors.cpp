// safetensors
//
//   0       8        8 + N                                   end of file
//   | u64 N | header | tensor bytes, back to back, no holes |
//
//   header: {"__metadata__": {string: string}, name: {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]},
//   ...} offsets count from the end of the header; N is little-endian; the header is padded with spaces to a multiple
//   of 8
//
// Source: safetensors project, README "Format" and safetensors/src/tensor.rs (order of its checks, order of its
// writer). Stricter in one point: a name that stands twice is refused, because parsers disagree on which one counts.
#include "formats/safetensors.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "base/cursor.hpp"
#include "base/json_reader.hpp"
#include "base/json_text.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::formats {

namespace {

using base::JsonReader;

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::string_view kBlueprintKey = "tenon.blueprint";
constexpr std::string_view kNext = "fetch the file again, or save it again with its writer";

struct Name {
  std::string_view name;
  DType dtype;
};
// In the official writer's order, least first.
constexpr Name kNames[] = {
    {"BOOL", DType::Bool},
    {"F4", DType::F4},
    {"F6_E2M3", DType::F6E2M3},
    {"F6_E3M2", DType::F6E3M2},
    {"U8", DType::UInt8},
    {"I8", DType::Int8},
    {"F8_E5M2", DType::Float8E5M2},
    {"F8_E4M3", DType::Float8E4M3FN},
    {"F8_E8M0", DType::Float8E8M0FNU},
    {"F8_E4M3FNUZ", DType::Float8E4M3FNUZ},
    {"F8_E5M2FNUZ", DType::Float8E5M2FNUZ},
    {"I16", DType::Int16},
    {"U16", DType::UInt16},
    {"F16", DType::Float16},
    {"BF16", DType::BFloat16},
    {"I32", DType::Int32},
    {"U32", DType::UInt32},
    {"F32", DType::Float32},
    {"C64", DType::Complex64},
    {"F64", DType::Float64},
    {"I64", DType::Int64},
    {"U64", DType::UInt64},
};

const Name* name_of(DType dtype) {
  const auto found =
      std::find_if(std::begin(kNames), std::end(kNames), [&](const Name& n) { return n.dtype == dtype; });
  return found == std::end(kNames) ? nullptr : found;
}

const Name* find_name(std::string_view name) {
  const auto found = std::find_if(std::begin(kNames), std::end(kNames), [&](const Name& n) { return n.name == name; });
  return found == std::end(kNames) ? nullptr : found;
}

// ---- reading

/// One member of the header: a tensor, its range in the data, and where it stands for messages.
struct Entry {
  TensorInfo tensor;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::uint64_t header_byte = 0;
};

struct Header {
  std::vector<Entry> entries;
  std::vector<std::pair<std::string, std::string>> metadata;
};

class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& path, const Limits& limits)
      : json_(text, path, sizeof(std::uint64_t), limits.json_depth), path_(path), limits_(limits) {}

  Header read() {
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      if (*key == kMetadata)
        read_metadata();
      else
        read_tensor(std::string(*key));
    }
    json_.end();
    refuse_duplicates();
    return std::move(header_);
  }

 private:
  void read_metadata() {
    if (std::exchange(has_metadata_, true)) throw error(json_.position(), "a key stands twice", std::string(kMetadata));
    if (json_.peek() == JsonReader::Kind::Null) return json_.null();
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      std::string name(*key);
      header_.metadata.emplace_back(std::move(name), json_.string("a value of __metadata__"));
    }
  }

  void read_tensor(std::string name) {
    Entry entry;
    entry.header_byte = json_.position();
    entry.tensor.name = std::move(name);
    bool has_dtype = false, has_shape = false, has_range = false;
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      if (*key == "dtype")
        read_dtype(entry, std::exchange(has_dtype, true));
      else if (*key == "shape")
        read_shape(entry, std::exchange(has_shape, true));
      else if (*key == "data_offsets")
        read_range(entry, std::exchange(has_range, true));
      else
        json_.skip_value();  // the format's own reader lets unknown members pass
    }
    if (!has_dtype || !has_shape || !has_range)
      throw error(entry.header_byte, "a member of the tensor is missing", entry.tensor.name,
                  "dtype, shape and data_offsets");
    check_size(entry);
    header_.entries.push_back(std::move(entry));
  }

  void read_dtype(Entry& entry, bool again) {
    refuse_again(entry, again);
    const std::uint64_t at = json_.position();
    const std::string name(json_.string("dtype"));
    const Name* known = find_name(name);
    if (known == nullptr)
      throw error(at, "the dtype is unknown", entry.tensor.name, "one of BOOL, F32, BF16, I64, ...", name);
    entry.tensor.dtype = known->dtype;
  }

  void read_shape(Entry& entry, bool again) {
    refuse_again(entry, again);
    json_.begin_array();
    while (json_.next_element()) {
      if (entry.tensor.shape.size() >= limits_.tensor_rank)
        throw base::limit_error({path_, {}, entry.tensor.name, json_.position()}, "the tensor has too many axes",
                                {&Limits::tensor_rank, limits_});
      entry.tensor.shape.push_back(json_.unsigned_integer("an extent of the shape"));
    }
  }

  void read_range(Entry& entry, bool again) {
    refuse_again(entry, again);
    const std::uint64_t at = json_.position();
    std::array<std::int64_t, 2> offsets{};
    std::size_t count = 0;
    json_.begin_array();
    while (json_.next_element()) {
      const std::int64_t offset = json_.unsigned_integer("an offset");
      if (count < offsets.size()) offsets[count] = offset;
      ++count;
    }
    if (count != offsets.size()) throw error(at, "data_offsets has not two numbers", entry.tensor.name, "[begin, end]");
    std::tie(entry.begin, entry.end) = std::pair(offsets[0], offsets[1]);
  }

  void check_size(const Entry& entry) const {
    std::uint64_t bytes = 0;
    try {
      bytes = byte_size(entry.tensor.shape, entry.tensor.dtype);
    } catch (const Error& overflow) {
      throw error(entry.header_byte, overflow.what_happened, entry.tensor.name, overflow.expected, overflow.found);
    }
    const int bits = dtype_bits(entry.tensor.dtype);
    if (bits % 8 != 0 && element_count(entry.tensor.shape) % 8 * bits % 8 != 0)
      throw error(entry.header_byte, "the elements do not fill whole bytes", entry.tensor.name);
    if (entry.end < entry.begin || static_cast<std::uint64_t>(entry.end - entry.begin) != bytes)
      throw error(entry.header_byte, "shape and data_offsets disagree", entry.tensor.name, base::plural(bytes, "byte"),
                  "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]");
  }

  void refuse_again(const Entry& entry, bool again) const {
    if (again) throw error(json_.position(), "a member of the tensor stands twice", entry.tensor.name);
  }

  void refuse_duplicates() const {
    std::unordered_set<std::string_view> names;
    const auto refuse_again = [&](std::string_view name, std::uint64_t at) {
      if (!names.insert(name).second)
        throw error(at, "a name stands twice; readers disagree on which one counts", std::string(name));
    };
    names.reserve(header_.entries.size());
    for (const Entry& entry : header_.entries) refuse_again(entry.tensor.name, entry.header_byte);
    names.clear();
    for (const auto& [key, value] : header_.metadata) refuse_again(key, 0);
  }

  Error error(std::uint64_t at, std::string what, std::string key, std::string expected = {},
              std::string found = {}) const {
    return Error(Code::Corrupt, Where{path_, {}, std::move(key), sizeof(std::uint64_t) + at}, std::move(what),
                 std::move(expected), std::move(found), std::string(kNext));
  }

  JsonReader json_;
  std::string path_;
  Limits limits_;
  Header header_;
  bool has_metadata_ = false;
};

/// The length, or the text that stands in its place: an HTML page, a git-lfs pointer, an error message of a server.
std::string length_text(const base::Cursor& in, std::uint64_t header_bytes) {
  constexpr std::size_t kShown = 48;
  const std::string_view whole = base::as_text(in.rest());
  std::string start;
  for (int i = 0; i < 8; ++i) start += static_cast<char>(static_cast<unsigned char>(header_bytes >> (8 * i)));
  const auto printable = [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; };
  if (!std::all_of(start.begin(), start.end(), printable)) return base::bytes_text(header_bytes);
  return "text: `" + base::escape_for_terminal(start + std::string(whole.substr(0, kShown))) + "`";
}

std::string_view read_header_text(base::Cursor& in, const Limits& limits) {
  const std::uint64_t header_bytes = in.u64("the header length");
  if (header_bytes > limits.safetensors_header_bytes)
    throw base::limit_error(in.where(0), "the header is too long, or this is no safetensors file",
                            {&Limits::safetensors_header_bytes, limits}, length_text(in, header_bytes),
                            std::string(kNext));
  if (header_bytes > in.remaining())
    throw in.error_at(0, Code::Corrupt, "the header is longer than the file", base::plural(in.remaining(), "byte"),
                      base::plural(header_bytes, "byte"), "the file is cut short: fetch it again");
  return in.text(header_bytes, "the header");
}

/// Sorted by offset the ranges must cover the data once: no hole, no overlap, nothing behind the last.
void check_ranges(const std::vector<Entry>& entries, std::uint64_t data_start, std::uint64_t data_bytes,
                  const std::string& path) {
  const auto refuse = [&](const std::string& key, std::uint64_t at, std::string what, std::string expected,
                          std::string found) {
    throw Error(Code::Corrupt, Where{path, {}, key, data_start + at}, std::move(what), std::move(expected),
                std::move(found), std::string(kNext));
  };
  std::int64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end)
      refuse(entry.tensor.name, static_cast<std::uint64_t>(end),
             entry.begin > end ? "the data have a hole before this tensor" : "this tensor overlaps the one before it",
             "begin at " + std::to_string(end), std::to_string(entry.begin));
    end = entry.end;
  }
  const auto used = static_cast<std::uint64_t>(end);
  if (used != data_bytes)
    refuse({}, std::min(used, data_bytes),
           used > data_bytes ? "the file ends before its last tensor" : "bytes follow the last tensor",
           base::plural(used, "byte") + " of tensors", base::plural(data_bytes, "byte"));
}

/// The digests stand among the metadata, too. A text that only they look like counts under any key, so that a changed
/// key does not hide them.
std::optional<std::string> take_digests(std::vector<std::pair<std::string, std::string>>& metadata) {
  const auto found = std::find_if(metadata.begin(), metadata.end(), [](const auto& pair) {
    return pair.first == kDigestsKey || looks_like_digests(pair.second);
  });
  if (found == metadata.end()) return std::nullopt;
  std::string text = std::move(found->second);
  metadata.erase(found);
  return text;
}

/// The blueprint stands among the metadata, and is shown as what it is.
std::string take_blueprint(std::vector<std::pair<std::string, std::string>>& metadata) {
  const auto found =
      std::find_if(metadata.begin(), metadata.end(), [](const auto& pair) { return pair.first == kBlueprintKey; });
  if (found == metadata.end()) return {};
  std::string text = std::move(found->second);
  metadata.erase(found);
  return text;
}

}  // namespace

namespace {

/// The whole header, its entries in the order of their bytes, everything checked. `in` is moved to the data.
Header read_checked_header(base::Cursor& in, const std::string& path, const Limits& limits) {
  const std::string_view text = read_header_text(in, limits);
  Header header = HeaderReader(text, path, limits).read();
  const auto by_range = [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  };
  if (!std::is_sorted(header.entries.begin(), header.entries.end(), by_range))
    std::stable_sort(header.entries.begin(), header.entries.end(), by_range);
  check_ranges(header.entries, in.position(), in.remaining(), path);
  return header;
}

/// Null where the file has none. Takes them out of the header.
std::shared_ptr<const FileDigests> digests_of(const std::shared_ptr<const io::MappedFile>& file, Header& header,
                                              std::uint64_t data_begin) {
  std::optional<std::string> text = take_digests(header.metadata);
  if (!text) return nullptr;
  std::vector<std::uint64_t> row_bytes;
  std::vector<ByteRange> data;
  for (const Entry& entry : header.entries) {
    row_bytes.push_back(static_cast<std::uint64_t>(entry.end - entry.begin));
    data.push_back({data_begin + static_cast<std::uint64_t>(entry.begin), row_bytes.back()});
  }
  const auto start = base::as_text(file->bytes().first(data_begin));
  const ByteRange place{start.find(*text), text->size()};
  return std::make_shared<FileDigests>(file, std::move(*text), kDigestBlockBytes, row_bytes,
                                       [data = std::move(data), place] {
                                         return DigestPlaces{kDigestBlockBytes, data, place, {}};
                                       });
}

}  // namespace

Metadata check_safetensors(std::span<const std::byte> bytes, const std::string& path, const Limits& limits) {
  base::Cursor in(bytes, path);
  Header header = read_checked_header(in, path, limits);
  static_cast<void>(take_digests(header.metadata));
  return std::move(header.metadata);
}

std::shared_ptr<CheckpointCore> open_safetensors(const OpenRequest& request) {
  const auto& file = request.file;
  base::Cursor in(file->bytes(), request.path);
  Header header = read_checked_header(in, request.path, request.options.limits);

  auto core = std::make_shared<CheckpointCore>();
  core->file = request.path;
  core->format = Format::Safetensors;
  core->blueprint_json = take_blueprint(header.metadata);
  core->file_bytes = file->size();
  core->files = {file};
  const std::uint64_t data_begin = in.position();
  const auto digests = digests_of(file, header, data_begin);
  if (digests) core->add_digests(digests);
  core->metadata = std::move(header.metadata);
  core->containers.push_back(
      {.path = {}, .type = "dict", .parent = 0, .key = {}, .tensor_count = header.entries.size()});
  core->tensors.reserve(header.entries.size());
  core->storages.reserve(header.entries.size());
  core->storage_bytes.reserve(header.entries.size());
  for (Entry& entry : header.entries) {
    TensorInfo& tensor = core->tensors.emplace_back(std::move(entry.tensor));
    tensor.stride = dense_stride(tensor.shape);
    tensor.storage = static_cast<std::uint32_t>(core->storages.size());
    const auto bytes = static_cast<std::uint64_t>(entry.end - entry.begin);
    core->storages.push_back({.id = std::to_string(tensor.storage), .member = {}, .nbytes = bytes, .device = {}});
    StorageBytes& place = core->storage_bytes.emplace_back();
    place.offset = data_begin + static_cast<std::uint64_t>(entry.begin);
    if (digests) place.digests = {digests, tensor.storage};
  }
  return core;
}

// ---- writing

namespace {

/// Tensors in the official order: dtype from the last of the table to the first, then name.
std::vector<const SnapshotTensor*> in_file_order(const Snapshot& snapshot) {
  std::vector<const SnapshotTensor*> order;
  for (const SnapshotTensor& tensor : snapshot.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const SnapshotTensor* a, const SnapshotTensor* b) {
    return std::pair(name_of(b->dtype), std::string_view(a->name)) <
           std::pair(name_of(a->dtype), std::string_view(b->name));
  });
  return order;
}

void refuse_what_cannot_be_held(const WriteRequest& request) {
  std::vector<std::string> types, names;
  for (const SnapshotTensor& tensor : request.snapshot.tensors) {
    const int bits = dtype_bits(tensor.dtype);
    const bool whole = bits % 8 == 0 || element_count(tensor.shape) % 8 * bits % 8 == 0;
    if (name_of(tensor.dtype) == nullptr || !whole)
      types.push_back(tensor.name + " (" + std::string(dtype_name(tensor.dtype)) + ")");
    if (tensor.name == kMetadata || !base::is_utf8(tensor.name)) names.push_back(base::to_valid_utf8(tensor.name));
  }
  refuse_if_any(request.file, types, "safetensors cannot hold tensors of these types",
                next_for_types(request.snapshot, "cast them, or save as a PyTorch zip (.pt)"));
  refuse_if_any(request.file, names, "safetensors cannot hold tensors of these names", "rename them by a plan");
  refuse_if_any(
      request.file, names_that_stand_twice(request.snapshot), "two tensors would be saved under one name",
      "rename one of them by a plan; a PyTorch zip (.pt) keeps them apart where they stand in different dicts");
}

/// `begin_of_data`: of which number the place where the tensor bytes begin is a multiple.
std::string header_text(const std::vector<const SnapshotTensor*>& order,
                        std::vector<std::pair<std::string, std::string>> metadata, std::uint64_t begin_of_data) {
  const auto has_format = [](const auto& pair) { return pair.first == "format"; };
  if (std::none_of(metadata.begin(), metadata.end(), has_format)) metadata.emplace_back("format", "pt");
  std::sort(metadata.begin(), metadata.end());
  std::string text = "{\"__metadata__\":{";
  for (std::size_t i = 0; i < metadata.size(); ++i) {
    if (i > 0) text += ',';
    base::append_json_string(text, base::to_valid_utf8(metadata[i].first));
    text += ':';
    base::append_json_string(text, base::to_valid_utf8(metadata[i].second));
  }
  text += '}';
  std::uint64_t begin = 0;
  for (const SnapshotTensor* tensor : order) {
    const std::uint64_t end = begin + byte_size(tensor->shape, tensor->dtype);
    text += ',';
    base::append_json_string(text, tensor->name);
    text += ":{\"dtype\":\"";
    text += name_of(tensor->dtype)->name;
    text += "\",\"shape\":[";
    for (std::size_t axis = 0; axis < tensor->shape.size(); ++axis) {
      if (axis > 0) text += ',';
      text += std::to_string(tensor->shape[axis]);
    }
    text += "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]}";
    begin = end;
  }
  text += '}';
  const std::uint64_t unpadded = sizeof(std::uint64_t) + text.size();
  text.append((begin_of_data - unpadded % begin_of_data) % begin_of_data, ' ');
  return text;
}

std::string little_endian(std::uint64_t number) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
  return bytes;
}

/// What holds the place of the digests in the header: as long as they will be, and found again by looking for it; ""
/// for none.
std::string digests_to_come(Digests digests, const std::vector<const SnapshotTensor*>& order) {
  if (digests == Digests::None) return {};
  std::uint64_t blocks = 0;
  for (const SnapshotTensor* tensor : order)
    blocks += digest_blocks(byte_size(tensor->shape, tensor->dtype), kDigestBlockBytes);
  return std::string(digest_text_bytes(blocks, kDigestBlockBytes), '~');
}

/// Zero bytes take the place holder's place.
DigestPlaces take_places(std::string& header, const std::string& to_come,
                         const std::vector<const SnapshotTensor*>& order) {
  const std::string quoted = "\"" + std::string(kDigestsKey) + "\":\"" + to_come + "\"";
  const std::size_t found = header.find(quoted);
  TENON_ASSERT(found != std::string::npos);
  const std::size_t at = found + quoted.size() - 1 - to_come.size();
  header.replace(at, to_come.size(), to_come.size(), '\0');
  DigestPlaces places;
  places.text = {sizeof(std::uint64_t) + at, to_come.size()};
  std::uint64_t offset = sizeof(std::uint64_t) + header.size();
  for (const SnapshotTensor* tensor : order) {
    const std::uint64_t bytes = byte_size(tensor->shape, tensor->dtype);
    places.data.push_back({offset, bytes});
    offset += bytes;
  }
  return places;
}

}  // namespace

Layout lay_out_safetensors(const WriteRequest& request) {
  refuse_what_cannot_be_held(request);
  Layout layout;
  const std::string dropped = leave_out_objects(request, objects_to_leave_out(request.snapshot), "safetensors");
  for (const std::string& note : {dropped, sharing_note(request.snapshot, "safetensors")})
    if (!note.empty()) layout.notes.push_back(note);
  auto order = in_file_order(request.snapshot);
  auto metadata = request.snapshot.metadata;
  if (const std::string& blueprint = request.snapshot.blueprint_json; !blueprint.empty())
    metadata.emplace_back(kBlueprintKey, blueprint);
  const std::string digests = digests_to_come(request.digests, order);
  std::erase_if(metadata, [](const auto& pair) { return pair.first == kDigestsKey; });
  if (!digests.empty()) metadata.emplace_back(kDigestsKey, digests);
  // The official writer's bytes where nothing of tenon's own is in the file. Elsewhere the tensors begin where a line
  // of the processor's cache does, as they do in the memory they are read into: the kernel copies faster between the
  // two.
  std::string header = header_text(order, std::move(metadata), digests.empty() ? 8 : 64);
  if (!digests.empty()) layout.digests = take_places(header, digests, order);
  layout.file_bytes = sizeof(std::uint64_t) + header.size();
  for (const SnapshotTensor* tensor : order) layout.file_bytes += byte_size(tensor->shape, tensor->dtype);
  layout.write = [start = little_endian(header.size()) + header, order = std::move(order)](const Sink& sink) {
    sink(base::as_bytes(start));
    for (const SnapshotTensor* tensor : order) write_tensor(*tensor, sink);
  };
  return layout;
}

}  // namespace tenon::formats
