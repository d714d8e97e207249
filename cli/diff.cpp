// tenon diff: do two files hold the same tensors, bit for bit?
#include <memory>

#include "exit_code.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string a, b;
  bool all = false;
  bool match = false;
};

int run(const Options& options, Session& session) {
  require_path(options.a);
  require_path(options.b);
  const OpenOptions how = session.open_options(Salvage::No);
  const DiffReport report = [&] {
    ProgressLine line(session, "comparing");
    return diff(open(options.a, how), open(options.b, how), options.match ? DiffNames::Matched : DiffNames::Equal,
                line.of_bytes());
  }();
  TextStyle style = session.answer_style();
  style.all = options.all;
  if (session.json)
    session.answer(render_json(report));
  else
    session.answer(session.quiet ? verdict(report) + "\n" : render_text(report, style));
  return report.same ? kYes : kNo;
}

}  // namespace

void add_diff(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "diff", "Do two files hold the same tensors, bit for bit?",
                                  "  tenon diff before.pth after.pth\n"
                                  "  tenon diff model.pth model.safetensors --quiet && rm model.pth");
  command->add_option("A", options->a, "A checkpoint")->required();
  command->add_option("B", options->b, "Another, of any format")->required();
  command->add_flag("--match", options->match, "Follow renames: compare tensors under other names, too");
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
