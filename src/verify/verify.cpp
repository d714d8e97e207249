// verify: every archive entry against its checksum, the structure through open(), and, if asked for, every value.
#include <tenon/verify.hpp>

#include <algorithm>
#include <cstddef>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <tenon/error.hpp>

#include "base/digest.hpp"
#include "base/text.hpp"
#include "container/inflate.hpp"
#include "container/zip_reader.hpp"
#include "formats/detect.hpp"
#include "io/mapped_file.hpp"
#include "verify/finite.hpp"

namespace tenon {

namespace {

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

/// CRC-32 of the entry's bytes as they are unpacked.
std::uint32_t checksum(const container::ZipEntry& entry, std::span<const std::byte> packed, const Where& where,
                       const Limits& limits) {
  if (entry.method == container::kZipStored) return base::crc32(packed);
  if (entry.method == container::kZipDeflated)
    return base::crc32(container::inflate(packed, entry.unpacked_bytes, where, limits));
  throw Error(Code::Corrupt, where, "the archive entry is packed by an unknown method", "0 (stored) or 8 (deflated)",
              std::to_string(entry.method));
}

void check_entry(std::span<const std::byte> archive, const container::ZipReader& reader,
                 const container::ZipEntry& entry, const Limits& limits) {
  const Where where = reader.where(entry);
  if (entry.is_encrypted()) throw Error(Code::Corrupt, where, "the archive entry is encrypted and cannot be checked");
  const std::uint64_t offset =
      container::zip_data_offset(archive, entry.header_offset, entry.packed_bytes, entry.name, where);
  const std::uint32_t found = checksum(entry, archive.subspan(offset, entry.packed_bytes), where, limits);
  if (reader.has_checksums() && found != entry.crc32)
    throw Error(Code::Corrupt, where, "the checksum does not match the bytes", "CRC-32 " + base::hex(entry.crc32),
                base::hex(found));
}

/// Every entry of the archive. Returns the members that are damaged, so that no damage is told twice.
std::set<std::string> check_archive(const io::MappedFile& file, const Limits& limits, VerifiedFile& result) {
  std::set<std::string> damaged;
  const container::ZipReader reader(file.bytes(), file.path(), limits, container::ZipDamage::Refuse);
  for (const container::ZipEntry& entry : reader.entries()) {
    try {
      check_entry(file.bytes(), reader, entry, limits);
      result.checked_bytes += entry.packed_bytes;
    } catch (const Error& error) {
      damaged.insert(std::string(entry.name));
      result.problems.push_back(as_problem(error));
    }
  }
  if (!reader.has_checksums())
    result.notes.push_back("the archive was written without checksums: its bytes were read, not compared");
  result.notes.insert(result.notes.end(), reader.warnings().begin(), reader.warnings().end());
  return damaged;
}

bool is_in_parts(const Checkpoint& checkpoint) {
  return checkpoint.format() == Format::TorchDcp || checkpoint.format() == Format::PytorchSharded ||
         checkpoint.format() == Format::SafetensorsSharded || checkpoint.format() == Format::Zip;
}

/// Several files: reading every storage checks its checksum where its file has one.
void check_parts(const Checkpoint& checkpoint, VerifiedFile& result) {
  std::set<std::uint32_t> read;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const std::uint32_t storage = checkpoint.tensors()[i].storage;
    if (storage == kNoStorage || !read.insert(storage).second) continue;
    try {
      result.checked_bytes += checkpoint.tensor(i).storage.size();
    } catch (const Error& error) {
      if (!is_damage(error)) throw;
      result.problems.push_back(problem_in(checkpoint.file(), error));
    }
  }
  if (checkpoint.format() == Format::SafetensorsSharded)
    result.notes.push_back(
        "safetensors has no checksums: headers and offsets were checked, a changed value cannot be seen");
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

}  // namespace

VerifiedFile verify(const std::string& path, const VerifyOptions& options) {
  VerifiedFile result;
  result.file = path;
  std::set<std::string> damaged;
  bool is_archive = false;
  if (io::path_kind(path) != io::PathKind::Folder) {
    const auto file = io::MappedFile::open(path, ReadMode::Map);
    is_archive = formats::is_archive(file->bytes());
    try {
      if (is_archive) damaged = check_archive(*file, options.limits, result);
    } catch (const Error& error) {
      if (!is_damage(error)) throw;
      result.problems.push_back(as_problem(error));
      return result;  // without a directory there is nothing that open() could add
    }
  }
  try {
    const Checkpoint checkpoint = open(path, {.mode = ReadMode::Map, .salvage = Salvage::No, .limits = options.limits});
    if (is_in_parts(checkpoint)) {
      check_parts(checkpoint, result);
    } else if (!is_archive) {
      result.checked_bytes = checkpoint.file_bytes();
      result.notes.push_back(
          "this format has no checksums: the header and every offset were checked, a changed value cannot be seen");
    }
    if (options.finite == Finite::Require) check_values(checkpoint, damaged, result);
    note_placeholders(checkpoint, result);
    const auto warnings = checkpoint.warnings();
    for (const std::string& warning : warnings)
      if (std::find(result.notes.begin(), result.notes.end(), warning) == result.notes.end())
        result.notes.push_back(warning);
  } catch (const Error& error) {
    if (!is_damage(error) && result.problems.empty()) throw;
    if (!damaged.contains(error.where.member)) result.problems.push_back(problem_in(path, error));
  }
  result.ok = result.problems.empty();
  return result;
}

}  // namespace tenon
