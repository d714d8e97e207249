// tenon blueprint: what a checkpoint's blueprint says; where it has none, what the file tells by itself.
#include <memory>

#include <tenon/emit_probe.hpp>

#include "comparison.hpp"
#include "exit_code.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string file, emit_probe;
  bool all = false, force = false;
};

/// Names, dtypes and shapes are known of every checkpoint.
Blueprint blueprint_of(const Listing& listing) {
  if (listing.blueprint) return *listing.blueprint;
  Blueprint blueprint;
  blueprint.class_name = listing.class_name;
  blueprint.tensors = listing.tensors;
  return blueprint;
}

int run(const Options& options, Session& session) {
  const Listing listing = read_side(options.file, Salvage::No, session);
  if (!listing.blueprint_problem.empty())
    throw Error(Code::Corrupt, {options.file, {}, {}, {}}, "the blueprint cannot be read", {},
                listing.blueprint_problem, "write it anew; `tenon inspect` shows the tensors");
  if (listing.blueprint && !listing.blueprint->source.empty() && listing.values)
    session.warn(
        options.file + " has no stored blueprint: this is what " +
        (listing.blueprint->source == "config" ? "its config.json tells" : "its code tells, read and not run"));
  if (!listing.blueprint) session.warn(options.file + " has no blueprint: this is what the file itself tells");
  const Blueprint blueprint = blueprint_of(listing);
  if (!options.emit_probe.empty())
    emit_probe(blueprint, options.file, options.emit_probe, options.force ? Existing::Replace : Existing::Refuse);
  TextStyle style = session.answer_style();
  style.all = options.all;
  if (session.json)
    session.answer(render_json(blueprint));
  else if (session.quiet)
    session.answer(architecture_digest(blueprint) + "\n");
  else
    session.answer(render_text(blueprint, options.file, style));
  return kYes;
}

}  // namespace

void add_blueprint(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, session, "blueprint", "What decides a model's function: modules, operations, probe",
                  "  tenon blueprint model.safetensors\n"
                  "  tenon blueprint model.pth --json > MyModel.blueprint.json\n"
                  "  tenon blueprint model.pth --emit-probe probe.npz     inputs and expected outputs for NumPy");
  command->add_option("FILE", options->file, "A checkpoint, a blueprint, or a folder with config.json")->required();
  command->add_option("--emit-probe", options->emit_probe, "Write the probe's inputs and expected outputs as NPZ")
      ->type_name("FILE");
  command->add_flag("--force", options->force, "Replace an existing NPZ file");
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
