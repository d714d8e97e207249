// Shard index
//
//   {"metadata": {"total_size": 123, ...}, "weight_map": {"tensor name": "model-00001-of-00002.safetensors", ...}}
//
// The index says where each tensor is; the shards are whole files of their own. Readers disagree on what counts where
// the two contradict each other, so contradictions are refused.
// Source: huggingface_hub, serialization/_base.py and the files that transformers and diffusers write.
#include "formats/sharded.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/cursor.hpp"
#include "base/json_reader.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "formats/merge.hpp"
#include "formats/open.hpp"

namespace tenon::formats {

namespace {

using base::JsonReader;

constexpr std::string_view kNext = "fetch the index and its shards again, or save the model again";

/// What the index says of a shard, where tenon wrote it.
struct ShardClaim {
  std::uint64_t bytes = 0;
  std::string digest;
};

struct Index {
  std::map<std::string, ShardClaim> files;
  std::map<std::string, std::vector<std::string>> shards;  ///< file -> the tensors that it is said to hold
  std::vector<std::pair<std::string, std::string>> metadata;
};

class IndexReader {
 public:
  explicit IndexReader(const OpenRequest& request)
      : text_(base::as_text(request.file->bytes())),
        json_(text_, request.path, 0, request.options.limits.json_depth),
        limits_(request.options.limits) {}

  Index read() {
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      if (*key == "weight_map")
        read_map();
      else if (*key == "metadata" && json_.peek() == JsonReader::Kind::Object)
        read_metadata();
      else
        json_.skip_value();
    }
    json_.end();
    if (index_.shards.empty())
      throw json_.error(0, "the index maps no tensor to a file", "a member \"weight_map\" with names and files");
    return std::move(index_);
  }

 private:
  void read_map() {
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      std::string name(*key);
      const std::uint64_t at = json_.position();
      const std::string file(json_.string("a file of weight_map"));
      if (!known_.emplace(name, true).second)
        throw json_.error(at, "a tensor stands twice in the index", "one file for each tensor",
                          base::escape_for_terminal(name));
      index_.shards[file].push_back(std::move(name));
      if (index_.shards.size() > limits_.shards)
        throw base::limit_error(json_.error(at, {}).where, "the index names too many files",
                                {&Limits::shards, limits_});
    }
  }

  /// Texts as they are, other values as they are written.
  void read_metadata() {
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      std::string name(*key);
      if (name == kFilesKey && json_.peek() == JsonReader::Kind::Object) {
        read_files();
        continue;
      }
      if (json_.peek() == JsonReader::Kind::String) {
        index_.metadata.emplace_back(std::move(name), json_.string("a value of metadata"));
        continue;
      }
      const std::uint64_t begin = json_.position();
      json_.skip_value();
      std::string_view value = text_.substr(begin, json_.position() - begin);
      value.remove_prefix(std::min(value.find_first_not_of(": \t\r\n"), value.size()));
      index_.metadata.emplace_back(std::move(name), value);
    }
  }

  void read_files() {
    json_.begin_object();
    while (const auto file = json_.next_key()) {
      ShardClaim& claim = index_.files[std::string(*file)];
      json_.begin_object();
      while (const auto key = json_.next_key()) {
        if (*key == "bytes")
          claim.bytes = static_cast<std::uint64_t>(json_.unsigned_integer("the size of a shard"));
        else if (*key == "digest")
          claim.digest = json_.string("the digest of a shard");
        else
          json_.skip_value();
      }
    }
  }

  std::string_view text_;
  JsonReader json_;
  const Limits& limits_;
  Index index_;
  std::unordered_map<std::string, bool> known_;
};

/// The digest of the index itself, wherever it stands in the text: a changed key does not hide it.
std::shared_ptr<const FileDigests> digests_of_text(const std::shared_ptr<const io::MappedFile>& file) {
  const std::string_view text = base::as_text(file->bytes());
  const std::string key = "\"" + std::string(kDigestsKey) + "\": \"";
  const std::size_t bytes = digest_text_bytes(0, kNoBlocks);
  std::size_t at = text.find(key);
  at = at != std::string_view::npos ? at + key.size() : text.find("xxh3-128 ");
  if (at == std::string_view::npos) return nullptr;
  const ByteRange place{at, std::min(bytes, text.size() - at)};
  return std::make_shared<FileDigests>(file, std::string(text.substr(at, place.bytes)), kNoBlocks,
                                       std::span<const std::uint64_t>{}, [place] {
                                         return DigestPlaces{kNoBlocks, {}, place, {}};
                                       });
}

class ShardedCheckpoint {
 public:
  explicit ShardedCheckpoint(const OpenRequest& request)
      : request_(request),
        folder_(std::filesystem::path(request.path).parent_path().string()),
        core_(std::make_shared<CheckpointCore>()) {
    if (folder_.empty()) folder_ = ".";
    core_->file = request.path;
    core_->file_bytes = request.file->size();
    core_->salvage = request.options.salvage;
    core_->limits = request.options.limits;
    core_->containers.push_back({.path = {}, .type = "dict", .key = {}});
  }

  std::shared_ptr<CheckpointCore> open() {
    const Index index = IndexReader(request_).read();
    files_ = index.files;
    core_->metadata = index.metadata;
    std::erase_if(core_->metadata, [](const auto& pair) { return pair.first == kDigestsKey; });
    if (auto digests = digests_of_text(request_.file)) core_->add_digests(std::move(digests));
    for (const auto& [file, names] : index.shards) add_shard(file, names);
    note_size();
    return std::move(core_);
  }

 private:
  void add_shard(const std::string& file, const std::vector<std::string>& names) {
    std::shared_ptr<CheckpointCore> shard;
    try {
      shard = read_shard(file, names.front());
    } catch (const Error& error) {
      if (core_->salvage == Salvage::No) throw;
      core_->warnings.push_back(base::plural(names.size(), "tensor") + " left out: " + error.what());
      return;
    }
    for (const std::string& name : names) require(shard->find(name).has_value(), name, file);
    claim_names(*shard, file, names.size());
    core_->format = shard->format == Format::Safetensors ? Format::SafetensorsSharded : Format::PytorchSharded;
    core_->format_version = shard->format_version;
    core_->producer = shard->producer;
    core_->file_bytes += shard->file_bytes;
    if (core_->blueprint_json.empty()) core_->blueprint_json = std::move(shard->blueprint_json);
    for (auto& entry : shard->metadata)
      if (std::find(core_->metadata.begin(), core_->metadata.end(), entry) == core_->metadata.end())
        core_->metadata.push_back(std::move(entry));
    merge(*core_, std::move(*shard));
  }

  std::shared_ptr<CheckpointCore> read_shard(const std::string& file, const std::string& needed_by) const {
    try {
      const auto opened = io::MappedFile::open_beside(folder_, file, request_.options.mode);
      const auto claim = files_.find(file);
      if (claim != files_.end()) require_size(claim->second, *opened);
      auto shard = open_core({opened->path(), opened, request_.options, request_.depth + 1});
      if (claim != files_.end()) require_digest(claim->second, *shard);
      return shard;
    } catch (const Error& error) {
      if (error.code != Code::NotFound) throw;
      throw Error(Code::Corrupt, {request_.path, {}, needed_by, {}}, "a shard that the index names is missing",
                  folder_ + "/" + base::escape_for_terminal(file), {},
                  "fetch the missing file into the same folder; --salvage reads the others");
    }
  }

  void require_size(const ShardClaim& claim, const io::MappedFile& shard) const {
    if (claim.bytes == shard.size() || request_.options.check == Check::No) return;
    throw Error(Code::Corrupt, {shard.path(), {}, {}, {}}, "the shard has another size than when the index was saved",
                base::plural(claim.bytes, "byte"), base::plural(shard.size(), "byte"),
                "it is cut short, or of another save: fetch or save all files again; --salvage reads the others");
  }

  /// Of a shard whose digests are damaged verify() tells; nothing can be compared here.
  void require_digest(const ShardClaim& claim, const CheckpointCore& shard) const {
    const bool has_digests = !shard.digests.empty();
    if (request_.options.check == Check::No || (has_digests && !shard.digests.front()->problem().empty())) return;
    const std::string found(has_digests ? shard.digests.front()->file_digest() : std::string_view());
    if (found == claim.digest) return;
    throw Error(Code::Corrupt, {shard.file, {}, {}, {}}, "the shard is of another save than the index",
                "a file of digest " + base::escape_for_terminal(claim.digest.substr(0, 40)),
                has_digests ? found : "a file without digests",
                "fetch or save all files again; --salvage reads the others");
  }

  void require(bool is_there, const std::string& name, const std::string& file) const {
    if (is_there || core_->salvage == Salvage::Yes) return;
    throw Error(Code::Corrupt, {request_.path, {}, name, {}}, "a tensor is not in the shard that the index names",
                "in " + base::escape_for_terminal(file), {}, std::string(kNext));
  }

  void claim_names(const CheckpointCore& shard, const std::string& file, std::size_t expected) {
    for (const TensorInfo& tensor : shard.tensors) {
      const auto [other, is_new] = owners_.try_emplace(tensor.name, file);
      if (!is_new && core_->salvage == Salvage::No)
        throw Error(Code::Corrupt, {request_.path, {}, tensor.name, {}}, "two shards hold a tensor of the same name",
                    "one", base::escape_for_terminal(other->second) + " and " + base::escape_for_terminal(file),
                    std::string(kNext));
    }
    if (shard.tensors.size() > expected)
      core_->warnings.push_back(base::escape_for_terminal(file) + " holds " +
                                base::plural(shard.tensors.size() - expected, "tensor") +
                                " that the index does not name; they are read as well");
  }

  /// Wrong totals are common (tied weights, converters), and decide nothing.
  void note_size() {
    std::uint64_t bytes = 0;
    for (const TensorInfo& tensor : core_->tensors) bytes += byte_size(tensor.shape, tensor.dtype);
    for (const auto& [key, value] : core_->metadata)
      if (key == "total_size" && value != std::to_string(bytes))
        core_->warnings.push_back("the index says " + base::escape_for_terminal(value.substr(0, 40)) +
                                  " bytes of tensors; the shards hold " + std::to_string(bytes));
  }

  const OpenRequest& request_;
  std::string folder_;
  std::map<std::string, ShardClaim> files_;
  std::shared_ptr<CheckpointCore> core_;
  std::unordered_map<std::string, std::string> owners_;  ///< tensor -> file
};

/// The index as it is now, when it is another file than the one that was read; else null.
std::shared_ptr<const io::MappedFile> replaced_index(const OpenRequest& request) {
  if (request.depth > 0 || io::path_kind(request.path) != io::PathKind::File) return nullptr;
  auto now = io::MappedFile::open(request.path, request.options.mode);
  return now->is_same_file(*request.file) ? nullptr : now;
}

/// How often an index may be replaced while it is being opened.
constexpr int kReplacements = 16;

}  // namespace

bool looks_like_shard_index(std::string_view head) {
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && head[first] == '{' && head.find("\"weight_map\"") != std::string_view::npos;
}

/// A save that replaces the checkpoint removes the old shards once the new index stands, and a third one may take their
/// names again. So what was opened counts only when the index is still the one that was read; else the new one is
/// taken. Once opened, shards stay whole: they are mapped.
std::shared_ptr<CheckpointCore> open_sharded(const OpenRequest& request) {
  OpenRequest now = request;
  for (int replacements = 0; replacements < kReplacements; ++replacements) {
    std::shared_ptr<CheckpointCore> core;
    std::exception_ptr failed;
    try {
      core = ShardedCheckpoint(now).open();
    } catch (const Error&) {
      failed = std::current_exception();
    }
    auto newer = replaced_index(now);
    if (!newer && failed) std::rethrow_exception(failed);
    if (!newer) return core;
    now.file = std::move(newer);
  }
  throw Error(Code::Read, {request.path, {}, {}, {}}, "the checkpoint was replaced again and again while it was opened",
              {}, {}, "open it again when its writer is done");
}

}  // namespace tenon::formats
