// verify: every byte against the digests that tenon stored, every archive entry against its checksum, the structure
// through opening, and, if asked for, every value.
#include <tenon/verify.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <tenon/error.hpp>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "container/inflate.hpp"
#include "container/zip_reader.hpp"
#include "formats/detect.hpp"
#include "formats/folder.hpp"
#include "formats/open.hpp"
#include "formats/torch_zip.hpp"
#include "formats/zip_digests.hpp"
#include "io/mapped_file.hpp"
#include "verify/blocks.hpp"
#include "verify/finite.hpp"
#include "verify/verify_file.hpp"

namespace tenon {

namespace {

using verification::Piece;
using verification::PieceResult;

std::string place_of(const Error& error) {
  std::string place = error.where.member;
  const auto add = [&](const std::string& part) { place += (place.empty() ? "" : ", ") + part; };
  if (!error.where.key.empty()) add(error.where.key);
  if (error.where.byte) add("byte " + std::to_string(*error.where.byte));
  return place.empty() ? "file" : place;
}

std::string sentence_of(const Error& error) {
  std::string text = error.what_happened;
  if (!error.expected.empty()) text += "; expected " + error.expected;
  if (!error.found.empty()) text += (error.expected.empty() ? "; found " : ", found ") + error.found;
  return text;
}

Problem as_problem(const Error& error) { return {place_of(error), sentence_of(error)}; }

/// With the name of the file, where a checkpoint has several.
Problem problem_in(const std::string& checkpoint, const Error& error) {
  Problem problem = as_problem(error);
  if (!error.where.file.empty() && error.where.file != checkpoint)
    problem.where = error.where.file + ": " + problem.where;
  return problem;
}

/// Damage is an answer; a file that cannot be read at all, or of a kind that tenon does not read, is not.
bool is_damage(const Error& error) { return error.code == Code::Corrupt || error.code == Code::Limit; }

bool is_in_parts(const Checkpoint& checkpoint) {
  return checkpoint.format() == Format::TorchDcp || checkpoint.format() == Format::PytorchSharded ||
         checkpoint.format() == Format::SafetensorsSharded || checkpoint.format() == Format::Zip;
}

void check_values(const Checkpoint& checkpoint, const std::set<std::string>& damaged, VerifiedFile& result) {
  std::uint64_t without_numbers = 0;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const TensorInfo& info = checkpoint.tensors()[i];
    if (is_block_dtype(info.dtype) || info.dtype == DType::Unknown) {
      ++without_numbers;
      continue;
    }
    if (info.storage == kNoStorage || damaged.contains(checkpoint.storages()[info.storage].member)) continue;
    try {
      const verification::NonFinite found = verification::count_non_finite(checkpoint.tensor(i));
      if (found.nan + found.infinite == 0) continue;
      result.problems.push_back(
          {info.name, fmt::format("{} and {} among {}", base::plural(found.nan, "NaN"),
                                  found.infinite == 1 ? "1 infinity" : base::count_text(found.infinite) + " infinities",
                                  base::plural(static_cast<std::uint64_t>(element_count(info.shape)), "element"))});
    } catch (const Error& error) {
      if (error.code == Code::Limit)  // a view that repeats its bytes: nothing is damaged, and not every value was seen
        result.notes.push_back(info.name + ": values not checked: " + sentence_of(error));
      else
        result.problems.push_back(as_problem(error));
    }
  }
  if (without_numbers > 0)
    result.notes.push_back(base::plural(without_numbers, "tensor") +
                           " in blocks or of unknown types: values not checked");
}

void note_placeholders(const Checkpoint& checkpoint, VerifiedFile& result) {
  const auto without =
      static_cast<std::uint64_t>(std::count_if(checkpoint.tensors().begin(), checkpoint.tensors().end(),
                                               [](const TensorInfo& info) { return info.storage == kNoStorage; }));
  if (without > 0)
    result.notes.push_back(base::plural(without, "tensor") + " without bytes (meta device): nothing to check");
}

/// Where a file's bytes are told of by its own digests.
bool has_digests(const formats::FileDigests* digests) { return digests != nullptr && digests->problem().empty(); }

/// "a.weight", "a.weight and 2 more": the tensors that a storage holds, by what they are looked up with.
class Names {
 public:
  void add(const std::string& name) {
    if (count_++ == 0) first_ = name;
  }
  std::string text() const { return count_ < 2 ? first_ : first_ + " and " + base::count_text(count_ - 1) + " more"; }

 private:
  std::string first_;
  std::uint64_t count_ = 0;
};

struct Row {
  const formats::FileDigests* digests = nullptr;
  std::size_t number = 0;
  friend auto operator<=>(const Row&, const Row&) = default;
};

/// What the metadata know of the bytes: which tensors stand in which row of digests, and in which member.
class Owners {
 public:
  explicit Owners(const formats::CheckpointCore* core) {
    if (core == nullptr) return;
    for (const TensorInfo& tensor : core->tensors) {
      if (tensor.storage == kNoStorage) continue;
      const formats::DigestRow& row = core->storage_bytes[tensor.storage].digests;
      if (has_digests(row.of.get())) {
        rows_[{row.of.get(), row.row}].add(tensor.name);
        ++digested_tensors_;
      }
      const std::string& member = core->storages[tensor.storage].member;
      if (!member.empty()) members_[member].add(tensor.name);
    }
  }

  std::string of_row(const Row& row) const { return text(rows_, row); }
  std::string of_member(const std::string& member) const { return text(members_, member); }
  std::uint64_t digested_tensors() const { return digested_tensors_; }

 private:
  template <class Key>
  static std::string text(const std::map<Key, Names>& all, const Key& key) {
    const auto found = all.find(key);
    return found == all.end() ? std::string() : found->second.text();
  }

  std::map<Row, Names> rows_;
  std::map<std::string, Names> members_;
  std::uint64_t digested_tensors_ = 0;
};

std::string joined(const std::string& a, const std::string& b) { return a.empty() || b.empty() ? a + b : a + ", " + b; }

/// One file, or several that make one checkpoint; every byte is looked at.
class FileCheck {
 public:
  FileCheck(std::shared_ptr<const io::MappedFile> file, std::string path, const VerifyOptions& options)
      : file_(std::move(file)), options_(options) {
    result_.file = std::move(path);
  }

  VerifiedFile run() {
    check_all();
    result_.ok = result_.problems.empty();
    return std::move(result_);
  }

 private:
  void check_all() {
    const bool is_archive = file_ && formats::is_archive(file_->bytes());
    std::optional<container::ZipReader> zip;
    try {
      if (is_archive) zip.emplace(file_->bytes(), result_.file, options_.limits, container::ZipDamage::Refuse);
    } catch (const Error& error) {
      if (!is_damage(error)) throw;
      result_.problems.push_back(as_problem(error));
      return;  // without a directory there is nothing that opening could add
    }
    std::optional<Error> refused;
    try {
      core_ = open_file();
    } catch (const Error& error) {
      if (!is_damage(error) && !is_archive) throw;
      refused = error;
    }
    const Owners owners(core_.get());
    if (zip) check_archive(*zip, owners);
    if (refused && !is_damage(*refused) && result_.problems.empty()) throw *refused;
    if (refused && !damaged_.contains(refused->where.member))
      result_.problems.push_back(problem_in(result_.file, *refused));
    if (core_) check_content(owners, is_archive);
  }

  std::shared_ptr<formats::CheckpointCore> open_file() const {
    const OpenOptions how{
        .mode = ReadMode::Map, .salvage = Salvage::No, .limits = options_.limits, .check = Check::Yes};
    return file_ ? formats::open_core({result_.file, file_, how}) : formats::open_folder(result_.file, how);
  }

  // ---- archives

  /// Every entry: its bytes are read once, for its CRC-32 and for the digests that tenon stored.
  void check_archive(const container::ZipReader& zip, const Owners& owners) {
    std::vector<Piece> pieces;
    std::vector<std::size_t> ends;  // behind the last piece of each entry
    const auto rows = digest_rows(zip);
    for (const container::ZipEntry& entry : zip.entries()) {
      try {
        add_entry(zip, entry, rows, pieces);
      } catch (const Error& error) {
        damaged_.insert(std::string(entry.name));
        result_.problems.push_back(as_problem(error));
      }
      ends.push_back(pieces.size());
    }
    const std::vector<PieceResult> results = verification::check_pieces(pieces, options_.progress);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < ends.size(); begin = ends[i++])
      if (begin < ends[i])
        tell_entry(zip, zip.entries()[i], std::span(pieces).subspan(begin, ends[i] - begin),
                   std::span(results).subspan(begin, ends[i] - begin), owners);
    if (zip.unlisted_bytes() > 0)
      result_.problems.push_back({"archive structure", base::plural(zip.unlisted_bytes(), "byte") +
                                                           " in the archive's directory belong to no entry"});
    if (zip.is_comment_cut())
      result_.problems.push_back({"archive structure", "the file ends within the comment behind the archive"});
    if (zip.has_checksums())
      done_.push_back("CRC-32 of " + entries_text(zip.entries().size()));
    else
      result_.notes.push_back("the archive was written without checksums: its bytes were read, not compared");
    result_.notes.insert(result_.notes.end(), zip.warnings().begin(), zip.warnings().end());
  }

  static std::string entries_text(std::size_t count) {
    return count == 1 ? "1 archive entry" : base::count_text(count) + " archive entries";
  }

  std::map<const container::ZipEntry*, Row> digest_rows(const container::ZipReader& zip) const {
    std::map<const container::ZipEntry*, Row> rows;
    const std::string pickle = formats::find_data_pickle(zip);
    if (!core_ || core_->digests.empty() || pickle.empty()) return rows;
    const formats::FileDigests* digests = core_->digests.front().get();
    if (!has_digests(digests) || digests->block_bytes() == formats::kNoBlocks) return rows;
    const auto root = std::string_view(pickle).substr(0, pickle.rfind('/') + 1);
    std::size_t row = 0;
    for (const container::ZipEntry* entry : formats::data_records(zip, root)) rows[entry] = {digests, row++};
    return rows;
  }

  void add_entry(const container::ZipReader& zip, const container::ZipEntry& entry,
                 const std::map<const container::ZipEntry*, Row>& rows, std::vector<Piece>& pieces) {
    const Where where = zip.where(entry);
    if (entry.is_encrypted()) throw Error(Code::Corrupt, where, "the archive entry is encrypted and cannot be checked");
    const std::uint64_t offset =
        container::zip_data_offset(file_->bytes(), entry.header_offset, entry.packed_bytes, entry.name, where);
    const auto packed = file_->bytes().subspan(offset, entry.packed_bytes);
    if (entry.method == container::kZipStored) {
      const auto row = rows.find(&entry);
      const Row known = row == rows.end() ? Row{} : row->second;
      verification::add_pieces(packed, known.digests, known.number, zip.has_checksums(), pieces);
    } else {
      check_packed(zip, entry, packed);
    }
    result_.checked_bytes += entry.packed_bytes;
  }

  void check_packed(const container::ZipReader& zip, const container::ZipEntry& entry,
                    std::span<const std::byte> packed) const {
    const Where where = zip.where(entry);
    if (entry.method != container::kZipDeflated)
      throw Error(Code::Corrupt, where, "the archive entry is packed by an unknown method",
                  "0 (stored) or 8 (deflated)", std::to_string(entry.method));
    const auto unpacked = container::inflate(packed, entry.unpacked_bytes, where, options_.limits);
    if (zip.has_checksums()) require_crc32(entry, base::crc32(unpacked), where);
  }

  static void require_crc32(const container::ZipEntry& entry, std::uint32_t found, const Where& where) {
    if (found != entry.crc32)
      throw Error(Code::Corrupt, where, "the checksum does not match the bytes", "CRC-32 " + base::hex(entry.crc32),
                  base::hex(found));
  }

  void tell_entry(const container::ZipReader& zip, const container::ZipEntry& entry, std::span<const Piece> pieces,
                  std::span<const PieceResult> results, const Owners& owners) {
    Where where = zip.where(entry);
    where.key = owners.of_member(where.member);
    if (tell_blocks(pieces, results, joined(where.member, where.key))) {
      damaged_.insert(where.member);
      return;
    }
    if (!zip.has_checksums()) return;
    try {
      require_crc32(entry, verification::crc32_of(pieces, results), where);
    } catch (const Error& error) {
      damaged_.insert(where.member);
      result_.problems.push_back(as_problem(error));
    }
  }

  /// True when there is something to tell.
  bool tell_blocks(std::span<const Piece> pieces, std::span<const PieceResult> results, const std::string& where) {
    bool is_damaged = false;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (results[i].matches) continue;
      const Piece& piece = pieces[i];
      const auto begin = static_cast<std::uint64_t>(piece.bytes.data() - piece.digests->file().bytes().data());
      result_.problems.push_back(
          {where, formats::damage_text(piece.block, piece.digests->blocks(piece.row), {begin, piece.bytes.size()})});
      is_damaged = true;
    }
    return is_damaged;
  }

  // ---- what opening made of it

  void check_content(const Owners& owners, bool is_archive) {
    const Checkpoint checkpoint(core_);
    const bool structure_told = !result_.problems.empty();
    for (const auto& digests : core_->digests) check_digests(*digests, owners, is_archive, structure_told);
    note_digests(owners);
    if (is_in_parts(checkpoint)) {
      check_parts(checkpoint);
    } else if (!is_archive) {
      result_.checked_bytes = checkpoint.file_bytes();
      if (core_->digests.empty())
        result_.notes.push_back(
            "this format has no checksums: the header and every offset were checked, a changed value cannot be seen");
    }
    if (options_.finite == Finite::Require) check_values(checkpoint, damaged_, result_);
    note_placeholders(checkpoint, result_);
    for (const std::string& warning : checkpoint.warnings())
      if (std::find(result_.notes.begin(), result_.notes.end(), warning) == result_.notes.end() && !is_told(warning))
        result_.notes.push_back(warning);
  }

  bool is_told(const std::string& warning) const {
    return std::any_of(core_->digests.begin(), core_->digests.end(),
                       [&](const auto& digests) { return digests->problem() == warning; });
  }

  /// The digests of one file: its blocks, where the archive's check has not looked at them, and all its other bytes.
  void check_digests(const formats::FileDigests& digests, const Owners& owners, bool is_archive, bool structure_told) {
    const std::string file = digests.file().path() == result_.file ? "" : digests.file().path() + ": ";
    if (!digests.problem().empty()) return result_.problems.push_back({file + "digests", digests.problem()});
    const bool has_blocks = digests.block_bytes() != formats::kNoBlocks;
    try {
      if (has_blocks && !is_archive) check_blocks(digests, owners, file);
      if (!digests.rest_matches() && !(is_archive && structure_told && outside_data_told()))
        result_.problems.push_back({file + std::string(place_of_rest(digests)),
                                    "bytes outside the tensors are not as they were saved: "
                                    "their XXH3-128 digest differs"});
    } catch (const Error& error) {
      if (!is_damage(error)) throw;
      if (!damaged_.contains(error.where.member)) result_.problems.push_back(problem_in(result_.file, error));
    }
  }

  /// An entry that holds no tensor is damaged: that is what the digest of the rest would find again.
  bool outside_data_told() const {
    return std::any_of(damaged_.begin(), damaged_.end(),
                       [](const std::string& member) { return member.find("/data/") == std::string::npos; });
  }

  static std::string_view place_of_rest(const formats::FileDigests& digests) {
    if (formats::is_archive(digests.file().bytes())) return "archive structure";
    return digests.block_bytes() == formats::kNoBlocks ? "index" : "header";
  }

  void check_blocks(const formats::FileDigests& digests, const Owners& owners, const std::string& file) {
    const auto places = digests.places();
    std::vector<Piece> pieces;
    for (std::size_t row = 0; row < places.data.size(); ++row)
      verification::add_pieces(digests.file().bytes().subspan(places.data[row].offset, places.data[row].bytes),
                               &digests, row, false, pieces);
    const std::vector<PieceResult> results = verification::check_pieces(pieces, options_.progress);
    for (std::size_t i = 0; i < pieces.size(); ++i)
      if (!results[i].matches)
        tell_blocks(std::span(pieces).subspan(i, 1), std::span(results).subspan(i, 1),
                    file + owners.of_row({&digests, pieces[i].row}));
    result_.checked_bytes += digests.file().size();
  }

  void note_digests(const Owners& owners) {
    const auto usable = [](const auto& digests) { return digests->problem().empty(); };
    if (std::any_of(core_->digests.begin(), core_->digests.end(), usable)) {
      const std::uint64_t tensors = owners.digested_tensors();
      done_.push_back("XXH3-128 of " + (tensors > 0 ? base::plural(tensors, "tensor") + " and " : std::string()) +
                      "all other bytes");
    }
    if (!done_.empty()) result_.notes.insert(result_.notes.begin(), "checked: " + base::join(done_, ", "));
  }

  /// Several files: reading every storage checks its checksum where its file has one, and no digests.
  void check_parts(const Checkpoint& checkpoint) {
    std::set<std::uint32_t> read;
    bool unchecked = false;
    for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
      const std::uint32_t storage = checkpoint.tensors()[i].storage;
      if (storage == kNoStorage || !read.insert(storage).second) continue;
      if (has_digests(core_->storage_bytes[storage].digests.of.get())) continue;
      unchecked = true;
      try {
        result_.checked_bytes += checkpoint.tensor(i).storage.size();
      } catch (const Error& error) {
        if (!is_damage(error)) throw;
        result_.problems.push_back(problem_in(checkpoint.file(), error));
      }
    }
    if (checkpoint.format() == Format::SafetensorsSharded && unchecked)
      result_.notes.push_back(
          "safetensors has no checksums: headers and offsets were checked, a changed value cannot be seen");
  }

  std::shared_ptr<const io::MappedFile> file_;  ///< null for a folder
  const VerifyOptions& options_;
  std::shared_ptr<formats::CheckpointCore> core_;
  VerifiedFile result_;
  std::set<std::string> damaged_;  ///< members, so that no damage is told twice
  std::vector<std::string> done_;  ///< checks
};

}  // namespace

VerifiedFile verification::verify_file(std::shared_ptr<const io::MappedFile> file, const std::string& path,
                                       const VerifyOptions& options) {
  return FileCheck(std::move(file), path, options).run();
}

VerifiedFile verify(const std::string& path, const VerifyOptions& options) {
  const bool is_folder = io::path_kind(path) == io::PathKind::Folder;
  return verification::verify_file(is_folder ? nullptr : io::MappedFile::open(path, ReadMode::Map), path, options);
}

}  // namespace tenon
