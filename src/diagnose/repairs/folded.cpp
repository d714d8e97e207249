// Norms that the model has no more: weight norm's two parts become one weight, batch norms go into the layer before
// them.
#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/origins/name_rules.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/repairs/repairs.hpp"
#include "diagnose/saying.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kNormParts[] = {"weight", "bias", "running_mean", "running_var"};

struct Parts {
  std::string_view g, v;
};
constexpr Parts kWeightNorms[] = {{"weight_g", "weight_v"},
                                  {"parametrizations.weight.original0", "parametrizations.weight.original1"}};

using Names = std::unordered_map<std::string_view, std::size_t>;

Names names_of(const Case& facts) {
  Names names;
  for (std::size_t i = 0; i < facts.state.tensors().size(); ++i) names.emplace(facts.have(i).name, i);
  return names;
}

std::vector<std::string> all_names(const Case& facts) {
  std::vector<std::string> names;
  for (const Planned& tensor : facts.state.tensors()) names.push_back(tensor.spec.name);
  return names;
}

std::string_view parent_of(std::string_view module) { return module_of(module); }

std::optional<int> number_at_end(std::string_view word) {
  const auto first = word.find_last_not_of("0123456789") + 1;
  int number = 0;
  const auto end = word.data() + word.size();
  if (first == word.size() || std::from_chars(word.data() + first, end, number).ptr != end) return std::nullopt;
  return number;
}

/// `conv1` and `bn1`, `conv` and `bn` in one module; `0` and `1` in a Sequential; `conv1` and `conv1.norm`.
bool follows(std::string_view norm, std::string_view conv) {
  if (parent_of(norm) == conv) return true;
  if (parent_of(norm) != parent_of(conv)) return false;
  const std::string_view last = leaf_of(conv), norm_last = leaf_of(norm);
  const auto at = number_at_end(last), norm_at = number_at_end(norm_last);
  const auto is_number = [](std::string_view word) {
    return word.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (is_number(last) != is_number(norm_last)) return false;
  if (is_number(last)) return norm_at && at && *norm_at == *at + 1;
  return at == norm_at;
}

/// Modules of the state that hold all four parts of a norm, none of which has a place in the model; module -> channels.
std::map<std::string_view, std::int64_t> left_norms(const Case& facts, const Names& names) {
  std::unordered_set<std::size_t> unexpected(facts.gap.unexpected.begin(), facts.gap.unexpected.end());
  std::map<std::string_view, std::int64_t> norms;
  for (const std::size_t index : facts.gap.unexpected) {
    const TensorSpec& spec = facts.have(index);
    if (leaf_of(spec.name) != "running_var" || !spec.shape || spec.shape->size() != 1) continue;
    const std::string_view module = module_of(spec.name);
    const bool is_whole = std::all_of(std::begin(kNormParts), std::end(kNormParts), [&](std::string_view part) {
      const auto found = names.find(std::string(module) + "." + std::string(part));
      return found != names.end() && unexpected.count(found->second) > 0;
    });
    if (is_whole) norms.emplace(module, spec.shape->front());
  }
  return norms;
}

/// The one norm behind a layer that has a weight in the file and only lacks the bias.
std::optional<std::string> norm_of(const TensorSpec& bias, const Case& facts, const Names& names,
                                   const std::map<std::string_view, std::int64_t>& norms) {
  const std::string conv(module_of(bias.name));
  const auto weight = names.find(conv + ".weight");
  if (leaf_of(bias.name) != "bias" || !bias.shape || bias.shape->size() != 1 || weight == names.end())
    return std::nullopt;
  const auto& shape = facts.have(weight->second).shape;
  if (!shape || shape->size() < 2 || shape->front() != bias.shape->front()) return std::nullopt;
  std::vector<std::string> found;
  for (const auto& [norm, channels] : norms)
    if (channels == bias.shape->front() && follows(norm, conv)) found.emplace_back(norm);
  if (found.size() != 1) return std::nullopt;
  return found.front();
}

}  // namespace

std::optional<Finding> find_folded_batch_norm(const Case& facts) {
  if (facts.knowledge != Knowledge::Whole) return std::nullopt;
  const Names names = names_of(facts);
  const auto norms = left_norms(facts, names);
  if (norms.empty()) return std::nullopt;
  std::vector<NameChange> changes;
  std::unordered_set<std::string> used;
  for (const std::size_t index : facts.gap.missing) {
    const auto norm = norm_of(facts.want(index), facts, names, norms);
    if (!norm) continue;
    if (!used.insert(*norm).second) return std::nullopt;  // two layers before one norm: the names do not tell
    changes.push_back({std::string(module_of(facts.want(index).name)), {*norm}});
  }
  if (changes.empty()) return std::nullopt;
  std::vector<std::string> modules;
  for (const NameChange& change : changes) modules.push_back(change.from);
  for (const auto& [norm, channels] : norms) modules.emplace_back(norm);
  Finding finding = say(
      facts,
      {0.9,
       base::plural(changes.size(), "batch norm") + " of the checkpoint " + (changes.size() == 1 ? "is" : "are") +
           " folded into the layers before in the model",
       "for inference a batch norm is a factor and a shift for each channel, which the layer before it can take over",
       {base::count_text(changes.size()) + " of " + base::plural(norms.size(), "norm") +
        " without a place stand behind a layer that lacks only its bias"},
       {}});
  for (const NameRule& rule : name_rules(changes, modules)) {
    FoldBatchNorm fold{rule.from, rule.to[0]};
    fold.regex = rule.is_regex;
    finding.ops.push_back({fold, Applicability::Lossy});
  }
  finding.cause.notes = {
      "the norms' eps is not in the file: 1e-05 is taken, PyTorch's default; \"eps\" in the plan changes it"};
  finding.cause.keys = changes.size() * (1 + std::size(kNormParts));
  return finding;
}

std::optional<Finding> find_folded_weight_norm(const Case& facts) {
  if (facts.knowledge != Knowledge::Whole) return std::nullopt;
  const Names names = names_of(facts);
  std::vector<NameChange> changes;
  for (const std::size_t index : facts.gap.missing) {
    const TensorSpec& want = facts.want(index);
    if (leaf_of(want.name) != "weight") continue;
    const std::string stem = want.name.substr(0, want.name.size() - std::string_view("weight").size());
    for (const Parts& parts : kWeightNorms) {
      const auto g = names.find(stem + std::string(parts.g)), v = names.find(stem + std::string(parts.v));
      if (g == names.end() || v == names.end() || facts.have(v->second).shape != want.shape) continue;
      changes.push_back({std::string(g->first), {std::string(v->first), want.name}});
    }
  }
  if (changes.empty()) return std::nullopt;
  Finding finding = say(
      facts, {0.95,
              base::plural(changes.size(), "weight") + " of the model " + (changes.size() == 1 ? "is" : "are") +
                  " held in two parts by the checkpoint: norm and direction",
              "weight norm keeps g and v and computes weight = g * v / |v|; the model has the weight itself",
              {base::plural(changes.size(), "pair") + " of norm and direction, each direction of the weight's shape"},
              {}});
  for (const NameRule& rule : name_rules(changes, all_names(facts)))
    finding.ops.push_back({FoldWeightNorm{rule.from, rule.to[0], rule.to[1], rule.is_regex}, Applicability::Lossy});
  finding.cause.keys = changes.size() * 3;
  return finding;
}

}  // namespace tenon::diagnosis
