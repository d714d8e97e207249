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

/// All that is no folder is listed: what cannot be scanned is an answer of scan(), and never left out in silence.
void list_folder(const fs::path& folder, std::vector<std::string>& files) {
  std::error_code failed;
  std::vector<fs::path> folders{folder};
  while (!folders.empty()) {
    const fs::path here = folders.back();
    folders.pop_back();
    fs::directory_iterator entry(here, failed);
    for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
      std::error_code vanished;
      const bool is_folder = entry->symlink_status(vanished).type() == fs::file_type::directory;
      if (is_folder)
        folders.push_back(entry->path());
      else
        files.push_back(entry->path().string());
    }
    if (failed) cannot_list(here.string(), failed);
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
  std::error_code failed;
  if (io::path_kind(path) == io::PathKind::Folder && fs::is_symlink(path, failed))
    throw Error(Code::Read, Where{path, {}, {}, {}}, "this is a link to a folder, which is not followed", "a file",
                "a folder", "scan the folder by its own name");
  const auto file = io::MappedFile::open(path, ReadMode::Map);
  ScannedFile found = scan_bytes(file->bytes(), path, options, true);
  file->require_unchanged();
  return found;
}

std::vector<std::string> files_to_scan(const std::string& path) {
  std::vector<std::string> files;
  switch (io::path_kind(path)) {
    case io::PathKind::Folder:
      list_folder(path, files);
      if (files.empty())
        throw Error(Code::NotFound, Where{path, {}, {}, {}}, "the folder holds no files", "files to scan", "none",
                    "name the folder or file that was downloaded");
      break;
    case io::PathKind::Missing:
    case io::PathKind::File:
    case io::PathKind::Other: files.push_back(path); break;
  }
  return files;
}

}  // namespace tenon
