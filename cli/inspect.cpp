// tenon inspect: what is in a file. Reads metadata only; --digest and --stats read the values.
#include <memory>

#include <fmt/format.h>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string file;
  InspectOptions show;
  bool salvage = false;
  bool all = false;
};

std::string verdict(const Checkpoint& checkpoint) {
  return fmt::format("{}, {}, {}\n", format_name(checkpoint.format()),
                     base::plural(checkpoint.tensors().size(), "tensor"), base::bytes_text(checkpoint.file_bytes()));
}

std::string report(const Checkpoint& checkpoint, const Options& options, const Session& session) {
  if (session.quiet && !session.json) return verdict(checkpoint);
  ProgressLine line(session, "reading");  // is gone when the report is written
  InspectOptions show = options.show;
  if (show.digest || show.stats) show.progress = line.of_bytes();
  if (session.json) return render_json(checkpoint, show);
  TextStyle style = session.answer_style();
  style.all = options.all;
  return render_text(checkpoint, show, style);
}

int run(const Options& options, Session& session) {
  require_path(options.file);
  const Salvage salvage = options.salvage ? Salvage::Yes : Salvage::No;
  const Checkpoint checkpoint = open(options.file, session.open_options(salvage));
  session.answer(report(checkpoint, options, session));
  return kYes;
}

}  // namespace

void add_inspect(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "inspect", "What is in a file: tensors, objects, metadata",
                                  "  tenon inspect resnet18.pth\n"
                                  "  tenon inspect model.safetensors --json | jq '.totals.parameters'\n"
                                  "  tenon inspect damaged.pth --salvage --all      what is still whole");
  command->add_option("FILE", options->file, "A checkpoint of any format that tenon reads")->required();
  command->add_flag("--digest", options->show.digest, "SHA-256 of every tensor's values");
  command->add_flag("--stats", options->show.stats, "Least, greatest, mean and deviation of every tensor");
  command->add_flag("--salvage", options->salvage, "List what is whole of a damaged file");
  add_no_check(command, session);
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
