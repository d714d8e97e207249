// wrapper_prefix: the names of one side are those of the other behind a prefix.
//
//   checkpoint   module.layer1.0.conv1.weight      what a wrapper saved
//   model        layer1.0.conv1.weight             what the bare model wants (or the other way round)
//
// The rule: among the names without a counterpart, every pair of which one ends in the other votes for the prefix
// between them (prefix_fit.hpp); the prefix with most votes whose shapes agree, too, is the finding. Nothing needs to
// be known of the wrapper; the table below only says why it is there. BatchNorm's counters may stand on one side only
// and are not counted then.
#include <algorithm>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/prefix_fit.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

struct Wrapper {
  std::string_view prefix;
  std::string_view why;
};
constexpr Wrapper kWrappers[] = {
    {"module.", "DataParallel and DistributedDataParallel hold the model in an attribute `module`"},
    {"_orig_mod.", "torch.compile holds the model in an attribute `_orig_mod`"},
    {"_fsdp_wrapped_module.", "FullyShardedDataParallel holds the model in an attribute `_fsdp_wrapped_module`"},
    {"_forward_module.", "a training strategy holds the model in an attribute `_forward_module`"},
    {"base_model.model.", "an adapter library holds the model in `base_model.model`"},
    {"model.", "a trainer or a larger class holds the network in an attribute `model`"},
    {"net.", "a trainer or a larger class holds the network in an attribute `net`"},
    {"backbone.", "a larger network holds this one as its `backbone`"},
    {"encoder.", "a larger network holds this one as its `encoder`"},
    {"features.", "a larger network holds these layers in a Sequential `features`"},
};

std::string why(const PrefixFit& fit) {
  const std::string& prefix = fit.strip.empty() ? fit.add : fit.strip;
  std::string text;
  for (const Wrapper& wrapper : kWrappers)
    if (prefix.find(wrapper.prefix) == 0 || prefix.find("." + std::string(wrapper.prefix)) != std::string::npos)
      text += (text.empty() ? "" : "; ") + std::string(wrapper.why);
  if (text.empty()) text = "one side was saved from, or is loaded into, a module one level up or down the tree";
  return text + (fit.strip.empty() ? "; the bare model was saved, the wrapped one is loading"
                                   : "; the wrapped model was saved, the bare one is loading");
}

/// The names without a counterpart on the other side, and how many of them count.
struct Sides {
  std::vector<NamedShape> have, want;
  std::size_t have_counted = 0, want_counted = 0;

  std::size_t fewer() const { return std::min(have_counted, want_counted); }
};

std::size_t counted(const std::vector<NamedShape>& names) {
  return static_cast<std::size_t>(
      std::count_if(names.begin(), names.end(), [](const NamedShape& row) { return !is_batch_counter(row.name); }));
}

Sides sides_of(const Case& facts) {
  Sides sides;
  for (const std::size_t index : facts.gap.unexpected) sides.have.push_back(named_shape(facts.have(index)));
  for (const std::size_t index : facts.gap.missing) sides.want.push_back(named_shape(facts.want(index)));
  sides.have_counted = counted(sides.have);
  sides.want_counted = counted(sides.want);
  // Counters on both sides are names like others: only one-sided ones would spoil the count.
  const auto has_counter = [](const std::vector<NamedShape>& names, std::size_t count) { return count < names.size(); };
  if (has_counter(sides.have, sides.have_counted) && has_counter(sides.want, sides.want_counted)) {
    sides.have_counted = sides.have.size();
    sides.want_counted = sides.want.size();
  }
  return sides;
}

/// What stands before the names is a part's own name and not a wrapper's: one part for another (`map_classifier.` for
/// `world_classifier.`) was renamed, and a head's name (`cls.predictions.`) is of a head.
bool is_of_one_part(const PrefixFit& fit) {
  const auto levels = [](const std::string& prefix) {
    return prefix.substr(0, prefix.size() - (prefix.empty() ? 0 : 1));
  };
  const std::string strip = levels(fit.strip), add = levels(fit.add);
  if (!strip.empty() && !add.empty())
    return !has_wrapper_level(strip) && !has_wrapper_level(add) && likeness(strip, add) < 1 &&
           strip.find('.') == std::string::npos && add.find('.') == std::string::npos;
  const std::string& one = strip.empty() ? add : strip;
  return is_called_head(one) && !has_wrapper_level(one);
}

/// A prefix must explain half of what could be explained, and half of that in shape. One prefix for another must
/// explain half of the model: for less than that, a module was renamed (`fc` to `classifier`).
bool explains_enough(const Case& facts, const PrefixFit& fit, const Sides& sides) {
  const bool is_replaced = !fit.strip.empty() && !fit.add.empty();
  // `blocks.1.` against `blocks.0.0.`: the same part, counted in another way.
  const bool is_counted_otherwise = is_replaced && first_level(fit.strip) == first_level(fit.add);
  if (is_counted_otherwise && facts.knowledge == Knowledge::Partial) return false;
  if (facts.knowledge == Knowledge::Partial && fit.keys == 1 && !fit.rivals.empty()) return false;  // any layer fits
  const bool is_of_wrappers = has_wrapper_level(fit.strip) || has_wrapper_level(fit.add);
  if (is_replaced && !is_of_wrappers && facts.knowledge == Knowledge::Partial) return false;  // a part was renamed
  if (facts.knowledge == Knowledge::Partial && is_of_one_part(fit)) return false;
  if (is_replaced && (fit.keys < 3 || fit.keys * 2 < facts.target.tensors.size())) return false;
  return fit.shapes > 0 && fit.keys * 2 >= sides.fewer() && fit.shapes * 2 >= fit.keys;
}

/// Names with the prefix that find no counterpart: `0.norm.weight` of the part behind it, with its shape, numbers
/// aside.
std::unordered_set<std::string> open_forms(std::span<const NamedShape> side, const std::string& own,
                                           std::span<const NamedShape> other, const std::string& others) {
  std::unordered_set<std::string_view> counterparts;
  for (const NamedShape& row : other)
    if (row.name.starts_with(others)) counterparts.insert(row.name.substr(others.size()));
  std::unordered_set<std::string> forms;
  for (const NamedShape& row : side) {
    if (!row.name.starts_with(own)) continue;
    const std::string_view rest = row.name.substr(own.size());
    if (counterparts.count(rest) == 0 && row.shape != nullptr)
      forms.insert(template_of(rest) + base::shape_text(*row.shape));
  }
  return forms;
}

/// Layers that are left over on both sides say that the numbers behind the prefix count from elsewhere: `seq.2` to
/// `seq.13` are `layers.0` to `layers.11`, though ten of them agree by name. Matching by order is not this rule's.
bool is_shifted(const Case& facts, const PrefixFit& fit, const Sides& sides) {
  const bool is_replaced = !fit.strip.empty() && !fit.add.empty();
  if (facts.knowledge == Knowledge::Partial || !is_replaced) return false;
  const auto have = open_forms(sides.have, fit.strip, sides.want, fit.add);
  const auto want = open_forms(sides.want, fit.add, sides.have, fit.strip);
  return std::any_of(have.begin(), have.end(), [&](const std::string& form) { return want.count(form) > 0; });
}

/// Without rivals, or with such alone as only training needs: of weights and their average a person chooses.
bool is_settled(const PrefixFit& fit) {
  const std::string& chosen = fit.strip.empty() ? fit.add : fit.strip;
  const auto is_for_training = [](const std::string& prefix) {
    return is_called_copy(prefix) && !is_called_kept_copy(prefix);
  };
  return fit.rivals.empty() ||
         (!is_called_copy(chosen) && std::all_of(fit.rivals.begin(), fit.rivals.end(), is_for_training));
}

/// How well the prefix explains the names that could be explained: 0..1.
double confidence(const PrefixFit& fit, const Sides& sides) {
  const double possible = static_cast<double>(std::max<std::size_t>(sides.fewer(), 1));
  const double explained = std::min(1.0, static_cast<double>(fit.keys) / possible);
  const double in_shape = static_cast<double>(fit.shapes) / static_cast<double>(std::max<std::size_t>(fit.keys, 1));
  const double few = fit.keys < 3 ? 0.8 : 1;  // a name or two may agree by chance
  const double rivals = is_settled(fit) ? 1 : 1.0 / static_cast<double>(1 + fit.rivals.size());
  return 0.99 * few * rivals * (0.5 + 0.5 * explained) * (0.4 + 0.6 * in_shape);
}

/// Characters that mean something in a regular expression, made plain.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view(R"(\^$.|?*+()[]{})").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

/// First levels of the names that have their counterpart already, as one alternative each: `fc\.|pos_embed$`. A prefix
/// that is put before all others must leave them alone.
std::vector<std::string> settled_levels(const Case& facts) {
  std::vector<std::string> levels;
  const auto add = [&](const Pair& pair) {
    const std::string_view name = facts.have(pair.state).name;
    const std::string_view level = first_level(name);
    levels.push_back(escaped(level) + (level.size() == name.size() ? "$" : R"(\.)"));
  };
  std::for_each(facts.gap.matched.begin(), facts.gap.matched.end(), add);
  std::for_each(facts.gap.mismatched.begin(), facts.gap.mismatched.end(), add);
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

std::string replacement(const std::string& prefix) {
  std::string result;
  for (const char c : prefix) result += c == '$' ? std::string("$$") : std::string(1, c);
  return result + "$1";
}

std::vector<Op> operations(const Case& facts, const PrefixFit& fit, Applicability applicability) {
  if (fit.add.empty()) return {{StripPrefix{fit.strip}, applicability}};
  const auto settled = settled_levels(facts);
  if (!fit.strip.empty()) return {{Rename{escaped(fit.strip) + "(.*)", replacement(fit.add), true}, applicability}};
  if (settled.empty()) return {{AddPrefix{fit.add}, applicability}};
  return {{Rename{"(?!" + base::join(settled, "|") + ")(.*)", replacement(fit.add), true}, applicability}};
}

/// Of several prefixes that do equally well, one that is called no copy is the model; any other choice is a person's.
PrefixFit settle_rivals(PrefixFit fit) {
  const bool is_strip = !fit.strip.empty();
  std::string& chosen = is_strip ? fit.strip : fit.add;
  if (!is_called_copy(chosen) || fit.rivals.empty()) return fit;
  const auto better = std::find_if_not(fit.rivals.begin(), fit.rivals.end(), is_called_copy);
  if (better != fit.rivals.end()) std::swap(chosen, *better);
  return fit;
}

std::string shapes_note(const TensorSpec& have, const TensorSpec& want) {
  if (shapes_differ(have, want)) return shape_of(have) + " and " + shape_of(want);
  return shape_of(have) + (have.shape && want.shape ? "  same" : "");
}

std::vector<PictureRow> picture(const Case& facts, const PrefixFit& fit) {
  constexpr std::size_t kRows = 2;
  std::unordered_map<std::string_view, std::size_t> wanted;
  for (const std::size_t index : facts.gap.missing) wanted.emplace(facts.want(index).name, index);
  std::vector<PictureRow> rows;
  for (const std::size_t index : facts.gap.unexpected) {
    const TensorSpec& have = facts.have(index);
    if (!have.name.starts_with(fit.strip)) continue;
    const auto found = wanted.find(fit.add + have.name.substr(fit.strip.size()));
    if (found == wanted.end()) continue;
    const TensorSpec& want = facts.want(found->second);
    rows.push_back({have.name, want.name, shapes_note(have, want)});
    if (rows.size() == kRows) break;
  }
  return rows;
}

/// `keys`: all that stand behind the prefix, with the ones that have no counterpart among what a text shows.
std::string summary(const Case& facts, const PrefixFit& fit, const Sides& sides, std::uint64_t keys) {
  if (!fit.strip.empty() && !fit.add.empty())
    return "the checkpoint has " + quoted(fit.strip) + " where the model has " + quoted(fit.add);
  const auto starts = [](const std::string& prefix) {
    return [&prefix](const NamedShape& row) { return row.name.starts_with(prefix); };
  };
  if (!fit.strip.empty()) {
    const bool every =
        std::all_of(sides.have.begin(), sides.have.end(), starts(fit.strip)) && facts.gap.matched.empty();
    return every && facts.knowledge == Knowledge::Whole
               ? "every checkpoint key starts with " + quoted(fit.strip) + " and no model key does"
               : base::count_text(keys) + " checkpoint keys are the model's behind the prefix " + quoted(fit.strip);
  }
  const bool every = std::all_of(sides.want.begin(), sides.want.end(), starts(fit.add)) && facts.gap.matched.empty();
  return every && facts.knowledge == Knowledge::Whole
             ? "every model key starts with " + quoted(fit.add) + " and no checkpoint key does"
             : base::count_text(keys) + " model keys are the checkpoint's behind the prefix " + quoted(fit.add);
}

std::string evidence(const Case& facts, const PrefixFit& fit, const Sides& sides) {
  const std::size_t settled = facts.gap.matched.size() + facts.gap.mismatched.size();
  const std::size_t all = settled + std::min(sides.have.size(), sides.want.size());
  const std::string how = fit.strip.empty() ? "with the prefix"
                          : fit.add.empty() ? "without the prefix"
                                            : "with the other prefix";
  const auto of_all = [&](std::size_t count) { return base::count_text(count) + " of " + base::count_text(all); };
  const std::string keys =
      facts.knowledge == Knowledge::Whole ? " keys match as they are, " : " keys shown match as they are, ";
  std::string text = of_all(settled) + keys + of_all(settled + fit.keys) + " " + how;
  const bool knows_shapes =
      std::any_of(sides.have.begin(), sides.have.end(), [](const NamedShape& row) { return row.shape != nullptr; });
  if (knows_shapes) text += ", " + of_all(facts.gap.matched.size() + fit.shapes) + " then also in shape";
  return text;
}

/// Loaders take `module.` off by its length (`key[7:]`); names that had no such prefix lose their own first letters.
std::optional<Finding> from_cut_names(const Case& facts, const Sides& sides) {
  constexpr std::size_t kCut = std::string_view("module.").size();
  constexpr std::size_t kLeast = 2;
  std::unordered_map<std::string_view, std::string_view> whole;
  for (const NamedShape& row : sides.want)
    if (row.name.size() > kCut && row.name[kCut - 1] != '.') whole.emplace(row.name.substr(kCut), row.name);
  std::vector<std::pair<std::string_view, std::string_view>> cut;
  for (const NamedShape& row : sides.have)
    if (const auto found = whole.find(row.name); found != whole.end()) cut.emplace_back(row.name, found->second);
  if (cut.size() < kLeast || cut.size() * 2 < sides.fewer()) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = 0.6 + 0.38 * share_of(cut.size(), sides.fewer());
  cause.summary = "the checkpoint's names lack their first " + std::to_string(kCut) +
                  " letters: " + quoted(std::string(cut.front().first)) + " is " +
                  quoted(std::string(cut.front().second));
  cause.place = place_of(facts);
  cause.why = "the loading code takes `module.` off by its length, and these names had no such prefix";
  cause.keys = cut.size();
  cause.evidence = {base::count_text(cut.size()) + " of " + base::count_text(sides.fewer()) +
                    " names are a missing one without its first " + std::to_string(kCut) + " letters"};
  cause.picture.push_back({std::string(cut.front().first), std::string(cut.front().second), ""});
  std::unordered_set<std::string_view> told;
  for (const auto& [short_name, name] : cut) told.insert({short_name, name});
  for (const std::size_t index : facts.gap.unexpected)
    if (told.count(facts.have(index).name) > 0) finding.told_have.push_back(index);
  for (const std::size_t index : facts.gap.missing)
    if (told.count(facts.want(index).name) > 0) finding.told_want.push_back(index);
  cause.help = {"take the prefix off only where it is    {k.removeprefix(\"module.\"): v for k, v in state.items()}"};
  return finding;
}

/// Wrappers that are told by name where the other side is not shown.
constexpr std::string_view kTellingNames[] = {"module.",
                                              "_orig_mod.",
                                              "_fsdp_wrapped_module.",
                                              "_forward_module.",
                                              "base_model.model.",
                                              "encoder_q.",
                                              "student.",
                                              "online_encoder.",
                                              "base_encoder.",
                                              "model.",
                                              "net.",
                                              "network.",
                                              "_model.",
                                              "backbone.",
                                              "self.model."};

/// The names of the side shown stand in one part of the network: what is open is that part, not every name.
bool is_one_part(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  return common_module(side).find('.') != std::string_view::npos;
}

/// The class that loads tells which level stands before every name of the model: it is a wrapper itself.
std::string_view prefix_of_class(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kClasses[] = {
      {"DataParallel", "module."},
      {"DistributedDataParallel", "module."},
      {"OptimizedModule", "_orig_mod."},
      {"DeepSpeedEngine", "module."},
      {"FullyShardedDataParallel", "_fsdp_wrapped_module."},
      {"AveragedModel", "module."},
      {"PeftModel", "base_model.model."},
      {"PeftModelForCausalLM", "base_model.model."}};
  for (const auto& [known, prefix] : kClasses)
    if (name == known) return prefix;
  return {};
}

/// What a wrapper's class says of the file's names: bare where none of them has the wrapper's level.
std::optional<Finding> from_class(const Case& facts, const Sides& sides) {
  const std::string_view prefix = prefix_of_class(facts.text->target_class);
  const auto starts = [&](const NamedShape& row) { return row.name.starts_with(prefix); };
  if (prefix.empty() || sides.have.empty() || std::any_of(sides.have.begin(), sides.have.end(), starts) ||
      !std::all_of(sides.want.begin(), sides.want.end(), starts))
    return std::nullopt;
  const bool are_bookkeeping = std::all_of(sides.have.begin(), sides.have.end(), [](const NamedShape& row) {
    return row.name.find('.') == std::string_view::npos;
  });
  if (are_bookkeeping) return std::nullopt;
  Finding finding = say(
      facts, {0.85,
              "the model is wrapped (" + facts.text->target_class + "), and the file's names have no " + quoted(prefix),
              why({"", std::string(prefix), 0, 0, {}}),
              {"0 of " + base::plural(sides.have.size(), "unexpected key") + " start with " + quoted(prefix) +
               ", every name of that class does"},
              {"load into the model within the wrapper: model.module.load_state_dict(...)"}});
  finding.cause.keys = sides.have.size() + sides.want.size();
  return finding;
}

/// Lists that are cut at different places show no name twice; a form of a name (`layers.#.ln1.weight`) they may.
bool share_forms(const std::vector<NamedShape>& longer, std::string_view prefix,
                 const std::vector<NamedShape>& shorter) {
  std::unordered_set<std::string> forms;
  for (const NamedShape& row : shorter) forms.insert(template_of(row.name));
  return std::any_of(longer.begin(), longer.end(), [&](const NamedShape& row) {
    return row.name.starts_with(prefix) && forms.count(template_of(row.name.substr(prefix.size()))) > 0;
  });
}

/// `module.fnet.conv1.weight`: the first tensor below a wrapper's level is the first layer of a network or of one of
/// its branches. What is missing is then not a part that was added at the end.
bool begins_below(std::string_view name, std::string_view prefix) {
  constexpr std::ptrdiff_t kMostLevels = 2;
  if (leaf_of(name) != "weight" || is_normalisation(module_of(name))) return false;
  for (std::string_view rest = name.substr(prefix.size()); !rest.empty();) {
    const bool is_named = rest.front() < '0' || rest.front() > '9';
    if (is_named && begins_network(rest) && std::count(rest.begin(), rest.end(), '.') <= kMostLevels) return true;
    rest.remove_prefix(std::min(rest.size(), first_level(rest).size() + 1));
  }
  return false;
}

/// `conv1.weight`, `stem.0.weight`: a first layer, and nothing within a block.
bool is_first_layer(std::string_view rest) {
  return begins_network(rest) && std::count(rest.begin(), rest.end(), '.') <= 2;
}

/// What a wrapper's name in front says where the other side shows no name behind it.
struct NameInFront {
  std::string_view prefix;
  bool strips = false;         ///< the file has it; otherwise the model
  bool is_both = false;        ///< both sides show names
  bool shares_forms = false;   ///< and names of one form: `layers.#.ln1.weight`
  bool is_faint = false;       ///< the class that loads has that level before all of its names
  bool is_bare_start = false;  ///< a first layer stands right behind it
  std::size_t keys = 0;

  /// A name that nothing but a wrapper has.
  bool is_own_word() const { return prefix == "module." || prefix.front() == '_' || prefix == "base_model.model."; }
  double confidence() const {
    const bool is_encoder = prefix.find("encoder") != std::string_view::npos || prefix == "student.";
    return is_faint        ? 0.42
           : is_own_word() ? 0.78
           : shares_forms  ? 0.76
           : is_encoder    ? 0.65
           : is_bare_start ? 0.62
           : is_both       ? 0.5
                           : 0.45;
  }
};

std::optional<NameInFront> name_in_front(const Case& facts, const Sides& sides, std::string_view prefix) {
  const auto starts = [&](const NamedShape& row) { return row.name.starts_with(prefix); };
  const auto saved = static_cast<std::size_t>(std::count_if(sides.have.begin(), sides.have.end(), starts));
  const auto wanted = static_cast<std::size_t>(std::count_if(sides.want.begin(), sides.want.end(), starts));
  const bool strips = saved > 0 && saved * 5 >= sides.have.size() * 4 && wanted == 0;
  const bool adds = wanted > 0 && wanted == sides.want.size() && saved == 0;
  const bool is_sure = prefix == "module." || prefix.front() == '_' || !sides.have.empty();
  // Every name of a wrapped model starts so: names of one side then say nothing of the other.
  const bool is_own_level = prefix_of_class(facts.text->target_class) == prefix;
  if ((!strips && (!adds || !is_sure)) || (is_own_level && strips)) return std::nullopt;
  NameInFront found{prefix, strips, !sides.have.empty() && !sides.want.empty()};
  const bool begins =
      adds && sides.have.empty() && prefix == "module." && begins_below(sides.want.front().name, prefix);
  found.is_faint = is_own_level && !begins && is_one_part(facts);
  found.is_bare_start = strips && sides.want.empty() && starts(sides.have.front()) &&
                        is_first_layer(sides.have.front().name.substr(prefix.size()));
  found.shares_forms =
      found.is_both && share_forms(strips ? sides.have : sides.want, prefix, strips ? sides.want : sides.have);
  found.keys = saved + wanted;
  return found;
}

/// Every, or nearly every, name of one side starts with a wrapper's name, and none of the other side does.
std::optional<Finding> from_name_alone(const Case& facts, const Sides& sides) {
  std::optional<NameInFront> found;
  for (const std::string_view prefix : kTellingNames)
    if ((found = name_in_front(facts, sides, prefix))) break;
  if (!found) return std::nullopt;
  const std::string prefix(found->prefix);
  const std::string_view side = found->strips ? "unexpected" : "missing",
                         other = found->strips ? "missing" : "unexpected";
  const std::size_t shown = found->strips ? sides.have.size() : sides.want.size();
  Finding finding = say(
      facts,
      {found->confidence(),
       std::string(side) + " keys start with " + quoted(prefix) + " and no " + std::string(other) + " key does",
       why({found->strips ? prefix : "", found->strips ? "" : prefix, 0, 0, {}}),
       {base::count_text(found->keys) + " of " + base::count_text(shown) + " keys shown start with " + quoted(prefix)},
       {found->strips ? "strip the prefix, or save unwrapped: model.module.state_dict()"
                      : "load into the model within the wrapper: model.module.load_state_dict(...)"}});
  finding.cause.keys = found->keys + (found->is_both ? std::min(sides.have.size(), sides.want.size()) : 0);
  if (found->shares_forms) {  // then a rename from one block to another says nothing more
    finding.told_want = facts.gap.missing;
    finding.told_have = facts.gap.unexpected;
  }
  if (found->is_both && (found->is_own_word() || found->shares_forms))
    finding.cause.keys = sides.have.size() + sides.want.size();  // no name can fit before
  return finding;
}

/// Cut lists whose names meet only when indices are left out of account; or a level that stands in the middle.
std::optional<Finding> from_levels(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto edit = best_edit(rows.missing, rows.unexpected);
  if (!edit || (edit->missing.size() < 2 && module_of(edit->missing.front().name).empty())) return std::nullopt;
  const bool is_level = edit->from.empty() || edit->to.empty();
  const std::string& level = edit->from.empty() ? edit->to : edit->from;
  const double explained = share_of(edit->missing.size(), std::min(rows.missing.size(), rows.unexpected.size()));
  const bool is_wrapper = is_wrapper_level(edit->from) && is_wrapper_level(edit->to);
  const double place = edit->at_front ? 1 : is_index_edit(*edit) || !is_wrapper ? 0.6 : 0.9;
  if (!edit->at_front && !is_level) return std::nullopt;
  Finding finding =
      say(facts,
          {(is_level || is_wrapper ? 0.45 + 0.45 * std::min(1.0, explained) : 0.35) * place,
           is_level ? std::string(edit->to.empty() ? "the checkpoint's" : "the model's") + " names have the level " +
                          quoted(level) + " more"
                    : "the checkpoint has " + quoted(edit->from) + " in front where the model has " + quoted(edit->to),
           "one side was saved from, or is loaded into, a module one level up or down the tree",
           {part_text(edit->missing.size(), rows.missing.size(), "missing key") +
            " agree with unexpected ones after that" + (edit->by_template ? ", indices aside" : "")},
           {"take the level out of the names, or load into the part that has them"}});
  if (is_level && edit->at_front) {
    tell_missing(edit->missing, finding);
    tell_unexpected(edit->unexpected, finding);
    if (edit->by_template) finding.cause.keys = rows.size();
  } else {
    finding.cause.keys = edit->missing.size() + edit->unexpected.size();
  }
  finding.cause.picture.push_back(
      {std::string(edit->unexpected.front().name), std::string(edit->missing.front().name), ""});
  return finding;
}

/// What stands below a level and the wrappers' levels within it: `dark4.1.weight` of
/// `backbone.backbone.dark4.1.weight`.
std::string_view below_wrappers(std::string_view name, std::string_view level) {
  name.remove_prefix(level.size() + 1);
  while (name.find('.') != std::string_view::npos && is_wrapper_level(first_level(name)))
    name.remove_prefix(first_level(name).size() + 1);
  return name;
}

/// All names of the only side shown stand below one level, and a network begins there.
std::optional<Finding> from_one_level(const Case& facts) {
  constexpr std::size_t kLeast = 6;
  const OpenRows rows = open_rows(facts);
  const bool in_file = rows.missing.empty();
  const auto& side = in_file ? rows.unexpected : rows.missing;
  if (side.size() < kLeast || (!rows.missing.empty() && !rows.unexpected.empty())) return std::nullopt;
  const std::string level(first_level(side.front().name));
  const auto below = rows_where(
      side, [&](const OpenName& row) { return first_level(row.name) == level && row.name.size() > level.size(); });
  const auto begins =
      rows_where(below, [&](const OpenName& row) { return begins_network(row.name.substr(level.size() + 1)); });
  const auto weights = rows_where(below, [](const OpenName& row) { return leaf_of(row.name) == "weight"; });
  if (weights.size() * 5 < below.size()) return std::nullopt;  // buffers or biases of a network are not the network
  std::unordered_set<std::string> kinds;
  for (const OpenName& row : below) kinds.insert(template_of(row.name));
  constexpr std::size_t kLeastKinds = 5;
  const bool is_one_part = kinds.size() < kLeastKinds;  // one part of every block is no whole network
  const bool has_layer = std::any_of(begins.begin(), begins.end(), [](const OpenName& row) {
    return is_plain_leaf(leaf_of(row.name));
  });  // what was added to the blocks of a network is no network
  if (is_one_part || below.size() * 10 < side.size() * 9 || !has_layer || are_within_blocks(below)) return std::nullopt;
  if (!begins_network(below_wrappers(below.front().name, level))) return std::nullopt;  // loaders keep the order
  const bool is_part = level == "decoder" || level.find("disc") != std::string::npos ||
                       level.find("head") != std::string::npos || level.find("ema") != std::string::npos ||
                       family_of(below.front().name) == Family::Training;
  Finding finding = say(facts, {is_part                      ? 0.25
                                : is_called_container(level) ? 0.66
                                                             : 0.42,
                                std::string(in_file ? "the checkpoint" : "the model") + " has a whole network below " +
                                    quoted(level + "."),
                                "one side was saved from, or is loaded into, a module one level up or down the tree",
                                {part_text(below.size(), side.size(), "key") + " stand below " + quoted(level + ".") +
                                 ", from a first layer on"},
                                {in_file ? "strip the prefix, or load into the part of that name"
                                         : "load into the model within: model." + level + ".load_state_dict(...)"}});
  finding.cause.keys = below.size();
  return finding;
}

/// Everything in the file is unexpected, from the first layer on: the model may have the same names below a level.
std::optional<Finding> from_bare_file(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 8;
  const auto& names = rows.unexpected;
  if (names.size() < kLeast || !rows.missing.empty() || !rows.mismatched.empty() || !common_module(names).empty())
    return std::nullopt;
  const auto plain = rows_where(names, [](const OpenName& row) { return is_plain_leaf(leaf_of(row.name)); });
  const auto first = std::find_if(names.begin(), names.end(), [](const OpenName& row) {
    return !module_of(row.name).empty();
  });  // a prefix that was cut off leaves `weight` of the layer that stood right below it
  if (first == names.end() || !begins_network(first->name) || are_of_one_word(names) ||
      plain.size() * 10 < names.size() * 9 || shared_leaf(names))
    return std::nullopt;
  Finding finding = say(facts, {0.55,
                                "the file's tensors are unexpected from the first layer on: the model may have them "
                                "behind a prefix",
                                "one side was saved from, or is loaded into, a module one level up or down the tree",
                                {base::plural(names.size(), "unexpected key") + " from " + quoted(names.front().name) +
                                 " on, 0 missing shown"},
                                {"load into the part that has these names, or add its prefix"}});
  finding.cause.keys = names.size();
  return finding;
}

/// All names of the only side shown stand below levels that wrappers are called (`model.model.model.`), from the first
/// index on.
std::optional<Finding> from_wrapper_levels(const Case& facts) {
  constexpr std::size_t kLeast = 8;
  const OpenRows rows = open_rows(facts);
  const bool in_file = rows.missing.empty();
  const auto& side = in_file ? rows.unexpected : rows.missing;
  const std::string_view common = common_module(side);
  if (side.size() < kLeast || !(rows.missing.empty() || rows.unexpected.empty()) || !rows.mismatched.empty() ||
      common.find('.') == std::string_view::npos || !is_wrapper_level(common) ||
      !begins_network(side.front().name.substr(common.size() + 1)))
    return std::nullopt;
  Finding finding = say(facts, {0.6,
                                "everything stands below " + quoted(common) + " on one side: the levels of wrappers",
                                "one side was saved from, or is loaded into, a module one level up or down the tree",
                                {base::plural(side.size(), "key") + ", all below " + quoted(common)},
                                {"see what the other side's names are    tenon inspect FILE"}});
  finding.cause.keys = side.size();
  return finding;
}

/// Everything is missing from the first layer on, and what the file has is not shown: it may be the model behind a
/// prefix.
std::optional<Finding> from_nothing(const Case& facts) {
  constexpr std::size_t kLeast = 4;
  const OpenRows rows = open_rows(facts);
  if (auto finding = from_bare_file(facts, rows)) return finding;
  if (rows.missing.size() < kLeast || !rows.unexpected.empty() || !rows.mismatched.empty() ||
      !common_module(rows.missing).empty() || are_normalisations(rows.missing))
    return std::nullopt;
  const bool is_sequence = rows.missing.front().name.starts_with('0');
  const auto is_plain = [](const OpenName& row) {
    return family_of(row.name) == Family::None || family_of(row.name) == Family::NormStatistics;
  };
  if (rows_where(rows.missing, is_plain).size() * 10 < rows.missing.size() * 9 || shared_leaf(rows.missing))
    return std::nullopt;
  const bool from_start = begins_network(rows.missing.front().name);
  Finding finding = say(facts, {is_sequence  ? 0.6
                                : from_start ? 0.5
                                             : 0.36,
                                "the model's tensors are missing from the first layer on: the file may have them "
                                "behind a prefix, or inside another dict",
                                "a wrapper, a container or another file shows the same: everything is missing",
                                {base::plural(rows.missing.size(), "missing key") + " from " +
                                 quoted(rows.missing.front().name) + " on, 0 unexpected shown"},
                                {"see what the file's names are    tenon inspect FILE"}});
  finding.cause.keys = rows.missing.size();
  return finding;
}

/// Lists are cut: names of the same form as those that the prefix explains are the rest of them, not another
/// difference.
void tell_cut_off(const Case& facts, const PrefixFit& fit, Finding& finding) {
  std::unordered_set<std::string> explained;
  const auto renamed = [&](std::string_view name) {
    if (name.starts_with(fit.strip)) name.remove_prefix(fit.strip.size());
    return fit.add + std::string(name);
  };
  std::unordered_set<std::string_view> wanted;
  for (const std::size_t index : facts.gap.missing) wanted.insert(facts.want(index).name);
  for (const std::size_t index : facts.gap.unexpected) {
    const std::string name = renamed(facts.have(index).name);
    if (wanted.count(name) > 0) explained.insert(template_of(name));
  }
  for (const std::size_t index : facts.gap.missing)
    if (explained.count(template_of(facts.want(index).name)) > 0) finding.told_want.push_back(index);
  // A counter of BatchNorm is reported as unexpected behind the prefix and never as missing: it belongs to the prefix.
  const auto is_counter = [&](const std::string& name) {
    return is_batch_counter(name) && name.starts_with(fit.strip);
  };
  for (const std::size_t index : facts.gap.unexpected)
    if (is_counter(facts.have(index).name) || explained.count(template_of(renamed(facts.have(index).name))) > 0)
      finding.told_have.push_back(index);
  finding.cause.keys = std::max<std::uint64_t>(finding.cause.keys, finding.told_want.size());
}

/// A training loop's dict was given whole: what is inside may stand behind a wrapper's prefix as well.
std::optional<Finding> within_container(const Case& facts) {
  const bool has_dict = std::any_of(
      facts.text->unexpected.begin(), facts.text->unexpected.end(),
      [](const std::string& name) { return is_called_container(name) && name.find('.') == std::string::npos; });
  if (!has_dict || facts.text->unexpected.size() > 12) return std::nullopt;
  return say(facts, {0.3,
                     "the names inside the container may have a wrapper's prefix, too",
                     "training loops that save a dict often train a wrapped model",
                     {"the names are not shown"},
                     {"see them    tenon inspect FILE"}});
}

/// One side's names all stand below a level that the other has not, and the other begins as a bare network does: lists
/// that are cut at different places show no name twice.
std::optional<Finding> from_bare_beside_level(const Case& facts) {
  constexpr std::size_t kLeast = 4;
  const OpenRows rows = open_rows(facts);
  const auto is_below = [](const std::vector<OpenName>& longer, const std::vector<OpenName>& shorter) {
    const auto levels = first_levels(longer), others = first_levels(shorter);
    return longer.size() >= kLeast && shorter.size() >= kLeast && levels.size() == 1 && levels != others &&
           begins_network(shorter.front().name) && !begins_network(longer.front().name) &&
           is_plain_leaf(leaf_of(shorter.front().name));
  };
  const bool adds = is_below(rows.missing, rows.unexpected), strips = is_below(rows.unexpected, rows.missing);
  if (adds == strips || !rows.mismatched.empty()) return std::nullopt;
  const std::string level(first_level((adds ? rows.missing : rows.unexpected).front().name));
  if (is_called_head(level)) return std::nullopt;
  Finding finding = say(facts, {0.66,
                                std::string(adds ? "the model's" : "the checkpoint's") + " names stand below " +
                                    quoted(level + ".") + ", the other side's are those of a bare network",
                                "one side was saved from, or is loaded into, a module one level up or down the tree",
                                {"all " + base::plural((adds ? rows.missing : rows.unexpected).size(), "key") +
                                 " of one side, none of the other"},
                                {"see both sides' names    tenon check FILE --against MODEL"}});
  finding.cause.keys = rows.size();
  return finding;
}

/// `bert.` before every name that `BertModel` does not want: a model for a task keeps that class below this level, and
/// the class alone has no such level.
std::optional<Finding> from_own_class(const Case& facts, const Sides& sides) {
  constexpr std::size_t kLeast = 3, kLeastLetters = 2;
  const std::string_view name = facts.text->target_class;
  if (!sides.want.empty() || sides.have.size() < kLeast || !name.ends_with("Model")) return std::nullopt;
  const std::string level(first_level(sides.have.front().name));
  const std::string_view stem = name.substr(0, name.size() - std::string_view("Model").size());
  const bool is_class =
      level.size() >= kLeastLetters && stem.size() == level.size() &&
      std::equal(stem.begin(), stem.end(), level.begin(), [](char a, char b) { return (a | 32) == b; });
  const auto below = std::count_if(sides.have.begin(), sides.have.end(), [&](const NamedShape& row) {
    return first_level(row.name) == level && row.name.size() > level.size();
  });
  if (!is_class || static_cast<std::size_t>(below) * 2 < sides.have.size()) return std::nullopt;
  Finding finding = say(facts, {0.72,
                                "the file's names start with " + quoted(level + ".") + ", and " + std::string(name) +
                                    " has no such level",
                                why({level + ".", "", 0, 0, {}}),
                                {part_text(static_cast<std::size_t>(below), sides.have.size(), "unexpected key") +
                                 " start with " + quoted(level + ".")},
                                {"strip the prefix, or load the class that was saved"}});
  finding.cause.keys = static_cast<std::size_t>(below);
  return finding;
}

std::optional<Finding> from_text(const Case& facts, const Sides& sides) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  if (auto finding = from_class(facts, sides)) return finding;
  if (auto finding = from_own_class(facts, sides)) return finding;
  auto by_name = from_name_alone(facts, sides);
  if (by_name && by_name->cause.confidence >= 0.7) return by_name;
  if (auto finding = from_bare_beside_level(facts)) return finding;
  if (auto finding = from_levels(facts)) return finding;
  auto by_level = from_one_level(facts);
  if (auto finding = from_wrapper_levels(facts)) by_level = std::move(finding);
  if (by_level && (!by_name || by_name->cause.confidence < by_level->cause.confidence)) return by_level;
  if (by_name) return by_name;
  if (auto finding = within_container(facts)) return finding;
  return from_nothing(facts);
}

/// Lists are cut at different places: where one side has the prefix throughout and the other nowhere, it is in the rest
/// of the names, too.
std::size_t behind_prefix(const PrefixFit& fit, const Sides& sides) {
  if (fit.strip.empty() == fit.add.empty()) return 0;
  const std::string& prefix = fit.strip.empty() ? fit.add : fit.strip;
  const auto& longer = fit.strip.empty() ? sides.want : sides.have;
  const auto& shorter = fit.strip.empty() ? sides.have : sides.want;
  const auto starts = [&](const NamedShape& row) { return row.name.starts_with(prefix); };
  if (!std::all_of(longer.begin(), longer.end(), starts) || std::any_of(shorter.begin(), shorter.end(), starts))
    return 0;
  return longer.size();
}

/// Why the text shows more names on the checkpoint's side than on the model's.
void note_counters(const Case& facts, const PrefixFit& fit, Cause& cause) {
  const auto counters = static_cast<std::size_t>(
      std::count_if(facts.gap.unexpected.begin(), facts.gap.unexpected.end(), [&](std::size_t index) {
        const std::string& name = facts.have(index).name;
        return is_batch_counter(name) && name.starts_with(fit.strip);
      }));
  if (fit.strip.empty() || counters == 0 || cause.keys != fit.keys + counters) return;
  cause.notes.push_back("the other " + std::to_string(counters) + (counters == 1 ? " is a counter" : " are counters") +
                        " of batch norm: a load reports them as unexpected, never as missing");
}

}  // namespace

std::optional<Finding> find_wrapper_prefix(const Case& facts) {
  const Sides sides = sides_of(facts);
  if (sides.have.empty() && sides.want.empty())
    return facts.text != nullptr && facts.knowledge == Knowledge::Partial ? within_container(facts) : std::nullopt;
  if (auto finding = from_cut_names(facts, sides)) return finding;
  const PrefixFit fit = settle_rivals(best_prefix(sides.have, sides.want));
  if (!explains_enough(facts, fit, sides) || is_shifted(facts, fit, sides)) return from_text(facts, sides);

  const Applicability applicability = is_settled(fit) ? Applicability::Exact : Applicability::Guess;
  Finding finding;
  finding.ops = operations(facts, fit, applicability);
  Cause& cause = finding.cause;
  cause.confidence = confidence(fit, sides);
  cause.place = place_of(facts);
  cause.why = why(fit);
  cause.keys = fit.keys;
  cause.evidence = {evidence(facts, fit, sides)};
  cause.picture = picture(facts, fit);
  if (facts.knowledge == Knowledge::Partial) {
    tell_cut_off(facts, fit, finding);
    cause.keys = std::max<std::uint64_t>(cause.keys, behind_prefix(fit, sides));
    note_counters(facts, fit, cause);
  }
  cause.summary = summary(facts, fit, sides, cause.keys);
  if (!fit.rivals.empty())
    cause.notes.push_back(
        list_text(fit.rivals) + (fit.rivals.size() == 1 ? " fits" : " fit") + " as well; " +
        quoted(fit.strip.empty() ? fit.add : fit.strip) + " was taken" +
        (applicability == Applicability::Exact ? ", because it is not called a copy" : ", which is a guess"));
  if (fit.strip == "module.") cause.help = {"or save unwrapped    torch.save(model.module.state_dict(), path)"};
  if (fit.strip == "_orig_mod.") cause.help = {"or save unwrapped    torch.save(model._orig_mod.state_dict(), path)"};
  return finding;
}

}  // namespace tenon::diagnosis
