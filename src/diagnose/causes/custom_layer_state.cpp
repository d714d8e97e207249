// custom_layer_state: a module keeps state where no state dict looks: plain attributes, lists of modules,
// non-persistent buffers.
#include <algorithm>
#include <unordered_map>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kUnregistered =
    "a state dict holds registered parameters and persistent buffers; anything else a module keeps is left out";

using Reasons = std::unordered_map<std::string_view, std::string_view>;

Reasons reasons_of(const Listing& listing) {
  Reasons reasons;
  if (listing.blueprint)
    for (const Unsaved& row : listing.blueprint->unsaved) reasons.emplace(row.name, row.why);
  return reasons;
}

/// What would have been trained: modules and parameters that are not registered. A tensor kept as a plain attribute may
/// be a constant.
bool holds_weights(const Unsaved& row) { return row.why.find("module") == 0 || row.why.find("parameter") == 0; }

/// What registers state of that kind.
std::string registration(std::string_view why) {
  if (why.starts_with("non-persistent")) return "self.register_buffer(name, tensor, persistent=True)";
  if (why.starts_with("module")) return "torch.nn.ModuleList or ModuleDict for the list or dict";
  if (why.starts_with("parameter")) return "self.name = torch.nn.Parameter(tensor)";
  return "self.register_buffer(name, tensor); torch.nn.Parameter(tensor) where it is trained";
}

Finding finding_of(const Case& facts, std::string summary, const std::vector<std::string>& names,
                   const std::vector<std::string>& evidence, std::string_view first_why) {
  Finding finding;
  Cause& cause = finding.cause;
  cause.summary = std::move(summary);
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.keys = names.size();
  cause.evidence = evidence;
  cause.why = kUnregistered;
  cause.help = {"register it, and save anew    " + registration(first_why)};
  return finding;
}

/// What the lost state does to the outputs: silent_wrong does not say it again.
void add_probe(const Case& facts, Cause& cause) {
  if (!facts.function || !facts.function->probe) return;
  const ProbeComparison& probe = *facts.function->probe;
  if (probe.verdict != ProbeVerdict::OtherFunction) return;
  cause.evidence.push_back("probe: " + probe.detail);
  if (!probe.first_deviating_module.empty())
    cause.evidence.push_back("first module that deviates: " + quoted(probe.first_deviating_module));
}

/// Tensors that one side has in its state dict and the other keeps beside it.
std::optional<Finding> half_registered(const Case& facts) {
  const Reasons kept_by_model = reasons_of(facts.target), kept_by_saved = reasons_of(facts.checkpoint);
  std::vector<std::string> names, evidence;
  std::string_view why;
  for (const std::size_t index : facts.gap.unexpected) {
    const auto found = kept_by_model.find(facts.have(index).name);
    if (found == kept_by_model.end()) continue;
    names.push_back(facts.have(index).name);
    evidence.push_back(quoted(names.back()) + ": in the file; in the model: " + std::string(found->second));
    if (why.empty()) why = found->second;
  }
  const bool is_in_file = !names.empty();
  for (const std::size_t index : facts.gap.missing) {
    const auto found = kept_by_saved.find(facts.want(index).name);
    if (found == kept_by_saved.end()) continue;
    names.push_back(facts.want(index).name);
    evidence.push_back(quoted(names.back()) + ": wanted; in the saved model: " + std::string(found->second));
    if (why.empty()) why = found->second;
  }
  if (names.empty()) return std::nullopt;
  if (evidence.size() > 3) evidence.resize(3);
  const std::string summary = is_in_file ? "the model keeps outside its state dict what the file holds: "
                                         : "the saved model kept outside its state dict what the model wants: ";
  Finding finding = finding_of(facts, summary + list_text(names), names, evidence, why);
  finding.cause.confidence = 0.97;  // the same name on both sides, registered on one
  return finding;
}

/// Weights that are in no state dict at all.
std::optional<Finding> unsaved_weights(const Case& facts, const Listing& side, const char* whose) {
  if (!side.blueprint) return std::nullopt;
  std::vector<std::string> names, evidence;
  std::string_view why;
  for (const Unsaved& row : side.blueprint->unsaved) {
    if (!holds_weights(row)) continue;
    names.push_back(row.name);
    if (why.empty()) why = row.why;
    if (evidence.size() < 3) evidence.push_back(quoted(row.name) + ": " + row.why);
  }
  if (names.empty()) return std::nullopt;
  Finding finding = finding_of(facts, std::string(whose) + " has weights that no state dict holds: " + list_text(names),
                               names, evidence, why);
  finding.cause.confidence = 0.95;
  return finding;
}

constexpr Reading kReadings[] = {
    {Symptom::ExtraStateWords, 0.7, "a module's own state is not saved, or not restored", kUnregistered,
     "register parameters and buffers; implement get_extra_state and set_extra_state for the rest"},
    {Symptom::UnbuiltLayer, 0.8, "a layer has no variables where the file has some",
     "a layer that builds its variables late, or outside build(), is empty when weights are loaded",
     "build the model first: call it on an input; create variables in build()"},
    {Symptom::RenamedOnLoad, 0.78, "a module's own load hook changes names wrongly",
     "a custom _load_from_state_dict or pre-hook runs for every file, old or new",
     "make the hook look at the file's version"},
    {Symptom::NameTaken, 0.5, "a custom layer may give several weights one name",
     "sub-layers and weights without names of their own get equal ones",
     "name every weight and sub-layer of the custom layer"},
    {Symptom::NoConfig, 0.5, "a custom layer does not describe itself", "get_config() is what a layer is rebuilt from",
     "write get_config() and from_config()"},
    {Symptom::LocalObject, 0.15, "an attribute of a custom layer cannot be saved", "lambdas and local functions",
     "use named functions"},
};

bool is_extra_state(const OpenName& row) { return family_of(row.name) == Family::ExtraState; }

bool is_bare_container(std::string_view name) {
  constexpr std::string_view kNames[] = {"state", "model",        "net",    "params",  "optimizer",
                                         "epoch", "param_groups", "module", "weights", "network"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// Names that no layer of the library has: a buffer or parameter of someone's own module.
bool is_own(const OpenName& row) {
  const Family family = family_of(row.name);
  if (family != Family::None && family != Family::Training && family != Family::NormStatistics) return false;
  const std::string_view leaf = leaf_of(row.name);
  const bool is_recurrent = leaf.starts_with("weight_hh_l") || leaf.starts_with("weight_ih_l");
  const bool is_wrapped = is_recurrent && leaf_of(module_of(row.name)) == "module";
  if (is_wrapped || leaf.ends_with("_raw")) return true;
  return !is_plain_leaf(leaf) && !is_recurrent && !leaf.starts_with("bias_") &&
         leaf.find("state_dict") == std::string_view::npos && !is_bare_container(row.name);
}

/// Words for constants that a module keeps; tokens, queries and scales are parameters that someone added.
bool is_called_buffer(std::string_view leaf) {
  constexpr std::string_view kWords[] = {"window", "mean",  "std",    "mask",  "buffer", "init",  "state", "index",
                                         "filter", "steps", "count",  "grid",  "basis",  "table", "range", "freq",
                                         "kernel", "eye",   "offset", "coord", "zeros",  "ones",  "cache", "running"};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return leaf.find(word) != std::string_view::npos; });
}

/// A few tensors on one side only, called like no layer's own.
std::optional<Finding> own_state(const Case& facts) {
  constexpr std::size_t kMost = 8;
  const OpenRows rows = open_rows(facts);
  const bool in_file = rows.missing.empty();
  const auto& side = in_file ? rows.unexpected : rows.missing;
  if (side.empty() || (!rows.missing.empty() && !rows.unexpected.empty())) return std::nullopt;
  const auto extra = rows_where(side, is_extra_state);
  const auto own = extra.empty() ? rows_where(side, is_own) : extra;
  const bool is_lone_buffer =
      !in_file && own.size() == 1 &&
      is_called_buffer(leaf_of(own.front().name));  // a part that was added has more than one tensor
  if (own.empty() || own.size() < side.size() || (extra.empty() && own.size() > kMost)) return std::nullopt;
  // A program that stops at the first name tells nothing of the others; a buffer that a library's module once kept is
  // a release's doing as well.
  const bool is_first_only = facts.text != nullptr && facts.text->is_first_only;
  const bool is_within =
      in_file && std::all_of(own.begin(), own.end(), [](const OpenName& row) {
        const std::string_view module = module_of(row.name), leaf = leaf_of(row.name);
        return !module.empty() && !is_wrapper_level(module) && module.front() != '_' && !leaf.starts_with("weight_");
      });
  Finding finding = say(facts, {!extra.empty()   ? 0.85
                                : is_first_only  ? 0.45
                                : is_lone_buffer ? 0.78
                                : is_within      ? 0.48
                                                 : 0.62,
                                std::string(in_file ? "the checkpoint" : "the model") +
                                    " has state of a module's own: " + list_text(names_of_rows(own)),
                                "a custom module registers, creates or saves its state in one version and not in the "
                                "other: a lazily made buffer, a parameter that became an attribute",
                                {base::plural(own.size(), "key") + ", none called as layers call their tensors"},
                                {in_file ? "register it before loading: self.register_buffer(name, tensor)"
                                         : "give it a default, or leave it out of the state dict: persistent=False"}});
  finding.cause.keys = own.size();
  picture_of(in_file ? std::vector<OpenName>() : own, in_file ? own : std::vector<OpenName>(), {}, finding.cause);
  return finding;
}

/// One tensor without content: a module that makes its parameters when it first runs.
std::optional<Finding> lazy_module(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto lazy = rows_where(facts.gap.mismatched, [&](const Pair& pair) {
    return is_empty_shape(*facts.have(pair.state).shape) || is_empty_shape(*facts.want(pair.target).shape);
  });
  if (lazy.empty() || lazy.size() > 2 || lazy.size() != facts.gap.size()) return std::nullopt;
  const bool is_plain_module = facts.want(lazy.front().target).name.find('.') == std::string::npos;
  Finding finding = say(facts, {is_plain_module ? 0.82 : 0.3,
                                "a parameter has no shape yet: a module that makes it when it first runs",
                                "lazy modules hold a placeholder until they have seen an input",
                                {base::plural(lazy.size(), "key") + " of shape [0]"},
                                {"run the module once before saving or loading"}});
  finding.cause.keys = lazy.size();
  return finding;
}

/// Several tensors called like no layer's own are empty on one side: buffers that grow while the module runs. Sharded
/// training leaves weights empty, and on one side alone.
std::optional<Finding> growing_buffers(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto& pairs = rows.mismatched;
  if (pairs.size() < 2 || pairs.size() != rows.size()) return std::nullopt;
  const auto is_empty = [](const OpenPair& row) { return is_empty_shape(*row.have) || is_empty_shape(*row.want); };
  const auto is_layers = [](const OpenPair& row) {
    return is_plain_leaf(leaf_of(row.name)) || family_of(row.name) != Family::None;
  };
  if (!std::all_of(pairs.begin(), pairs.end(), is_empty) || std::any_of(pairs.begin(), pairs.end(), is_layers))
    return std::nullopt;
  Finding finding = say(facts, {0.8,
                                "a module's own tensors are empty on one side: " + list_text(names_of_rows(pairs)),
                                "buffers that a module fills, or replaces, while it runs have another size when it is "
                                "built",
                                {base::plural(pairs.size(), "mismatched key") + ", none called as layers call theirs"},
                                {"give them their size before loading, or set them by assignment"}});
  finding.cause.keys = pairs.size();
  picture_of({}, {}, pairs, finding.cause);
  return finding;
}

std::optional<Finding> from_text(const Case& facts) {
  if (auto finding = growing_buffers(facts)) return finding;
  if (auto finding = lazy_module(facts)) return finding;
  if (auto finding = own_state(facts)) return finding;
  return facts.text != nullptr && !facts.text->tells_keys() ? read_sightings(facts, kReadings) : std::nullopt;
}

}  // namespace

std::optional<Finding> find_custom_state_in_text(const Case& facts) { return from_text(facts); }

std::optional<Finding> find_custom_layer_state(const Case& facts) {
  auto finding = half_registered(facts);
  if (!finding) finding = unsaved_weights(facts, facts.checkpoint, "the saved model");
  if (!finding) finding = unsaved_weights(facts, facts.target, "the model");
  if (finding) add_probe(facts, finding->cause);
  return finding;
}

}  // namespace tenon::diagnosis
