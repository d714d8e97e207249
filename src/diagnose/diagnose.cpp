// diagnose: two listings in, one report out. The thinking is in the rules; here is what surrounds it.
#include <tenon/diagnose.hpp>

#include <algorithm>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/cause_pages.hpp"
#include "diagnose/compare.hpp"
#include "diagnose/engine.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/origins/origin_rules.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/roots.hpp"
#include "diagnose/rules.hpp"
#include "io/mapped_file.hpp"
#include "tensor/words.hpp"

namespace tenon {
namespace {

using namespace diagnosis;  // NOLINT: this file is the room's door

std::size_t common_names(const Listing& a, const Listing& b) {
  std::unordered_set<std::string_view> names;
  names.reserve(a.tensors.size());
  for (const TensorSpec& spec : a.tensors) names.insert(spec.name);
  return static_cast<std::size_t>(std::count_if(b.tensors.begin(), b.tensors.end(),
                                                [&](const TensorSpec& spec) { return names.count(spec.name) > 0; }));
}

/// The root of the target that suits some root of the checkpoint best; the main one where none suits.
const Root* model_root(const Listing& checkpoint, const std::vector<Root>& roots) {
  const auto offered = roots_of(checkpoint);
  ScoredRoot best;
  for (const Root& root : roots)
    for (const Root& offer : offered) {
      const ScoredRoot candidate{&root, fit_of(offer.tensors, root.tensors)};
      if (is_better(candidate, best)) best = candidate;
    }
  const Root* usual = main_root(roots);
  if (best.fit.keys == 0) return usual;
  const bool usual_is_as_good = usual != nullptr && usual->direct >= best.root->direct && best.root->path.empty();
  return usual_is_as_good ? usual : best.root;
}

/// What is known of one side's blueprint, where it cannot be used.
std::string no_blueprint(const Listing& side, const std::string& name) {
  if (side.blueprint) return {};
  if (!side.blueprint_problem.empty()) return name + "'s blueprint cannot be read: " + side.blueprint_problem;
  return name + " has no blueprint";
}

std::vector<std::string> not_checked(const Case& facts) {
  const Listing &checkpoint = facts.checkpoint, &target = facts.target;
  std::vector<std::string> clauses;
  const std::string file = no_blueprint(checkpoint, "the file"), model = no_blueprint(target, "the target");
  if (!file.empty() || !model.empty())
    clauses.push_back("function not checked: " + (file.empty() ? model : file));
  else if (const FunctionDifference& function = *facts.function; !function.modules_compared)
    clauses.push_back("function not checked: of the blueprints, names, shapes and dtypes were compared");
  else if (!function.operations_compared)
    clauses.push_back("operations not compared: a blueprint has no op graph, or they were recorded in different ways");
  else if (!function.probe)
    clauses.push_back("outputs not compared: " + function.why_no_probe);
  for (const auto& [side, name] : {std::pair{&checkpoint, "the file"}, {&target, "the target"}})
    if (side->blueprint)
      for (const std::string& what : side->blueprint->left_out)
        clauses.push_back(std::string("left out of ") + name + "'s blueprint: " + what);
  if (!checkpoint.values) clauses.push_back("values not checked: the file is a blueprint and has none");
  return clauses;
}

std::string remainder_advice(const Balance& leaves) {
  return base::plural(leaves.missing, "missing key") + ", " + base::plural(leaves.unexpected, "unexpected key") +
         " and " + base::plural(leaves.mismatched, "mismatched key") +
         " remain that no operation here resolves: compare the model's class, its options and its version with those "
         "that saved the file";
}

/// How much a yes rests on.
Proved proved_by(const Case& facts, const Report& report) {
  if (report.fits != true) return Proved::Nothing;
  if (!facts.function) return Proved::Shapes;
  if (facts.function->probe) return Proved::Function;
  return facts.function->modules_compared ? Proved::Architecture : Proved::Shapes;
}

std::optional<bool> verdict(const Report& report) {
  if (!report.difference.names_and_shapes_fit()) return false;
  return std::all_of(report.causes.begin(), report.causes.end(),
                     [](const Cause& cause) { return cause.severity == Severity::Note; });
}

/// Layouts are told by files and, where they are not row-major, by blueprints of live models. Harmless.
void note_layouts(const Case& facts, Report& report) {
  const auto stride_of = [](const TensorSpec& spec) { return spec.stride.value_or(dense_stride(*spec.shape)); };
  for (const Pair& pair : facts.gap.matched) {
    const TensorSpec &have = facts.have(pair.state), &want = facts.want(pair.target);
    if (!have.shape || !want.shape || *have.shape != *want.shape || (!have.stride && !want.stride)) continue;
    const Stride from = stride_of(have), to = stride_of(want);
    if (from.size() != to.size()) continue;  // an operation of the plan gave it another rank
    if (!tensor::same_layout(*have.shape, from, to))
      report.difference.layout_changes.push_back({want.name, *want.shape, from, to});
  }
  std::string note = tensor::layout_text(report.difference.layout_changes, "the checkpoint", "the model");
  if (!note.empty()) report.notes.push_back(std::move(note));
}

/// A remark that matters only when all fits: what kind of object bears the tensors.
void note_kind(const Listing& checkpoint, Report& report) {
  if (!checkpoint.values || report.fits != true) return;
  const Format format = checkpoint.values->format();
  if (format == Format::TorchScript || format == Format::LibtorchArchive)
    report.notes.push_back("the file is no state dict but an archive (" + std::string(format_name(format)) +
                           "): tenon reads its tensors, torch.load with load_state_dict does not");
  else if (const auto tree = checkpoint.values->containers(); !tree.empty() && tree[0].kind == ContainerKind::Module)
    report.notes.push_back("the file is no state dict but a whole pickled module (" + quoted(tree[0].type) +
                           "): tenon reads its tensors, torch.load needs the source of its classes");
}

}  // namespace

namespace diagnosis {

Report compare(const Listing& checkpoint, const Listing& target, const TextFacts* text) {
  plan::State start(checkpoint);
  Gap gap = gap_between(start, target);
  Case facts{checkpoint, target, Knowledge::Whole, text, nullptr, std::move(start), std::move(gap)};
  Report report;
  report.checkpoint_label = checkpoint.label;
  report.target_label = target.label;
  report.checkpoint_tensors = checkpoint.tensors.size();
  report.target_tensors = target.tensors.size();
  report.difference = difference_of(facts);
  solve(facts, report);
  report.fits = verdict(report);
  report.proved = proved_by(facts, report);
  report.not_checked = not_checked(facts);
  if (facts.function) {
    report.architecture = facts.function->architecture;
    report.environment = facts.function->environment;
    report.probe = facts.function->probe;
  }
  if (facts.gap.size() > 0) report.advice.push_back(remainder_advice(report.leaves));
  note_layouts(facts, report);
  note_kind(checkpoint, report);
  return report;
}

}  // namespace diagnosis

Listing target_model(const Listing& checkpoint, const Listing& target) {
  if (!target.values || !target.state_dict.empty()) return target;
  if (common_names(checkpoint, target) * 2 > target.tensors.size()) return target;
  const auto roots = roots_of(target);
  if (roots.size() < 2) return target;
  const Root* root = model_root(checkpoint, roots);
  return root == nullptr || root->path.empty() ? target : list(*target.values, root->path);
}

Report diagnose(const Listing& checkpoint, const Listing& target) {
  const Listing model = target_model(checkpoint, target);
  Report report = diagnosis::compare(checkpoint, model, nullptr);
  if (model.state_dict != target.state_dict)
    report.notes.push_back("the target is a training checkpoint; its model is its state dict " +
                           quoted(model.state_dict));
  return report;
}

Report diagnose_unreadable(const std::string& path, const Error& error) {
  UnreadableFile file{path, {}, error};
  if (io::path_kind(path) == io::PathKind::File) {
    try {
      file.kind = kind_of(io::MappedFile::open(path, ReadMode::Map)->bytes());
    } catch (const Error&) {
      file.kind = {};  // it cannot be read at all; `error` says why
    }
  }
  const Listing nothing{};
  Case facts{nothing, nothing, Knowledge::Partial, nullptr, &file, plan::State(nothing), {}};
  Report report;
  report.checkpoint_label = path;
  report.fits = false;
  solve(facts, report);
  if (!error.next.empty()) report.advice.push_back(error.next);
  report.not_checked.push_back("names, shapes, dtypes and function not checked: the file could not be read");
  return report;
}

std::vector<CauseInfo> known_causes() {
  std::vector<CauseInfo> causes;
  std::vector<Rule> rules(std::begin(kRules), std::end(kRules));
  rules.insert(rules.end(), std::begin(kFunctionRules), std::end(kFunctionRules));
  for (const Rule& rule : kOriginRules)
    if (std::none_of(rules.begin(), rules.end(), [&](const Rule& other) { return other.id == rule.id; }))
      rules.push_back(rule);
  rules.insert(rules.end(), std::begin(kLastRules), std::end(kLastRules));
  for (const Rule& rule : rules) {
    CauseInfo info{rule.id, rule.title, {}};
    for (const CausePage& page : cause_pages())
      if (page.id == rule.id) info.page = page.text;
    causes.push_back(info);
  }
  return causes;
}

}  // namespace tenon
