// tenon explain: what does a pasted error mean?
#include <unistd.h>

#include <memory>
#include <optional>

#include "comparison.hpp"
#include "exit_code.hpp"
#include "io/mapped_file.hpp"
#include "neighbours.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string text = "-";
  std::string checkpoint, target;
  bool all = false;
};

/// A file's text, standard input's, or the argument itself: an error pasted in quotes has blanks and is no file.
std::string text_of(const Options& options, const Session& session) {
  const bool is_pasted =
      options.text.find_first_of(" \n") != std::string::npos && io::path_kind(options.text) == io::PathKind::Missing;
  if (is_pasted) return options.text;
  if (options.text == "-" && ::isatty(STDIN_FILENO) == 1)
    session.remark("paste the error here, then press Enter and Ctrl-D\n");
  return io::read_text(options.text, session.limits);
}

int run(const Options& options, Session& session) {
  TextStyle style = session.answer_style();
  style.all = options.all;
  ExplainInput input;
  input.text = text_of(options, session);
  Sides sides;
  const std::string* reading = nullptr;
  try {
    if (!options.checkpoint.empty()) {
      reading = &options.checkpoint;
      input.checkpoint = read_side(options.checkpoint, Salvage::No, session);
      sides.checkpoint = options.checkpoint;
      sides.checkpoint_has_values = input.checkpoint->values.has_value();
    }
    if (!options.target.empty()) {
      reading = &options.target;
      input.target = read_side(options.target, Salvage::No, session);
      sides.target = options.target;
      sides.target_has_values = input.target->values.has_value();
    }
  } catch (const Error& error) {
    if (!is_unreadable(error)) throw;
    const bool is_file = reading == &options.checkpoint;
    return answer_unreadable(session, {*reading, is_file ? options.target : std::string()}, error, style);
  }
  Report report = explain(input);
  if (input.checkpoint && input.target) name_neighbours(options.checkpoint, options.target, *input.target, report);
  return answer_report(session, report, adapt_hint(report, sides), style);
}

}  // namespace

void add_explain(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "explain", "What does a pasted error mean?",
                                  "  tenon explain error.txt\n"
                                  "  python train.py 2>&1 | tenon explain\n"
                                  "  tenon explain error.txt --checkpoint old.pth --against new.safetensors");
  command->add_option("TEXT", options->text, "A file with the error, a log or traceback; - or nothing: stdin");
  command->add_option("--checkpoint", options->checkpoint, "The file that was loaded: makes it exact")
      ->type_name("FILE");
  command->add_option("--against", options->target, "What names the model's tensors: makes it exact")
      ->type_name("TARGET");
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
