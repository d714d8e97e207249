// Source of names and index: transformers, save_pretrained(max_shard_size=...), and huggingface_hub serialization.
#include "save/shards.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <tenon/error.hpp>

#include "base/json_text.hpp"
#include "io/atomic_file.hpp"
#include "save/journal.hpp"

namespace tenon::saving {

namespace {

namespace paths = std::filesystem;

constexpr std::uint64_t kMaxGeneration = std::uint64_t{1} << 62U;

std::uint64_t bytes_of(const SnapshotTensor& tensor) { return byte_size(tensor.shape, tensor.dtype); }

/// A shard without tensors yet: the same tree above them.
Snapshot empty_like(const Snapshot& snapshot) {
  Snapshot shard;
  shard.containers = snapshot.containers;
  for (Container& container : shard.containers) container.tensor_count = 0;
  return shard;
}

void add(Snapshot& shard, const SnapshotTensor& tensor) {
  ++shard.containers[tensor.container].tensor_count;
  shard.tensors.push_back(tensor);
}

}  // namespace

std::vector<Snapshot> cut_into_shards(const Snapshot& snapshot, std::uint64_t max_bytes) {
  std::vector<Snapshot> shards;
  std::map<std::uint64_t, std::size_t> shard_of_storage;
  std::uint64_t used = 0;
  for (const SnapshotTensor& tensor : snapshot.tensors) {
    if (tensor.storage) {
      const auto known = shard_of_storage.find(*tensor.storage);
      if (known != shard_of_storage.end()) {
        add(shards[known->second], tensor);
        continue;
      }
    }
    const std::uint64_t bytes = bytes_of(tensor);
    if (shards.empty() || (used > 0 && (bytes > max_bytes || used > max_bytes - bytes))) {
      shards.push_back(empty_like(snapshot));
      used = 0;
    }
    used += bytes;
    add(shards.back(), tensor);
    if (tensor.storage) shard_of_storage.emplace(*tensor.storage, shards.size() - 1);
  }
  if (shards.empty()) shards.push_back(empty_like(snapshot));
  shards.front().objects = snapshot.objects;
  shards.front().blueprint_json = snapshot.blueprint_json;
  for (Snapshot& shard : shards) shard.metadata = snapshot.metadata;
  return shards;
}

std::string shard_path(const std::string& path, std::size_t number, std::size_t count, std::uint64_t generation) {
  const paths::path whole(path);
  const std::string mark = generation > 1 ? fmt::format(".g{}", generation) : std::string{};
  const std::string name =
      fmt::format("{}{}-{:05}-of-{:05}{}", whole.stem().string(), mark, number, count, whole.extension().string());
  return io::path_in(whole.parent_path().string(), name);
}

namespace {

/// Takes digits from the front; nothing where there are none or too many.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// The inverse of shard_path; 0 for a name that is none of `whole`'s shards.
std::uint64_t generation_of(std::string_view name, const paths::path& whole) {
  const std::string stem = whole.stem().string(), extension = whole.extension().string();
  if (!take(name, stem)) return 0;
  std::uint64_t generation = 1;
  if (take(name, ".g")) generation = take_number(name).value_or(0);
  const bool is_shard = take(name, "-") && take_number(name) && take(name, "-of-") && take_number(name);
  // What is about to overflow is not tenon's.
  return is_shard && name == extension && generation < kMaxGeneration ? generation : 0;
}

}  // namespace

bool is_shard_of(std::string_view name, const std::string& path) { return generation_of(name, paths::path(path)) > 0; }

std::uint64_t next_generation(io::Fs& fs, const std::string& path, std::uint64_t skipped) {
  const paths::path whole(path);
  std::uint64_t greatest = 0;
  for (const std::string& name : fs.list(io::folder_of(path)))
    greatest = std::max(greatest, generation_of(name, whole));
  for (const std::string& name : files_of_index(fs, index_path(path)))
    greatest = std::max(greatest, generation_of(name, whole));
  return greatest + 1 + skipped;
}

void refuse_index_elsewhere(io::Fs& fs, const std::string& path) {
  const std::string index = index_path(path), target = io::resolve_links(fs, index);
  const std::string folder = io::folder_of(index), other = io::folder_of(target);
  if (other == folder) return;
  const auto here = fs.state(folder), there = fs.state(other);
  if (here && there && here->device == there->device && here->inode == there->inode) return;
  throw Error(Code::Refused, {index, {}, {}, {}},
              "the index is a link into another folder, and shards stand beside one",
              "an index in the folder of its shards", "a link to " + target,
              "save to the folder that the link leads to, or remove the link first");
}

std::string index_path(const std::string& path) { return path + ".index.json"; }

namespace {

std::string file_name(const ShardFile& shard) { return paths::path(shard.path).filename().string(); }

std::string weight_map(const std::vector<ShardFile>& shards) {
  std::string map;
  for (const ShardFile& shard : shards)
    for (const SnapshotTensor& tensor : shard.content.tensors) {
      map += map.empty() ? "\n    " : ",\n    ";
      base::append_json_string(map, tensor.name);
      map += ": ";
      base::append_json_string(map, file_name(shard));
    }
  return map;
}

/// The members of `metadata` that tell the files' sizes and digests.
std::string file_list(const std::vector<ShardFile>& shards) {
  constexpr std::size_t kHexBytes = 32;
  std::string list;
  for (const ShardFile& shard : shards) {
    list += list.empty() ? "\n      " : ",\n      ";
    base::append_json_string(list, file_name(shard));
    list += fmt::format(": {{\"bytes\": {}, \"digest\": \"{}\"}}", shard.file_bytes,
                        shard.digest.empty() ? std::string(kHexBytes, '0') : shard.digest);
  }
  return fmt::format(",\n    \"{}\": {{{}\n    }}", formats::kFilesKey, list);
}

}  // namespace

IndexText index_text(const std::vector<ShardFile>& shards, Digests digests) {
  std::uint64_t total = 0;
  for (const ShardFile& shard : shards)
    for (const SnapshotTensor& tensor : shard.content.tensors) total += bytes_of(tensor);
  std::string head = fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {}", total);
  IndexText index;
  if (digests == Digests::Write) {
    head += file_list(shards) + fmt::format(",\n    \"{}\": \"", formats::kDigestsKey);
    const std::uint64_t bytes = formats::digest_text_bytes(0, formats::kNoBlocks);
    index.digests = formats::DigestPlaces{formats::kNoBlocks, {}, {head.size(), bytes}, {}};
    head += std::string(bytes, '\0') + '"';
  }
  index.text = head + fmt::format("\n  }},\n  \"weight_map\": {{{}\n  }}\n}}\n", weight_map(shards));
  return index;
}

}  // namespace tenon::saving
