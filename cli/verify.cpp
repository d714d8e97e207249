// tenon verify: is a file whole?
#include <memory>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::vector<std::string> files;
  bool finite = false;
  bool all = false;
};

/// Every file gets a row, in the order of the arguments; those that could not be read at all are errors, too.
struct Verified {
  std::vector<VerifiedFile> files;
  std::vector<std::pair<std::size_t, Error>> errors;  ///< by row
};

Verified verify_all(const Options& options, const Session& session) {
  Verified verified;
  for (const std::string& path : options.files) {
    try {
      require_path(path);
      ProgressLine line(session, "verifying");
      verified.files.push_back(verify(path, {.finite = options.finite ? Finite::Require : Finite::Ignore,
                                             .limits = session.limits,
                                             .progress = line.of_bytes()}));
    } catch (const Error& error) {
      VerifiedFile unreadable;
      unreadable.file = path;
      unreadable.problems.push_back({"file", error.what_happened});
      verified.errors.emplace_back(verified.files.size(), error);
      verified.files.push_back(std::move(unreadable));
    }
  }
  return verified;
}

/// The files that were read; of the others stderr tells.
std::string text_of(const Verified& verified, const Session& session, const TextStyle& style) {
  std::string text;
  auto unreadable = verified.errors.begin();
  for (std::size_t row = 0; row < verified.files.size(); ++row) {
    if (unreadable != verified.errors.end() && unreadable->first == row)
      ++unreadable;
    else
      text += session.quiet ? verdict(verified.files[row]) + "\n" : render_text(verified.files[row], style);
  }
  return text;
}

int run(const Options& options, Session& session) {
  const Verified verified = verify_all(options, session);
  const Error* error = verified.errors.empty() ? nullptr : &verified.errors.front().second;
  TextStyle style = session.answer_style();
  style.all = options.all;
  session.answer(session.json ? render_json(verified.files, error) : text_of(verified, session, style));
  for (const auto& [row, each] : verified.errors) complain(render_text(each, session.message_style()));
  if (error != nullptr) return exit_code(error->code);
  for (const VerifiedFile& file : verified.files)
    if (!file.ok) return kNo;
  return kYes;
}

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "verify", "Is a file whole? Checksums, structure, every tensor",
                                  "  tenon verify model.pth\n"
                                  "  tenon verify shards/*.safetensors --quiet\n"
                                  "  tenon verify model.pth --finite          NaN and infinities are problems");
  command->add_option("FILE", options->files, "Checkpoints")->required();
  command->add_flag("--finite", options->finite, "NaN and infinities are problems, too");
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
