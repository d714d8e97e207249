// scan(): the file's bytes, told by content, and a verdict.
#include <tenon/scan.hpp>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <tenon/error.hpp>

#include "io/mapped_file.hpp"
#include "scan/collector.hpp"
#include "scan/content.hpp"

namespace tenon {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_list(const std::string& path, const std::error_code& failed) {
  throw Error(Code::Read, Where{path, {}, {}, {}}, "the folder cannot be listed", {}, failed.message());
}

void list_folder(const fs::path& folder, std::vector<std::string>& files) {
  std::error_code failed;
  std::vector<fs::path> folders{folder};
  while (!folders.empty()) {
    const fs::path here = folders.back();
    folders.pop_back();
    fs::directory_iterator entries(here, failed);
    if (failed) cannot_list(here.string(), failed);
    for (const fs::directory_entry& entry : entries) {
      const fs::file_status status = entry.symlink_status(failed);
      if (status.type() == fs::file_type::directory) folders.push_back(entry.path());
      if (status.type() == fs::file_type::regular) files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
}

ScannedFile scan_bytes(std::span<const std::byte> bytes, const std::string& name, const ScanOptions& options,
                       bool looks_beside) {
  scanning::Collector out(name, options.limits);
  out.budget().looks_beside = looks_beside;
  scanning::scan_content({bytes, {}, 0, 0}, scanning::Place::File, out);
  return out.take();
}

}  // namespace

std::string_view scan_verdict_name(ScanVerdict verdict) {
  switch (verdict) {
    case ScanVerdict::Safe: return "safe";
    case ScanVerdict::UnknownCode: return "unknown_code";
    case ScanVerdict::Malformed: return "malformed";
    case ScanVerdict::Dangerous: return "dangerous";
  }
  return "malformed";
}

ScannedFile scan(std::span<const std::byte> bytes, const std::string& name, const ScanOptions& options) {
  return scan_bytes(bytes, name, options, false);
}

ScannedFile scan(const std::string& path, const ScanOptions& options) {
  const auto file = io::MappedFile::open(path, ReadMode::Map);
  ScannedFile found = scan_bytes(file->bytes(), path, options, true);
  file->require_unchanged();
  return found;
}

std::vector<std::string> files_to_scan(const std::string& path) {
  std::vector<std::string> files;
  switch (io::path_kind(path)) {
    case io::PathKind::Folder: list_folder(path, files); break;
    case io::PathKind::Missing:
    case io::PathKind::File:
    case io::PathKind::Other: files.push_back(path); break;
  }
  return files;
}

}  // namespace tenon
