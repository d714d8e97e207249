// tenon convert: the same tensors in another format, bit for bit.
#include <memory>
#include <utility>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string in, out, to;
  bool force = false, dry_run = false, drop_objects = false, salvage = false;
};

int run(const Options& options, Session& session) {
  require_path(options.in);
  const Format format = output_format(options.out, options.to);
  const Salvage salvage = options.salvage ? Salvage::Yes : Salvage::No;
  const Checkpoint checkpoint = open(options.in, {.mode = ReadMode::Map, .salvage = salvage, .limits = {}});
  for (const std::string& warning : checkpoint.warnings()) session.warn(warning);

  const SaveOptions how{.format = format,
                        .existing = options.force ? Existing::Replace : Existing::Refuse,
                        .durability = Durability::Fsync,
                        .objects = options.drop_objects ? Objects::Drop : Objects::Keep};
  const SaveReport saved =
      write_output(snapshot(checkpoint), options.out, how, options.dry_run ? Writing::Rehearse : Writing::ToDisk);

  ConvertOutcome outcome{.file = options.in,
                         .out = options.out,
                         .from = checkpoint.format(),
                         .to = format,
                         .tensors = checkpoint.tensors().size(),
                         .file_bytes = options.dry_run ? 0 : saved.file_bytes,
                         .notes = saved.notes};
  if (options.dry_run)
    outcome.notes.push_back("dry run: nothing was written; the file would have " +
                            base::plural(saved.file_bytes, "byte"));
  if (session.json)
    session.answer(render_json(outcome));
  else if (session.quiet)
    session.answer(verdict(outcome) + "\n");
  else
    session.answer(render_text(outcome, session.answer_style()));
  return kYes;
}

}  // namespace

void add_convert(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "convert", "The same tensors in another format, bit for bit",
                                  "  tenon convert model.pth model.safetensors\n"
                                  "  tenon convert training.ckpt weights.safetensors --drop-objects\n"
                                  "  tenon convert model.safetensors model.pt --force");
  command->add_option("IN", options->in, "A checkpoint of any format that tenon reads")->required();
  command->add_option("OUT", options->out, "The file to write; its suffix names the format")->required();
  command->add_option("--to", options->to, "safetensors or pytorch-zip, whatever the suffix")->type_name("FORMAT");
  command->add_flag("--force", options->force, "Replace OUT if it exists");
  command->add_flag("--dry-run", options->dry_run, "Check everything and write nothing");
  command->add_flag("--drop-objects", options->drop_objects, "Leave out what is no tensor");
  command->add_flag("--salvage", options->salvage, "Take what is whole of a damaged file");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
