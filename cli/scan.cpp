// tenon scan: does loading these files run code?
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <tenon/save.hpp>
#include <tenon/scan.hpp>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "io/atomic_file.hpp"
#include "io/mapped_file.hpp"
#include "base/cursor.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::vector<std::string> paths;
  std::string sarif;   ///< file to write, beside the answer
  std::string format;  ///< text, json or sarif
  bool all = false;
};

struct Scanned {
  std::vector<ScannedFile> files;
  std::vector<Error> errors;
};

std::vector<std::string> files_of(const Options& options, std::vector<Error>& errors) {
  std::vector<std::string> files;
  for (const std::string& path : options.paths) {
    try {
      require_path(path);
      const auto found = files_to_scan(path);
      files.insert(files.end(), found.begin(), found.end());
    } catch (const Error& error) {
      errors.push_back(error);
    }
  }
  return files;
}

Scanned scan_all(const Options& options, const Session& session) {
  Scanned scanned;
  const auto paths = files_of(options, scanned.errors);
  ProgressLine line(session, "scanning");
  for (const std::string& path : paths) {
    line.show(
        fmt::format("scanned {} of {} files", base::count_text(scanned.files.size()), base::count_text(paths.size())));
    try {
      scanned.files.push_back(scan(path, {.limits = session.limits}));
    } catch (const Error& error) {
      scanned.errors.push_back(error);
    }
  }
  return scanned;
}

std::string text_of(const Scanned& scanned, const Session& session, const TextStyle& style) {
  std::string text;
  std::size_t safe = 0;
  for (const ScannedFile& file : scanned.files) {
    safe += file.verdict == ScanVerdict::Safe ? 1 : 0;
    text += session.quiet ? verdict(file) + "\n" : render_text(file, style);
  }
  if (!session.quiet && scanned.files.size() > 1)
    text += fmt::format("{} of {} files are safe\n", base::count_text(safe), base::count_text(scanned.files.size()));
  if (!session.quiet && !scanned.errors.empty())
    text += fmt::format("{} not scanned: nothing is said of what could not be read\n",
                        base::plural(scanned.errors.size(), "path"));
  return text;
}

/// A report may take the place of an older one, and of nothing else: a checkpoint named by mistake stays.
void require_report_place(const std::string& path) {
  if (io::path_kind(path) == io::PathKind::Missing) return;
  const auto file = io::MappedFile::open(path, ReadMode::Map);
  const std::string_view text = base::as_text(file->bytes());
  const std::string_view head = text.substr(0, 4096);
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  if (text.empty() ||
      (first != std::string_view::npos && head[first] == '{' &&
       (head.find("sarif") != std::string_view::npos || head.find("\"runs\"") != std::string_view::npos)))
    return;
  throw Error(Code::Exists, Where{path, {}, {}, {}}, "the file exists and is no SARIF report",
              "an older report, or no file", {}, "name another file for --sarif");
}

int run(const Options& options, Session& session) {
  session.json = session.json || options.format == "json";
  if (!options.sarif.empty()) require_report_place(options.sarif);
  const Scanned scanned = scan_all(options, session);
  const Error* error = scanned.errors.empty() ? nullptr : &scanned.errors.front();
  TextStyle style = session.answer_style();
  style.all = options.all;
  if (!options.sarif.empty()) io::write_text(options.sarif, render_sarif(scanned.files), Existing::Replace);
  if (options.format == "sarif")
    session.answer(render_sarif(scanned.files));
  else
    session.answer(session.json ? render_json(scanned.files, error) : text_of(scanned, session, style));
  for (const Error& each : scanned.errors) complain(render_text(each, session.message_style()));
  if (error != nullptr) return exit_code(error->code);
  for (const ScannedFile& file : scanned.files)
    if (file.verdict != ScanVerdict::Safe) return kNo;
  return kYes;
}

}  // namespace

void add_scan(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "scan", "Does loading a file run code? Nothing of it is executed",
                                  "  tenon scan model.pt\n"
                                  "  tenon scan downloads/ --quiet              every file below a folder\n"
                                  "  tenon scan models/ --sarif scan.sarif      for code-scanning services\n"
                                  "  tenon convert model.pt model.safetensors   the way out: tensors without code");
  command
      ->add_option("PATH", options->paths, "Files and folders; links to files are followed, links to folders are told")
      ->required();
  command->add_option("--sarif", options->sarif, "Also write the findings as SARIF 2.1.0 to this file");
  command->add_option("--format", options->format, "text, json or sarif: how the answer looks")
      ->check(CLI::IsMember({"text", "json", "sarif"}));
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
