// nested_container: the state dict stands inside another dict, as training loops save it.
//
//   {"epoch": 12, "state_dict": {"conv1.weight": ...}, "optimizer": {"state": ..., "param_groups": ...}}
//
// The rule: of all containers of the file, the one whose names fit the model best (a prefix allowed) is the state dict,
// if that is not the top. What stands beside it is left out. An error text shows the container by its name only.
#include <algorithm>

#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/roots.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kWhy =
    "training loops save the state dict together with the optimizer, the epoch and more; a load wants the state dict "
    "alone";

std::vector<NamedShape> names_of(const Listing& listing) {
  std::vector<NamedShape> names;
  names.reserve(listing.tensors.size());
  for (const TensorSpec& spec : listing.tensors) names.push_back(named_shape(spec));
  return names;
}

/// What the unwrapping leaves out: "`epoch`, `optimizer`" by their first levels.
std::vector<std::string> left_out(const Checkpoint& checkpoint, const std::string& path) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view name) {
    const std::string part(first_level(name));
    if (part == first_level(path) || std::find(parts.begin(), parts.end(), part) != parts.end()) return;
    if (parts.size() < 100) parts.push_back(part);
  };
  for (const Object& object : checkpoint.objects()) add(object.name);
  for (const Container& container : checkpoint.containers())
    if (!container.path.empty()) add(container.path);
  for (const TensorInfo& tensor : checkpoint.tensors()) add(tensor.name);
  return parts;
}

struct Choice {
  ScoredRoot best;
  std::vector<std::string> rivals;  ///< other containers that fit as well, none above or below the best
  std::size_t top_exact = 0;
  bool by_name = false;  ///< nothing fits; taken because it is called what a state dict is called
};

bool is_within(const std::string& path, const std::string& other) {
  return path == other || path.starts_with(other + ".") || other.starts_with(path + ".") || other.empty() ||
         path.empty();
}

std::optional<Choice> choose(const std::vector<Root>& roots, const Listing& target) {
  const auto wanted = names_of(target);
  std::vector<ScoredRoot> scored;
  for (const Root& root : roots) scored.push_back({&root, fit_of(root.tensors, wanted)});
  Choice choice;
  choice.top_exact = scored.front().fit.exact;
  for (const ScoredRoot& candidate : scored)
    if (is_better(candidate, choice.best)) choice.best = candidate;
  if (choice.best.fit.keys == 0) {
    const Root* by_name = main_root(roots);
    if (by_name == nullptr) return std::nullopt;
    choice.best = {by_name, {}};
    choice.by_name = true;
    return choice;
  }
  for (const ScoredRoot& candidate : scored)
    if (candidate.fit.keys == choice.best.fit.keys && candidate.fit.exact == choice.best.fit.exact &&
        !is_within(candidate.root->path, choice.best.root->path))
      choice.rivals.push_back(candidate.root->path);
  return choice;
}

/// Several state dicts fit, and a person says which: only a copy that training alone needs is passed over unasked.
bool is_open(const Choice& choice) {
  const auto is_for_training = [](const std::string& path) {
    return is_called_copy(path) && !is_called_kept_copy(path);
  };
  return !choice.rivals.empty() && (is_called_copy(choice.best.root->path) ||
                                    !std::all_of(choice.rivals.begin(), choice.rivals.end(), is_for_training));
}

double confidence(const Choice& choice, std::size_t wanted) {
  if (choice.by_name) return is_called_container(choice.best.root->path) ? 0.6 : 0.4;
  const double share =
      static_cast<double>(choice.best.fit.keys) / static_cast<double>(std::max<std::size_t>(wanted, 1));
  return 0.99 * (is_open(choice) ? 0.6 : 1.0) * (0.6 + 0.4 * std::min(1.0, share));
}

std::vector<std::string> evidence(const Choice& choice, std::size_t wanted) {
  const auto of_all = [&](std::size_t count) { return base::count_text(count) + " of " + base::count_text(wanted); };
  std::string text = of_all(choice.top_exact) + " model keys stand at the top of the file, " +
                     of_all(choice.best.fit.exact) + " below " + quoted(choice.best.root->path);
  if (choice.best.fit.keys > choice.best.fit.exact)
    text += ", " + of_all(choice.best.fit.keys) + " there behind a prefix";
  return {text};
}

std::optional<Finding> in_file(const Case& facts) {
  const auto roots = roots_of(facts.checkpoint);
  if (roots.size() < 2 || facts.target.tensors.empty()) return std::nullopt;
  const auto choice = choose(roots, facts.target);
  if (!choice || choice->best.root->path.empty()) return std::nullopt;
  const Root& root = *choice->best.root;
  const std::size_t wanted = facts.target.tensors.size();

  Finding finding;
  finding.ops = {{Unwrap{root.path}, is_open(*choice) ? Applicability::Guess : Applicability::Exact}};
  Cause& cause = finding.cause;
  cause.confidence = confidence(*choice, wanted);
  cause.summary = "the state dict stands inside the file's dict, under " + quoted(root.path);
  cause.place =
      facts.checkpoint.label + ", " + base::plural(root.tensors.size(), "tensor") + " under " + quoted(root.path);
  cause.why = kWhy;
  cause.keys = root.tensors.size();
  cause.evidence = evidence(*choice, wanted);
  const auto others = left_out(*facts.checkpoint.values, root.path);
  if (!others.empty()) cause.notes.push_back("left out, because no model wants it: " + list_text(others));
  if (!choice->rivals.empty())
    cause.notes.push_back(list_text(choice->rivals) + (choice->rivals.size() == 1 ? " fits" : " fit") + " as well; " +
                          quoted(root.path) + " was taken" + (is_open(*choice) ? ", which is a guess" : ""));
  cause.help = {"or load the part    model.load_state_dict(checkpoint[\"" + root.path + "\"])"};
  return finding;
}

bool is_optimizers_own(const std::string& name) { return name == "state" || name == "param_groups"; }

/// What only a training loop writes beside the state dict.
bool is_of_loop(const std::string& name) {
  constexpr std::string_view kNames[] = {"epoch",
                                         "epochs",
                                         "global_step",
                                         "optimizer",
                                         "optimizer_state",
                                         "scheduler",
                                         "iteration",
                                         "lr_scheduler",
                                         "best_acc",
                                         "best_loss",
                                         "args",
                                         "arch",
                                         "hyper_parameters",
                                         "callbacks",
                                         "loops",
                                         "optimizer_state_dict",
                                         "optimizer_states",
                                         "pytorch-lightning_version"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// A message that names the first key only: it is the loop's, and the state dict stands beside it.
std::optional<Finding> beside_bookkeeping(const Case& facts) {
  std::vector<std::string> names;
  for (const std::size_t index : facts.gap.unexpected) names.push_back(facts.have(index).name);
  if (names.empty() || !std::all_of(names.begin(), names.end(), is_of_loop) ||
      std::all_of(names.begin(), names.end(), [](const std::string& name) { return is_called_optimizer(name); }))
    return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = 0.85;
  cause.summary = "a training loop's dict was loaded where the state dict inside it is wanted";
  cause.place = place_of(facts);
  cause.why = kWhy;
  cause.keys = names.size() + facts.gap.missing.size();
  cause.evidence = {base::plural(names.size(), "unexpected key") + ", all of a training loop: " + list_text(names)};
  cause.help = {"see under which name the state dict stands    tenon inspect FILE"};
  finding.told_have = facts.gap.unexpected;
  finding.told_want = facts.gap.missing;
  return finding;
}

/// Everything is missing from the first layer on and nothing else is shown: the names may stand one dict further in.
std::optional<Finding> all_missing(const Case& facts) {
  constexpr std::size_t kLeast = 6;
  const OpenRows rows = open_rows(facts);
  if (rows.missing.size() < kLeast || !rows.unexpected.empty() || !rows.mismatched.empty()) return std::nullopt;
  const bool from_start = begins_network(rows.missing.front().name);
  if (!common_module(rows.missing).empty() || shared_leaf(rows.missing) || !from_start ||
      are_normalisations(rows.missing))
    return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = 0.47;
  cause.summary = "the model's tensors are missing from the first layer on: they may stand inside another dict";
  cause.place = place_of(facts);
  cause.why = kWhy;
  cause.keys = rows.missing.size();
  cause.evidence = {base::plural(rows.missing.size(), "missing key") + " from " + quoted(rows.missing.front().name) +
                    " on, 0 unexpected shown"};
  cause.help = {"see what the file's names are    tenon inspect FILE"};
  return finding;
}

/// Unexpected names without dots, one of them called like a container, the others like bookkeeping.
std::optional<Finding> in_text(const Case& facts) {
  std::string container;
  std::vector<std::string> plain, others;
  for (const std::size_t index : facts.gap.unexpected) {
    const std::string& name = facts.have(index).name;
    if (name.find('.') != std::string::npos) continue;
    plain.push_back(name);
    if (is_optimizers_own(name)) {
      others.push_back(name);  // an optimizer keeps its moments there: never a model's state dict
    } else if (container.empty() && is_called_container(name) && !is_called_bookkeeping(name)) {
      container = name;
    } else {
      others.push_back(name);
    }
  }
  const bool has_bookkeeping = std::any_of(others.begin(), others.end(), is_called_bookkeeping);
  const bool is_alone = facts.gap.unexpected.size() == plain.size() && !facts.gap.missing.empty();
  const bool is_sure = container == "state_dict" || (!container.empty() && (has_bookkeeping || is_alone));
  if (!is_sure || plain.size() * 2 < facts.gap.unexpected.size()) return std::nullopt;

  Finding finding;
  finding.ops = {{Unwrap{container}, Applicability::Exact}};
  Cause& cause = finding.cause;
  cause.confidence = has_bookkeeping ? 0.95 : 0.8;
  cause.summary = "the file's dict was loaded where the state dict inside it is wanted, under " + quoted(container);
  cause.place = place_of(facts);
  cause.why = kWhy;
  cause.keys = plain.size() + facts.gap.missing.size();
  finding.told_want = facts.gap.missing;  // what is inside is not shown, and nothing else need be wrong
  cause.evidence = {base::plural(plain.size(), "unexpected key") + " without a dot: " + list_text(plain)};
  cause.help = {"load the part    model.load_state_dict(checkpoint[\"" + container + "\"])"};
  return finding;
}

/// `KeyError: 'state_dict'`: the program asked for a part that the file does not have; the file may be that part.
std::optional<Finding> in_reverse(const Case& facts) {
  const Sighting* absent = facts.text == nullptr ? nullptr : facts.text->find(Symptom::AbsentMember);
  if (absent == nullptr) return std::nullopt;
  const bool is_container = is_called_container(absent->detail);
  const bool is_part = is_container || is_called_bookkeeping(absent->detail) ||
                       absent->detail.find("state_dict") != std::string::npos ||
                       facts.text->find(Symptom::AbsentPart) != nullptr;
  if (!is_part || (is_called_optimizer(absent->detail) && !is_container)) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = is_container ? 0.8 : 0.5;
  cause.summary = "the program takes " + quoted(absent->detail) + " out of the file's dict, and it is not there";
  cause.place = facts.checkpoint.label;
  cause.why = "the file is the bare state dict, or keeps it under another name";
  cause.keys = 1;
  cause.evidence = {absent->excerpt};
  cause.help = {"load the file itself    model.load_state_dict(torch.load(path))",
                "or see what it holds    tenon inspect FILE"};
  return finding;
}

}  // namespace

std::optional<Finding> find_nested_container(const Case& facts) {
  const bool is_untouched = facts.state.tensors().size() == facts.checkpoint.tensors.size();
  if (facts.gap.size() > 0 && is_untouched) {
    const bool is_whole = facts.knowledge == Knowledge::Whole;
    auto finding = is_whole ? in_file(facts) : in_text(facts);
    if (!finding && !is_whole) finding = beside_bookkeeping(facts);
    if (!finding && !is_whole) finding = all_missing(facts);
    if (finding) return finding;
  }
  return in_reverse(facts);
}

}  // namespace tenon::diagnosis
