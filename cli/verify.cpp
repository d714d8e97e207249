// tenon verify: is a file whole?
#include <memory>
#include <optional>
#include <vector>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::vector<std::string> files;
  bool finite = false;
  bool all = false;
};

/// Every file gets an answer; the first that could not be read at all is kept as the error.
struct Verified {
  std::vector<VerifiedFile> files;
  std::vector<Error> errors;
};

Verified verify_all(const Options& options) {
  Verified verified;
  for (const std::string& path : options.files) {
    try {
      require_path(path);
      verified.files.push_back(
          verify(path, {.finite = options.finite ? Finite::Require : Finite::Ignore, .limits = {}}));
    } catch (const Error& error) {
      VerifiedFile unreadable;
      unreadable.file = path;
      unreadable.problems.push_back({"file", error.what_happened});
      verified.files.push_back(std::move(unreadable));
      verified.errors.push_back(error);
    }
  }
  return verified;
}

std::string text_of(const std::vector<VerifiedFile>& files, bool is_quiet, const TextStyle& style) {
  std::string text;
  for (const VerifiedFile& file : files) text += is_quiet ? verdict(file) + "\n" : render_text(file, style);
  return text;
}

int run(const Options& options, Session& session) {
  const Verified verified = verify_all(options);
  const Error* error = verified.errors.empty() ? nullptr : &verified.errors.front();
  TextStyle style = session.answer_style();
  style.all = options.all;
  session.answer(session.json ? render_json(verified.files, error) : text_of(verified.files, session.quiet, style));
  for (const Error& each : verified.errors) complain(render_text(each, session.message_style()));
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
