// tied_or_shared: weights that were one tensor are two, or the reverse.
#include <algorithm>
#include <set>
#include <string>
#include <string_view>
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

namespace tenon::diagnosis {

namespace {

constexpr std::string_view kTied = "tied to ", kSame = "the same module as ";

bool is_sharing(const ArchitectureChange& change) { return change.what == "sharing"; }
bool is_tie(const ArchitectureChange& change) { return is_sharing(change) || change.what.starts_with("tie of "); }

std::string name_of(const ArchitectureChange& change) {
  return is_sharing(change) ? change.module : change.what.substr(std::string_view("tie of ").size());
}

/// The name that one side shares with; "" where it stands alone.
std::string partner_in(const std::string& side) {
  for (const std::string_view phrase : {kTied, kSame})
    if (side.starts_with(phrase)) return side.substr(phrase.size());
  return {};
}

/// "tied to `embed.weight`"
std::string state_text(const std::string& side) {
  const std::string partner = partner_in(side);
  return partner.empty() ? side : side.substr(0, side.size() - partner.size()) + quoted(partner);
}

std::size_t tie_count(const Blueprint& blueprint) {
  const auto tensors = std::count_if(blueprint.tensors.begin(), blueprint.tensors.end(),
                                     [](const TensorSpec& spec) { return !spec.tied_to.empty(); });
  const auto modules = std::count_if(blueprint.modules.begin(), blueprint.modules.end(),
                                     [](const ModuleSpec& module) { return !module.same_as.empty(); });
  return static_cast<std::size_t>(tensors + modules);
}

std::string help_of(const ArchitectureChange& change) {
  const std::string name = name_of(change), partner = partner_in(change.from);
  if (partner.empty())
    return "give " + quoted(name) + " its own again, or see that both saved values are equal    tenon diff";
  return "tie them again    " + attribute_text(name) + " = " + attribute_text(partner);
}

constexpr Reading kReadings[] = {
    {Symptom::SharedTensors, 0.95, "tensors share memory, and the format wants each by itself",
     "a tie (one tensor of two names) or slices of one buffer: safetensors knows neither",
     "a true tie: save one name and tie again after loading (safetensors.torch.save_model); slices: .clone() or "
     ".contiguous() first"},
    {Symptom::NameTaken, 0.3, "one variable may be saved under two owners",
     "a wrapper and the layer within both own it", "let one of them own it"},
};

/// The file holds both names of a tie, and the model knows one.
std::optional<Finding> extra_tie(const Case& facts, const std::vector<OpenName>& tied) {
  Finding finding =
      say(facts, {0.6,
                  "the file also holds a tensor that the model may tie to another: " + list_text(names_of_rows(tied)),
                  "a tied weight has two names and one value; the model here registers one of them",
                  {base::plural(tied.size(), "unexpected key") + ", all of them usually tied"},
                  {"leave it out where the model ties it; see that both saved values are equal before"}});
  finding.cause.keys = tied.size();
  picture_of({}, tied, {}, finding.cause);
  return finding;
}

/// An output layer's or embedding's weight whose bias is not missing, too: it is not the whole layer that is absent.
bool is_lone_weight(const OpenName& row, const std::vector<OpenName>& side) {
  constexpr std::size_t kFew = 3;
  const std::string_view module = module_of(row.name);
  if (side.size() > kFew || leaf_of(row.name) != "weight" || !(is_called_head(module) || is_called_embedding(module)))
    return false;
  return std::none_of(side.begin(), side.end(),
                      [&](const OpenName& other) { return &other != &row && module_of(other.name) == module; });
}

/// The only missing tensors are output layers or embeddings that are usually tied to another that was found.
std::optional<Finding> left_out_tie(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const bool in_file = rows.missing.empty();
  const auto& side = in_file ? rows.unexpected : rows.missing;
  if (side.empty() || (!rows.missing.empty() && !rows.unexpected.empty()) || !rows.mismatched.empty())
    return std::nullopt;
  const auto tied =
      rows_where(side, [&](const OpenName& row) { return is_tied_name(row.name) || is_lone_weight(row, side); });
  if (tied.size() != side.size()) return std::nullopt;
  const bool are_usual =
      std::all_of(tied.begin(), tied.end(), [](const OpenName& row) { return is_tied_name(row.name); });
  if (in_file && !are_usual) return std::nullopt;
  if (in_file) return extra_tie(facts, tied);
  Finding finding =
      say(facts, {are_usual ? 0.8 : 0.55,
                  "the missing tensor is usually tied to another one: " + list_text(names_of_rows(tied)),
                  "a tied weight is saved once; a load has to tie it again",
                  {base::plural(tied.size(), "missing key") + ", all of them usually tied"},
                  {"tie after loading: model.tie_weights(), or model.lm_head.weight = model.embed_tokens.weight"}});
  finding.cause.keys = tied.size();
  picture_of(tied, {}, {}, finding.cause);
  return finding;
}

/// One name of the checkpoint stands against several of the model: a layer that was shared.
std::optional<Finding> split_share(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  std::unordered_map<std::string, std::set<std::string_view>> names;
  std::size_t shared = 0;
  for (const OpenName& row : rows.unexpected)
    names.emplace(template_of(leaf_of(module_of(row.name))) + "\n" + std::string(leaf_of(row.name)),
                  std::set<std::string_view>());
  for (const OpenName& row : rows.missing) {
    std::string stem(leaf_of(module_of(row.name)));
    while (!stem.empty() && stem.back() >= '0' && stem.back() <= '9') stem.pop_back();
    const auto found = names.find(stem + "\n" + std::string(leaf_of(row.name)));
    if (found == names.end() || stem == leaf_of(module_of(row.name)) || stem.empty()) continue;
    found->second.insert(leaf_of(module_of(row.name)));
  }
  for (const auto& [stem, variants] : names) shared += variants.size() > 1 ? 1U : 0U;
  if (shared == 0) return std::nullopt;
  Finding finding = say(
      facts,
      {0.5,
       "one layer of the checkpoint stands against several of the model",
       "a layer that was used twice was split, or the code changed: whether it was shared cannot be told from names",
       {base::plural(shared, "name") + " with two or more numbered counterparts"},
       {"copy the one into each of the others, if the old code shared it"}});
  finding.cause.keys = rows.missing.size();
  return finding;
}

std::optional<Finding> from_text(const Case& facts) {
  if (auto finding = left_out_tie(facts)) return finding;
  if (auto finding = split_share(facts)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace

std::optional<Finding> find_tie_in_text(const Case& facts) { return from_text(facts); }

std::optional<Finding> find_tied_or_shared(const Case& facts) {
  if (!facts.function) return std::nullopt;
  std::vector<const ArchitectureChange*> changes;
  for (const ArchitectureChange& change : facts.function->architecture)
    if (is_tie(change)) changes.push_back(&change);
  if (changes.empty()) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  const ArchitectureChange& first = *changes.front();
  cause.keys = changes.size();
  cause.confidence = 0.99;  // both blueprints say which tensors share their storage
  cause.summary = quoted(name_of(first)) + " was " + state_text(first.from) + " and is " + state_text(first.to);
  if (changes.size() > 1) cause.summary += " (and " + base::plural(changes.size() - 1, "difference") + " more)";
  cause.place = facts.checkpoint.label + ", blueprint";
  cause.why = partner_in(first.from).empty() ? "one storage takes both values: the one that is copied last wins"
                                             : "both copies are loaded with the same values; the first training step "
                                               "moves them apart";
  cause.evidence = {"shared names: " + std::to_string(tie_count(facts.function->from)) + " in the saved model, " +
                    std::to_string(tie_count(facts.function->to)) + " in the model"};
  for (const ArchitectureChange* change : changes)
    if (cause.picture.size() < 4) cause.picture.push_back({change->from, change->to, name_of(*change)});
  for (const ArchitectureChange* change : changes)
    if (cause.help.size() < 3) cause.help.push_back(help_of(*change));
  return finding;
}

}  // namespace tenon::diagnosis
