// tenon adapt: makes a checkpoint fit a model and saves the result.
//
//   read both sides -> plan (made or given) -> the accepted part of it -> apply -> does the result fit? -> save ->
//   verify
//
// Nothing is written before the result is known to fit; --partial writes it all the same.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <tenon/precision.hpp>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "carried_blueprint.hpp"
#include "comparison.hpp"
#include "exit_code.hpp"
#include "interrupt.hpp"
#include "io/atomic_file.hpp"
#include "io/mapped_file.hpp"
#include "neighbours.hpp"
#include "output.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string file, target, out, plan, emit_plan;
  std::vector<std::string> accept;
  std::uint64_t max_shard_bytes = 0;
  bool all = false, dry_run = false, partial = false, force = false, salvage = false, no_digests = false,
       inverse = false;

  Existing existing() const { return force ? Existing::Replace : Existing::Refuse; }
};

Acceptance acceptance_of(const Options& options) {
  Acceptance acceptance;
  for (const std::string& word : options.accept) {
    if (word == "lossy") acceptance.lossy = true;
    if (word == "guess") acceptance.guess = true;
  }
  return acceptance;
}

/// The plan, and the causes that it is for where tenon made it.
struct Proposal {
  Plan plan;
  std::vector<Cause> causes;
};

Proposal proposal_for(const Options& options, const Limits& limits, const Listing& checkpoint, const Listing& target) {
  if (options.plan.empty()) {
    Report report = diagnose(checkpoint, target);
    return {std::move(report.plan), std::move(report.causes)};
  }
  Plan plan = parse_plan(io::read_text(options.plan, limits), options.plan);
  return {options.inverse ? invert(plan, target) : std::move(plan), {}};
}

bool is_same_place(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  std::error_code missing;  // then the names decide
  if (fs::equivalent(a, b, missing)) return true;
  std::error_code no_folder;  // the current one may be gone
  return fs::absolute(a, no_folder).lexically_normal() == fs::absolute(b, no_folder).lexically_normal();
}

/// --force is for an old plan: it must not cost what else the command names.
void require_place_for_plan(const Options& options) {
  for (const std::string& other : {options.file, options.target, options.plan, options.out})
    if (!options.emit_plan.empty() && !other.empty() && is_same_place(options.emit_plan, other))
      throw Error(Code::Invalid, {options.emit_plan, {}, {}, {}}, "the plan would replace another file of this command",
                  {}, {}, "give --emit-plan a name of its own, such as plan.json");
}

void write_plan(const Options& options, const Plan& plan) {
  if (options.emit_plan.empty()) return;
  const WritingSection section;
  io::write_text(options.emit_plan, to_json(plan) + "\n", options.existing());
}

/// The operations that may run. One that is left out may be the ground of those behind it: then they stay out, too.
Plan runnable(const Plan& plan, const Acceptance& acceptance, const Listing& checkpoint) {
  Plan chosen = accepted(plan, acceptance);
  if (chosen.ops.size() == plan.ops.size()) return chosen;
  try {
    static_cast<void>(rehearse(chosen, checkpoint));
    return chosen;
  } catch (const Error& error) {
    if (error.code != Code::Invalid) throw;
  }
  Plan head;
  for (const Op& op : plan.ops) {
    if (accepted(Plan{{op}}, acceptance).ops.empty()) break;
    head.ops.push_back(op);
  }
  return head;
}

/// What was left out of the plan, and the option that lets it in.
void note_left_out(const Plan& plan, const Plan& chosen, const Acceptance& acceptance, AdaptOutcome& outcome) {
  if (chosen.ops.size() == plan.ops.size()) return;
  bool guess = false, lossy = false, blank = false;
  for (const Op& op : plan.ops) {
    guess = guess || (op.applicability == Applicability::Guess && !acceptance.guess);
    lossy = lossy || (op.applicability == Applicability::Lossy && !acceptance.lossy);
    blank = blank || op.applicability == Applicability::Template;
  }
  std::string note = base::plural(plan.ops.size() - chosen.ops.size(), "operation") + " of the plan left out";
  if (guess) note += "; --accept guess lets in what a person has to decide";
  if (lossy) note += "; --accept lossy lets in what changes values";
  if (blank) note += "; one has a blank: --emit-plan PLAN, fill it in, --plan PLAN";
  outcome.notes.push_back(std::move(note));
}

/// What a person has to know who lets a guess or a change of values in, or not: what it rests on.
void note_assumptions(const Proposal& proposal, AdaptOutcome& outcome) {
  for (const Cause& cause : proposal.causes) {
    const bool is_open = std::any_of(cause.ops.begin(), cause.ops.end(), [&](std::size_t op) {
      return proposal.plan.ops[op].applicability != Applicability::Exact;
    });
    if (is_open) outcome.notes.insert(outcome.notes.end(), cause.notes.begin(), cause.notes.end());
  }
}

/// The result as a listing. Its values are found in the checkpoint, so that a change of dtype can be measured.
Listing listing_of(const ApplyResult& result, const Plan& plan, const Listing& checkpoint, const std::string& label) {
  std::unordered_map<std::string, std::string> origin;
  if (checkpoint.values)
    for (const Planned& planned : rehearse(plan, checkpoint).tensors)
      if (!planned.recipe) origin.emplace(planned.spec.name, checkpoint.value_names[planned.source]);
  Listing listing;
  listing.label = label;
  listing.values = checkpoint.values;
  for (const SnapshotTensor& tensor : result.snapshot.tensors) {
    listing.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, Role::Unknown, {}});
    const auto found = origin.find(tensor.name);
    listing.value_names.push_back(found == origin.end() ? tensor.name : found->second);
  }
  return listing;
}

/// True when the checkpoint gives nothing to the result.
bool takes_nothing(const ApplyResult& result) {
  return result.snapshot.tensors.size() == result.filled_from_target.size();
}

/// Names of the tensors that a plan makes; none where it cannot run as it stands.
std::unordered_set<std::string> made_by(const Plan& plan, const Listing& checkpoint) {
  std::unordered_set<std::string> names;
  try {
    for (const Planned& planned : rehearse(plan, checkpoint).tensors) names.insert(planned.spec.name);
  } catch (const Error& error) {
    if (error.code != Code::Invalid) throw;
  }
  return names;
}

/// Tensors that the model would keep in silence: an operation that was left out would make them, or none speaks of them
/// while the checkpoint has tensors that found no place and that no operation leaves out. The ones may belong to the
/// others, and the result would hold untrained values.
std::vector<std::string> kept_unasked(const ApplyResult& result, const Plan& plan, const Plan& chosen,
                                      const Listing& checkpoint, const Listing& target) {
  const Rehearsal rehearsal = rehearse(chosen, checkpoint);
  const auto offered =
      chosen.ops.size() == plan.ops.size() ? std::unordered_set<std::string>() : made_by(plan, checkpoint);
  std::unordered_set<std::string_view> wanted, kept(result.filled_from_target.begin(), result.filled_from_target.end());
  for (const TensorSpec& want : target.tensors) wanted.insert(want.name);
  const bool all_placed = std::all_of(rehearsal.tensors.begin(), rehearsal.tensors.end(), [&](const Planned& planned) {
    return wanted.count(planned.spec.name) > 0 && kept.count(planned.spec.name) == 0;
  });
  std::vector<std::string> unasked;
  for (const std::string& name : result.filled_from_target) {
    const bool is_kept = std::any_of(rehearsal.kept_patterns.begin(), rehearsal.kept_patterns.end(),
                                     [&](const std::string& pattern) { return base::glob_match(pattern, name); });
    if (!is_kept && (!all_placed || offered.count(name) > 0)) unasked.push_back(name);
  }
  return unasked;
}

/// What the result must not be, although every name and shape of it fits.
void refuse_unasked(const ApplyResult& result, const std::vector<std::string>& unasked, AdaptOutcome& outcome) {
  if (takes_nothing(result)) {
    outcome.fits = false;
    outcome.notes.push_back("no tensor of the checkpoint is in the result: it would be a copy of the target");
  } else if (!unasked.empty()) {
    outcome.fits = false;
    outcome.notes.push_back(base::plural(unasked.size(), "tensor") + " such as " + unasked.front() +
                            " would be the model's own, untrained, and no operation says so");
  }
}

/// A file with more than the model wants is cut to the model; what is missed by that is said, whether or not it was
/// asked for.
void note_harm(const Plan& plan, const Listing& checkpoint, const Listing& target, AdaptOutcome& outcome) {
  for (const DropVerdict& drop : judge_drops(plan, checkpoint, target))
    if (drop.harm == Harm::Harmful)
      outcome.notes.push_back("without `" + std::get<Drop>(plan.ops[drop.op].operation).pattern +
                              "` the result computes something else: " + drop.why);
}

/// Where the file is not the model's, one beside it may be.
void note_neighbours(const Options& options, const Listing& checkpoint, const Listing& target, AdaptOutcome& outcome) {
  Report report = diagnose(checkpoint, target);
  name_neighbours(options.file, options.target, target, report);
  for (const Neighbour& neighbour : report.neighbours)
    outcome.notes.push_back(neighbour.file + " beside it fits " +
                            std::to_string(static_cast<int>(100 * neighbour.parameters)) +
                            " % of the model's parameters");
}

void require_whole(const std::string& path) {
  const VerifiedFile verified = verify(path);
  if (verified.ok) return;
  const Problem& problem = verified.problems.front();
  throw Error(Code::Write, Where{path, {}, problem.where, {}}, "what was written does not read back whole", {},
              problem.what, "check the disk, then run the command again with --force");
}

SaveOptions save_options(const Options& options) {
  return {.format = output_format(options.out, {}),
          .existing = options.existing(),
          .durability = Durability::Fsync,
          .objects = Objects::Keep,
          .max_shard_bytes = options.max_shard_bytes,
          .digests = options.no_digests ? Digests::None : Digests::Write};
}

void write_result(const Options& options, const Session& session, ApplyResult& result, AdaptOutcome& outcome) {
  const Writing writing = options.dry_run ? Writing::Rehearse : Writing::ToDisk;
  const SaveReport saved =
      write_output(std::move(result.snapshot), options.out, save_options(options), writing, session);
  outcome.out = saved.path;
  outcome.notes.insert(outcome.notes.end(), saved.notes.begin(), saved.notes.end());
  if (options.dry_run) {
    outcome.notes.push_back("dry run: nothing was written; the file would have " +
                            base::plural(saved.file_bytes, "byte"));
    return;
  }
  require_whole(saved.path);
  outcome.file_bytes = saved.file_bytes;
}

void answer(const Session& session, const AdaptOutcome& outcome, const TextStyle& style) {
  if (session.json)
    session.answer(render_json(outcome));
  else if (session.quiet)
    session.answer(verdict(outcome) + "\n");
  else
    session.answer(render_text(outcome, style));
}

int run(const Options& options, Session& session) {
  if (!options.out.empty()) static_cast<void>(save_options(options));  // wrong usage is said before any work
  require_place_for_plan(options);
  const Listing checkpoint = read_side(options.file, options.salvage ? Salvage::Yes : Salvage::No, session);
  const Listing given = read_side(options.target, Salvage::No, session);
  // The way back leads to all names that the plan began with, wherever they stood.
  const Listing target = options.inverse ? given : target_model(checkpoint, given);
  const Proposal proposal = proposal_for(options, session.limits, checkpoint, target);
  const Plan& plan = proposal.plan;
  const Acceptance acceptance = acceptance_of(options);

  AdaptOutcome outcome;
  outcome.plan = runnable(plan, acceptance, checkpoint);
  ApplyResult result = apply(outcome.plan, checkpoint, target);
  const Report after = diagnose(listing_of(result, outcome.plan, checkpoint, options.out), target);
  outcome.fits = after.fits;
  refuse_unasked(result, kept_unasked(result, plan, outcome.plan, checkpoint, target), outcome);
  outcome.drops = judge_drops(outcome.plan, checkpoint, target);
  outcome.dtype_changes = cast_losses(outcome.plan, checkpoint, target);
  outcome.left = after.difference;
  outcome.tensors = result.snapshot.tensors.size();
  outcome.filled_from_target = result.filled_from_target;
  outcome.dropped = result.dropped;
  outcome.unfilled = result.unfilled;
  outcome.notes.insert(outcome.notes.end(), result.notes.begin(), result.notes.end());
  note_left_out(plan, outcome.plan, acceptance, outcome);
  note_assumptions(proposal, outcome);
  if (options.plan.empty()) note_harm(plan, checkpoint, target, outcome);

  write_plan(options, plan);
  const bool fits = outcome.fits == std::optional(true);
  if (!fits && options.plan.empty()) note_neighbours(options, checkpoint, given, outcome);
  if (fits && !options.out.empty())
    result.snapshot.blueprint_json = carried_blueprint(result, outcome.plan, checkpoint, target, outcome.notes);
  if (options.out.empty())
    outcome.notes.push_back("no -o OUT was given: nothing was written");
  else if (fits || options.partial)
    write_result(options, session, result, outcome);
  else
    outcome.notes.push_back("nothing was written; --partial writes what there is");
  TextStyle style = session.answer_style();
  style.all = options.all;
  answer(session, outcome, style);
  return fits || (options.partial && !options.out.empty()) ? kYes : kNo;
}

/// -o may be left out where nothing is to be written but the plan.
std::string needs_output(const Options& options) {
  if (!options.out.empty() || options.dry_run || !options.emit_plan.empty()) return {};
  return "adapt needs -o OUT, or --dry-run";
}

}  // namespace

void add_adapt(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "adapt", "Makes a checkpoint fit a model and saves the result",
                                  "  tenon adapt old.pth --to model.safetensors -o fitted.safetensors\n"
                                  "  tenon adapt old.pth --to model.pth --dry-run --emit-plan plan.json\n"
                                  "  tenon adapt old.pth --to model.pth --plan plan.json -o fitted.pth --accept guess\n"
                                  "  tenon adapt fitted.pth --to old.pth --plan plan.json --inverse -o back.pth");
  command->add_option("FILE", options->file, "The checkpoint")->required();
  command->add_option("--to", options->target, "What names the model's tensors: checkpoint, blueprint")
      ->required()
      ->type_name("TARGET");
  command->add_option("-o,--output", options->out, "The file to write: .safetensors, .pt, .pth")->type_name("OUT");
  command->add_option("--plan", options->plan, "Carry out this plan instead of tenon's own")->type_name("PLAN");
  command->add_flag("--inverse", options->inverse, "Go the plan's way back: TARGET is what the plan was made for")
      ->needs("--plan");
  command->add_option("--emit-plan", options->emit_plan, "Write the whole plan as JSON, to edit it")->type_name("PLAN");
  command->add_option("--accept", options->accept, "Also do what is a guess, or lossy (changes values)")
      ->type_name("guess|lossy")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->check(CLI::IsMember({"guess", "lossy"}).description(""));
  add_shard_size(command, options->max_shard_bytes);
  add_no_digests(command, options->no_digests);
  command->add_flag("--all", options->all, "Do not cut long lists");
  command->add_flag("--partial", options->partial, "Write OUT even when it does not fit");
  command->add_flag("--force", options->force, "Replace OUT if it exists");
  command->add_flag("--dry-run", options->dry_run, "Do everything but write OUT");
  command->add_flag("--salvage", options->salvage, "Use what is whole of a damaged FILE");
  add_no_check(command, session);
  on_run(command, session, [options](Session& s) {
    const std::string lacking = needs_output(*options);
    if (!lacking.empty()) throw Error(Code::Invalid, {}, lacking, {}, {}, "tenon adapt --help");
    return run(*options, s);
  });
}

}  // namespace tenon::cli
