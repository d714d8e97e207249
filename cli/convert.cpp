// tenon convert: the same tensors in another format, bit for bit.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tenon/precision.hpp>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "output.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string in, out, to, dtype;
  std::vector<std::string> accept;
  std::uint64_t max_shard_bytes = 0;
  bool all = false, force = false, dry_run = false, drop_objects = false, salvage = false, no_digests = false,
       dequantize = false;
};

/// Casts where --dtype asks for it; measured before anything is written.
std::vector<DTypeChange> cast_as_asked(const Options& options, Snapshot& tensors) {
  if (options.dtype.empty()) return {};
  const auto dtype = parse_dtype(options.dtype);
  if (!dtype)
    throw Error(Code::Invalid, {}, "unknown dtype", "float64, float32, float16, bfloat16, ...", options.dtype,
                "give --dtype one of these");
  return cast_floating(tensors, *dtype);
}

/// Computes float32 of ggml's blocks where --dequantize asks for it. Returns a note, or "".
std::string dequantize_as_asked(const Options& options, Snapshot& tensors) {
  if (!options.dequantize) return {};
  const std::vector<std::string> types = dequantize_blocks(tensors);
  return types.empty() ? "no tensor was in blocks that can be dequantised"
                       : "dequantised to float32: tensors of type " + base::join(types, ", ");
}

int answer(const Options& options, const Session& session, const ConvertOutcome& outcome, int code) {
  TextStyle style = session.answer_style();
  style.all = options.all;
  if (session.json)
    session.answer(render_json(outcome));
  else if (session.quiet)
    session.answer(verdict(outcome) + "\n");
  else
    session.answer(render_text(outcome, style));
  return code;
}

int run(const Options& options, Session& session) {
  require_path(options.in);
  const Format format = output_format(options.out, options.to);
  const Salvage salvage = options.salvage ? Salvage::Yes : Salvage::No;
  const Checkpoint checkpoint = open(options.in, session.open_options(salvage));
  for (const std::string& warning : checkpoint.warnings()) session.warn(warning);

  const SaveOptions how{.format = format,
                        .existing = options.force ? Existing::Replace : Existing::Refuse,
                        .durability = Durability::Fsync,
                        .objects = options.drop_objects ? Objects::Drop : Objects::Keep,
                        .max_shard_bytes = options.max_shard_bytes,
                        .digests = options.no_digests ? Digests::None : Digests::Write};
  ConvertOutcome outcome{.file = options.in,
                         .out = options.out,
                         .from = checkpoint.format(),
                         .to = format,
                         .tensors = checkpoint.tensors().size(),
                         .file_bytes = 0,
                         .notes = {}};
  Snapshot tensors = snapshot(checkpoint);
  const std::string dequantized = dequantize_as_asked(options, tensors);
  outcome.dtype_changes = cast_as_asked(options, tensors);
  outcome.layout_changes = layout_changes(tensors, checkpoint, format);
  if (loses_values(outcome.dtype_changes) && options.accept.empty() && !options.dry_run) {
    outcome.notes.push_back("nothing was written: the cast changes values; --accept lossy writes it all the same");
    return answer(options, session, outcome, kNo);
  }
  const SaveReport saved = write_output(std::move(tensors), options.out, how,
                                        options.dry_run ? Writing::Rehearse : Writing::ToDisk, session);
  outcome.out = saved.path;
  outcome.notes = saved.notes;
  if (!dequantized.empty()) outcome.notes.push_back(dequantized);
  if (checkpoint.format() == Format::Gguf && !checkpoint.metadata().empty())
    outcome.notes.push_back("the metadata went along as text; its long arrays (vocabularies) are shortened");
  if (options.dry_run)
    outcome.notes.push_back("dry run: nothing was written; the file would have " +
                            base::plural(saved.file_bytes, "byte"));
  else
    outcome.file_bytes = saved.file_bytes;
  return answer(options, session, outcome, kYes);
}

}  // namespace

void add_convert(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "convert", "The same tensors in another format, bit for bit",
                                  "  tenon convert model.pth model.safetensors\n"
                                  "  tenon convert training.ckpt weights.safetensors --drop-objects\n"
                                  "  tenon convert model.safetensors model.pt --force\n"
                                  "  tenon convert model.pth out/model.safetensors --max-shard-size 5GB\n"
                                  "  tenon convert model.pth half.safetensors --dtype float16 --dry-run\n"
                                  "  tenon convert model.gguf model.safetensors --dequantize");
  command->add_option("IN", options->in, "A checkpoint of any format that tenon reads")->required();
  command->add_option("OUT", options->out, "The file to write; its suffix names the format")->required();
  command->add_option("--to", options->to, "safetensors, pytorch-zip or npz, whatever the suffix")->type_name("FORMAT");
  command->add_option("--dtype", options->dtype, "Cast floating tensors; what that does to the values is said first")
      ->type_name("DTYPE");
  command->add_option("--accept", options->accept, "Write it even where the cast changes values")
      ->type_name("lossy")
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"lossy"}).description(""));
  add_shard_size(command, options->max_shard_bytes);
  add_no_digests(command, options->no_digests);
  command->add_flag("--dequantize", options->dequantize,
                    "Compute float32 of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K");
  command->add_flag("--all", options->all, "Do not cut long lists");
  command->add_flag("--force", options->force, "Replace OUT if it exists");
  command->add_flag("--dry-run", options->dry_run, "Check everything and write nothing");
  command->add_flag("--drop-objects", options->drop_objects, "Leave out what is no tensor");
  command->add_flag("--salvage", options->salvage, "Take what is whole of a damaged file");
  add_no_check(command, session);
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
