// tenon check: does a checkpoint fit a model, and if not, why?
#include <memory>

#include "comparison.hpp"
#include "exit_code.hpp"
#include "neighbours.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string file, target;
  bool salvage = false;
  bool all = false;
};

int run(const Options& options, Session& session) {
  TextStyle style = session.answer_style();
  style.all = options.all;
  const std::string* reading = &options.file;
  try {
    const Listing checkpoint = read_side(options.file, options.salvage ? Salvage::Yes : Salvage::No, session);
    reading = &options.target;
    const Listing target = read_side(options.target, Salvage::No, session);
    reading = nullptr;
    Report report = diagnose(checkpoint, target);
    name_neighbours(options.file, options.target, target, report);
    const Sides sides{.checkpoint = options.file,
                      .target = options.target,
                      .checkpoint_has_values = checkpoint.values.has_value(),
                      .target_has_values = target.values.has_value()};
    return answer_report(session, report, adapt_hint(report, sides), style);
  } catch (const Error& error) {
    if (reading == nullptr || !is_unreadable(error)) throw;
    const bool is_file = reading == &options.file;
    return answer_unreadable(session, {*reading, is_file ? options.target : std::string()}, error, style);
  }
}

}  // namespace

void add_check(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "check", "Does a checkpoint fit a model, and if not, why?",
                                  "  tenon check resnet18_ddp.pth --against model.safetensors\n"
                                  "  tenon check weights.pth --against MyModel.blueprint.json --json\n"
                                  "  tenon check weights.pth --against model.pth --quiet || exit 1");
  command->add_option("FILE", options->file, "A checkpoint, a blueprint, or a folder with config.json")->required();
  command->add_option("--against", options->target, "What names the model's tensors: checkpoint, blueprint, folder")
      ->required()
      ->type_name("TARGET");
  command->add_flag("--salvage", options->salvage, "Use what is whole of a damaged FILE");
  add_no_check(command, session);
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
