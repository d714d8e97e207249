// head_changed: the backbone fits, the task head does not: other classes, or another name.
//
//   checkpoint   fc.weight [1000, 512]   fc.bias [1000]       model   fc.weight [10, 512]    fc.bias [10]
//   checkpoint   fc.weight [1000, 512]   fc.bias [1000]       model   classifier.weight ...  (two names, one place)
//
// Two rules. Other classes: a layer whose rows differ while its input width is equal, weight and bias alike, that is
// the last one or is called a head. (Were it a hidden layer, the columns of the next one would differ too. A table
// without bias is a vocabulary, not a head.) Another name: what remains on either side after all else has found its
// place, one small subtree each. The plan takes the head from the model. That changes no value of the checkpoint, but
// the head must be trained, and it says so.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/open_rows.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"
#include "plan/patterns.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxHeads = 16;  // a detector has one pair for every scale
constexpr std::string_view kWhy =
    "the head was trained for another task; its rows are classes or outputs, and no operation can make up new ones";

bool only_rows_differ(const Shape& a, const Shape& b) {
  return a.size() == b.size() && !a.empty() && a[0] != b[0] && std::equal(a.begin() + 1, a.end(), b.begin() + 1);
}

/// The tensors of one module that differ in shape.
struct Layer {
  std::string_view module;  ///< in the target
  std::vector<Pair> pairs;
  bool has_weight = false;  ///< two axes or more
  bool has_bias = false;
  bool is_rows = true;  ///< only the number of rows differs, and alike in all
};

std::vector<Layer> differing_layers(const Case& facts) {
  std::vector<Layer> layers;
  std::map<std::string_view, std::size_t> at;
  for (const Pair& pair : facts.gap.mismatched) {
    const std::string_view module = module_of(facts.want(pair.target).name);
    const auto [found, is_new] = at.try_emplace(module, layers.size());
    if (is_new) layers.push_back({module, {}, false, false, true});
    Layer& layer = layers[found->second];
    const Shape& have = *facts.have(pair.state).shape;
    const Shape& want = *facts.want(pair.target).shape;
    if (have.empty() || want.empty()) {  // a single number has no rows
      layer.is_rows = false;
      continue;
    }
    const bool same_rows =
        layer.pairs.empty() || (facts.have(layer.pairs.front().state).shape->front() == have.front() &&
                                facts.want(layer.pairs.front().target).shape->front() == want.front());
    if (!only_rows_differ(have, want) || !same_rows) layer.is_rows = false;
    (have.size() >= 2 ? layer.has_weight : layer.has_bias) = true;
    layer.pairs.push_back(pair);
  }
  return layers;
}

/// The module of the last tensor, in registration order where the order is that.
bool is_last(const Case& facts, std::string_view module) {
  if (facts.knowledge == Knowledge::Partial || facts.target.tensors.empty()) return false;
  return module_of(facts.target.tensors.back().name) == module;
}

/// A normalisation within a head: its width is the network's, not a number of classes.
bool is_of_statistics(const Case& facts, const Layer& layer) {
  return std::any_of(layer.pairs.begin(), layer.pairs.end(),
                     [&](const Pair& pair) { return leaf_of(facts.want(pair.target).name).starts_with("running_"); });
}

/// 513, 1025: the bins of a spectrum follow from the size of its window, which is an option.
bool is_of_spectrum(const Case& facts, const Layer& layer) {
  const auto is_bins = [](std::int64_t rows) { return rows > 128 && ((rows - 1) & (rows - 2)) == 0; };
  const Pair& first = layer.pairs.front();
  return is_bins(facts.have(first.state).shape->front()) && is_bins(facts.want(first.target).shape->front());
}

/// 255, 75, 18: a detector's scale has 3 (c + 5) rows in a 1x1 convolution; widths of layers are multiples of 8.
bool is_of_scales(const Case& facts, const Layer& layer) {
  constexpr std::int64_t kAnchors = 3, kBox = 5;
  const Pair& first = layer.pairs.front();
  const Shape &have = *facts.have(first.state).shape, &want = *facts.want(first.target).shape;
  const auto is_scale = [](std::int64_t rows) { return rows % kAnchors == 0 && rows / kAnchors > kBox; };
  const bool is_pointwise = have.size() == 4 && have[2] == 1 && have[3] == 1;
  return is_pointwise && is_scale(have[0]) && is_scale(want[0]) && (have[0] % 8 != 0 || want[0] % 8 != 0);
}

/// Convolutions of scores and boxes differ by one factor: another number of anchors at each place. Classes change the
/// rows of scores alone; where boxes are of each class, the layers are linear.
bool are_anchors(const Case& facts, const std::vector<Layer>& layers) {
  const auto is_box = [](const Layer& layer) {
    constexpr std::string_view kWords[] = {"reg", "box", "delta", "loc"};
    const std::string_view name = leaf_of(layer.module);
    return std::any_of(std::begin(kWords), std::end(kWords),
                       [&](std::string_view word) { return name.find(word) != std::string_view::npos; });
  };
  const auto rows_of = [&](const Layer& layer) {
    const Pair& first = layer.pairs.front();
    return std::make_pair(facts.have(first.state).shape->front(), facts.want(first.target).shape->front());
  };
  const auto boxes = static_cast<std::size_t>(std::count_if(layers.begin(), layers.end(), is_box));
  if (facts.knowledge == Knowledge::Whole || boxes == 0 || boxes == layers.size()) return false;
  const auto is_convolution = [&](const Layer& layer) {
    return std::any_of(layer.pairs.begin(), layer.pairs.end(),
                       [&](const Pair& pair) { return facts.want(pair.target).shape->size() == 4; });
  };
  const auto one = rows_of(layers.front());
  return std::all_of(layers.begin(), layers.end(), [&](const Layer& layer) {
    const auto rows = rows_of(layer);
    return is_convolution(layer) && rows.first * one.second == rows.second * one.first;
  });
}

/// A layer within a numbered block whose rows are widths on both sides: `blocks.0.norm1.linear`.
bool is_within_block(const Case& facts, const Layer& layer) {
  constexpr std::int64_t kUnit = 64;
  const std::string form = template_of(layer.module);
  const auto block = std::min({form.find("block"), form.find("layers."), form.find("stages.")});
  if (block == std::string::npos || form.find(".#.", block) == std::string::npos) return false;
  const Pair& first = layer.pairs.front();
  return facts.have(first.state).shape->front() % kUnit == 0 && facts.want(first.target).shape->front() % kUnit == 0;
}

bool is_head(const Case& facts, const Layer& layer, bool all_rows) {
  if (!layer.is_rows || layer.pairs.empty() || is_of_statistics(facts, layer) || is_of_spectrum(facts, layer))
    return false;
  if (facts.knowledge == Knowledge::Partial && is_within_block(facts, layer)) return false;
  const bool is_shown_whole = layer.has_weight && layer.has_bias;
  if (is_called_head(layer.module)) return layer.has_weight || facts.knowledge == Knowledge::Partial;
  const bool has_one_shape = is_shown_whole && facts.knowledge == Knowledge::Partial;  // a table has no bias
  if (is_called_embedding(layer.module) && !has_one_shape) return false;
  if (facts.knowledge == Knowledge::Partial && layer.has_weight && is_of_scales(facts, layer)) return true;
  if (!is_shown_whole) return false;
  return is_last(facts, layer.module) || all_rows;
}

/// Rows that tables near the input want, each with the tables that want them. Counted once: a head that looked at every
/// other layer took minutes on a log of a hundred thousand rows.
using TableRows = std::map<std::int64_t, std::size_t>;

std::int64_t wanted_rows(const Case& facts, const Layer& layer) {
  return (*facts.want(layer.pairs.front().target).shape)[0];
}

TableRows table_rows(const Case& facts, const std::vector<Layer>& layers) {
  TableRows rows;
  for (const Layer& layer : layers)
    if (!layer.pairs.empty() && is_called_embedding(layer.module)) ++rows[wanted_rows(facts, layer)];
  return rows;
}

/// A changed vocabulary changes the rows of a table near the input and of the output layer alike.
bool is_vocabulary(const Case& facts, const TableRows& tables, const Layer& head) {
  if (head.has_bias) return false;
  const auto found = tables.find(wanted_rows(facts, head));
  const std::size_t itself = is_called_embedding(head.module) ? 1 : 0;
  return found != tables.end() && found->second > itself;
}

std::vector<Layer> heads_of(const Case& facts) {
  const auto layers = differing_layers(facts);
  const bool all_rows = std::all_of(layers.begin(), layers.end(), [](const Layer& layer) { return layer.is_rows; });
  const TableRows tables = table_rows(facts, layers);
  std::vector<Layer> heads;
  for (const Layer& layer : layers)
    if (is_head(facts, layer, all_rows) && !is_vocabulary(facts, tables, layer)) heads.push_back(layer);
  const std::size_t modules = facts.gap.matched.size() / 2;
  const bool is_few = heads.size() <= kMaxHeads &&
                      (facts.knowledge == Knowledge::Partial || heads.size() <= std::max<std::size_t>(modules / 2, 1));
  return is_few && !are_anchors(facts, heads) ? heads : std::vector<Layer>();
}

/// `fc_cls.*` for the layers of an error text: it shows only what differs, and a glob above a layer's own module would
/// take in layers that it does not show. A tensor alone in its module is named as it is.
std::vector<std::string> globs_of_modules(const std::unordered_set<std::string_view>& wanted) {
  std::map<std::string_view, std::vector<std::string_view>> modules;
  for (const std::string_view name : wanted) modules[module_of(name)].push_back(name);
  std::vector<std::string> globs;
  for (const auto& [module, names] : modules) {
    if (names.size() > 1 && !module.empty())
      globs.push_back(std::string(module) + ".*");
    else
      globs.insert(globs.end(), names.begin(), names.end());
  }
  const std::vector<std::string> all = globs;
  std::erase_if(globs, [&](const std::string& glob) {
    return std::any_of(all.begin(), all.end(), [&](const std::string& other) {
      return other != glob && other.ends_with(".*") && glob.starts_with(other.substr(0, other.size() - 1));
    });
  });
  std::sort(globs.begin(), globs.end());
  return globs;
}

/// Globs for what the plan takes from the target: they cover the names given and no other tensor of either side.
std::vector<std::string> covering(const Case& facts, const std::unordered_set<std::string_view>& wanted) {
  if (facts.knowledge == Knowledge::Partial) return globs_of_modules(wanted);
  std::vector<plan::Named> names;
  std::unordered_set<std::string_view> seen;
  const auto add = [&](std::string_view name) {
    if (seen.insert(name).second) names.push_back({name, wanted.count(name) > 0});
  };
  for (const TensorSpec& spec : facts.target.tensors) add(spec.name);
  for (const Planned& tensor : facts.state.tensors()) add(tensor.spec.name);
  return plan::cover(names);
}

std::vector<std::string> texts(const std::set<std::string>& names) { return {names.begin(), names.end()}; }

/// Share of what both sides have that fits outside the head: the more of the backbone fits, the surer the head.
double backbone_share(const Case& facts, std::size_t head_tensors) {
  if (facts.knowledge == Knowledge::Partial) return 0.8;
  const std::size_t others = facts.gap.size() - std::min(facts.gap.size(), head_tensors);
  const double fits = static_cast<double>(facts.gap.matched.size());
  return fits / std::max(1.0, fits + static_cast<double>(others));
}

std::string backbone_evidence(const Case& facts, std::size_t head_tensors) {
  const std::size_t rest = facts.target.tensors.size() - std::min(facts.target.tensors.size(), head_tensors);
  return base::count_text(facts.gap.matched.size()) + " of the " + base::plural(rest, "other model key") +
         " match in name and shape";
}

constexpr std::string_view kTrainIt = "these tensors stay as the model has them: they are new and must be trained";

std::optional<Finding> other_classes(const Case& facts) {
  const auto heads = heads_of(facts);
  if (heads.empty()) return std::nullopt;
  std::set<std::string> modules, rows;
  std::unordered_set<std::string_view> names;
  Finding finding;
  Cause& cause = finding.cause;
  for (const Layer& head : heads) {
    modules.emplace(head.module);
    const Pair& first = head.pairs.front();
    rows.insert(std::to_string(facts.have(first.state).shape->front()) + " to " +
                std::to_string(facts.want(first.target).shape->front()));
    for (const Pair& pair : head.pairs) {
      names.insert(facts.want(pair.target).name);
      if (cause.picture.size() < 3)
        cause.picture.push_back({facts.original(pair.state) + "  " + shape_of(facts.have(pair.state)),
                                 facts.want(pair.target).name + "  " + shape_of(facts.want(pair.target)), ""});
    }
  }
  for (const std::string& glob : covering(facts, names))
    finding.ops.push_back({KeepTarget{glob}, Applicability::Exact});
  cause.confidence = 0.6 + 0.39 * backbone_share(facts, names.size());
  cause.keys = names.size();
  cause.summary = "the head " + list_text(texts(modules)) + " has other rows: " + base::join(texts(rows), ", ");
  cause.place = place_of(facts);
  cause.why = kWhy;
  cause.evidence = {base::plural(names.size(), "tensor") + " in " + base::plural(modules.size(), "layer") +
                    ": the rows differ, the input width is equal"};
  if (facts.knowledge == Knowledge::Whole) cause.evidence.push_back(backbone_evidence(facts, names.size()));
  cause.notes = {std::string(kTrainIt)};
  cause.help = {"or build the model with the checkpoint's number of classes, to use the head that was trained"};
  return finding;
}

/// A subtree of one side that has no counterpart: the highest module without any tensor that found its place.
struct Subtree {
  std::string_view path;
  std::vector<std::size_t> tensors;   ///< into the target, or into the state
  std::size_t layers = 0;             ///< tensors with two axes or more
  std::optional<std::int64_t> width;  ///< input width of the first layer
};

/// `names(i)` is the spec at `i`; `settled` holds the modules (all their levels) that have a tensor in place.
template <class Spec>
std::vector<Subtree> subtrees(const std::vector<std::size_t>& open, const std::unordered_set<std::string_view>& settled,
                              Spec spec) {
  std::vector<Subtree> trees;
  std::map<std::string_view, std::size_t> at;
  for (const std::size_t index : open) {
    const TensorSpec& tensor = spec(index);
    const std::string_view name = tensor.name;
    std::size_t end = name.find('.');
    while (end != std::string_view::npos && settled.count(name.substr(0, end)) > 0) end = name.find('.', end + 1);
    const std::string_view path = name.substr(0, end);
    const auto [found, is_new] = at.try_emplace(path, trees.size());
    if (is_new) trees.push_back({path, {}, 0, {}});
    Subtree& tree = trees[found->second];
    tree.tensors.push_back(index);
    if (!tensor.shape || tensor.shape->size() < 2) continue;
    if (++tree.layers == 1) tree.width = (*tensor.shape)[1];
  }
  return trees;
}

std::unordered_set<std::string_view> settled_modules(const Case& facts) {
  std::unordered_set<std::string_view> modules;
  const auto add = [&](std::string_view name) {
    for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1))
      modules.insert(name.substr(0, dot));
  };
  for (const Pair& pair : facts.gap.matched) add(facts.want(pair.target).name);
  for (const Pair& pair : facts.gap.mismatched) add(facts.want(pair.target).name);
  return modules;
}

struct Remains {
  std::vector<Subtree> missing, unexpected;
};

bool all_called_heads(const std::vector<Subtree>& trees) {
  return std::all_of(trees.begin(), trees.end(), [](const Subtree& tree) { return is_called_head(tree.path); });
}

/// The last module of a side, one layer, of the same input width as what stands in its place on the other side.
bool is_same_place(const Case& facts, const Remains& remains) {
  if (remains.missing.size() != 1 || remains.unexpected.size() != 1) return false;
  const Subtree& want = remains.missing.front();
  const Subtree& have = remains.unexpected.front();
  const bool ends =
      want.tensors.back() + 1 == facts.target.tensors.size() || have.tensors.back() + 1 == facts.state.tensors().size();
  return ends && want.layers == 1 && have.layers == 1 && want.width == have.width;
}

/// A head with a network of its own, or a head of one name that is built in another way on the two sides: another
/// detector's or release's head, not one for other classes.
bool is_other_kind(const Case& facts, const Remains& remains) {
  constexpr std::size_t kMostModules = 6;
  std::set<std::string_view> want, have;
  for (const std::size_t index : facts.gap.missing) want.insert(module_of(facts.want(index).name));
  for (const std::size_t index : facts.gap.unexpected) have.insert(module_of(facts.have(index).name));
  const std::size_t trees = std::max(remains.missing.size(), remains.unexpected.size());
  const bool is_one_name = std::any_of(remains.missing.begin(), remains.missing.end(), [&](const Subtree& tree) {
    return std::any_of(remains.unexpected.begin(), remains.unexpected.end(),
                       [&](const Subtree& other) { return other.path == tree.path; });
  });
  return is_one_name || std::max(want.size(), have.size()) > kMostModules * trees;
}

bool are_heads(const Case& facts, const Remains& remains) {
  if (remains.missing.size() + remains.unexpected.size() > kMaxHeads) return false;
  if (facts.knowledge == Knowledge::Partial && is_other_kind(facts, remains)) return false;
  if (facts.knowledge == Knowledge::Partial)
    return all_called_heads(remains.missing) && all_called_heads(remains.unexpected);
  if (facts.gap.matched.size() < facts.gap.missing.size() + facts.gap.unexpected.size()) return false;
  return (all_called_heads(remains.missing) && all_called_heads(remains.unexpected)) || is_same_place(facts, remains);
}

/// The path of a subtree of the state as the file has it: operations so far changed the front of its names.
std::string original_path(const Case& facts, const Subtree& tree) {
  const std::string& now = facts.have(tree.tensors.front()).name;
  const std::string& before = facts.original(tree.tensors.front());
  const std::string_view rest = std::string_view(now).substr(tree.path.size());
  if (!std::string_view(before).ends_with(rest)) return std::string(tree.path);
  return before.substr(0, before.size() - rest.size());
}

std::string summary(const Case& facts, const Remains& remains) {
  std::vector<std::string> saved_paths, wanted_paths;
  for (const Subtree& tree : remains.unexpected) saved_paths.push_back(original_path(facts, tree));
  for (const Subtree& tree : remains.missing) wanted_paths.emplace_back(tree.path);
  const std::string saved = list_text(saved_paths), wanted = list_text(wanted_paths);
  if (remains.missing.empty()) return "the checkpoint has a head that the model has not: " + saved;
  if (remains.unexpected.empty()) return "the model has a head that the checkpoint has not: " + wanted;
  return "the checkpoint's head is " + saved + ", the model's is " + wanted;
}

std::string counted(std::string_view what, std::size_t keys, std::size_t trees) {
  return base::plural(keys, what) + (keys > 0 ? " in " + base::plural(trees, "subtree") : "");
}

/// Heads of two names whose tensors agree one by one may be the same layer renamed: a person knows.
std::vector<std::string> rename_help(const Case& facts, const Remains& remains) {
  if (remains.missing.size() != 1 || remains.unexpected.size() != 1) return {};
  const Subtree& want = remains.missing.front();
  const Subtree& have = remains.unexpected.front();
  if (want.tensors.size() != have.tensors.size() || want.layers == 0) return {};
  for (std::size_t i = 0; i < want.tensors.size(); ++i) {
    const TensorSpec& to = facts.want(want.tensors[i]);
    const TensorSpec& from = facts.have(have.tensors[i]);
    if (to.name.substr(want.path.size()) != from.name.substr(have.path.size()) || to.shape != from.shape) return {};
  }
  return {"their shapes agree: if the classes are the same, rename    " +
          to_json(Op{Rename{std::string(have.path) + "(\\..*)", std::string(want.path) + "$1", true},
                     Applicability::Guess})};
}

/// Two heads with names alike, and every tensor of one in the other: one part under a new name.
bool is_renamed(const Case& facts, const Remains& remains) {
  constexpr double kAlike = 0.5;
  if (remains.missing.size() != 1 || remains.unexpected.size() != 1) return false;
  const Subtree &want = remains.missing.front(), &have = remains.unexpected.front();
  if (want.tensors.size() != have.tensors.size() || likeness(want.path, have.path) < kAlike) return false;
  std::set<std::string_view> rests;
  for (const std::size_t index : want.tensors)
    rests.insert(std::string_view(facts.want(index).name).substr(want.path.size()));
  return std::all_of(have.tensors.begin(), have.tensors.end(), [&](std::size_t index) {
    return rests.count(std::string_view(facts.have(index).name).substr(have.path.size())) > 0;
  });
}

/// One layer here and one there, of equal shapes and called as no head is: that is a layer under another name, or its
/// neighbour's counterpart, and no head that was changed.
bool are_one_layer(const Case& facts, const Remains& remains) {
  if (facts.knowledge == Knowledge::Partial || remains.missing.empty() || remains.unexpected.empty()) return false;
  if (all_called_heads(remains.missing) || all_called_heads(remains.unexpected)) return false;
  const auto shapes = [](const std::vector<Subtree>& trees, auto spec) {
    std::multiset<Shape> found;
    for (const Subtree& tree : trees)
      for (const std::size_t index : tree.tensors)
        if (const TensorSpec& tensor = spec(index); tensor.shape) found.insert(*tensor.shape);
    return found;
  };
  const auto want = shapes(remains.missing, [&](std::size_t i) -> const TensorSpec& { return facts.want(i); });
  return want == shapes(remains.unexpected, [&](std::size_t i) -> const TensorSpec& { return facts.have(i); });
}

std::optional<Finding> other_name(const Case& facts) {
  if (facts.gap.missing.empty() && facts.gap.unexpected.empty()) return std::nullopt;
  if (facts.text != nullptr && facts.text->is_first_only) return std::nullopt;  // the other names are not told
  const auto settled = settled_modules(facts);
  const auto want = [&](std::size_t i) -> const TensorSpec& { return facts.want(i); };
  const auto have = [&](std::size_t i) -> const TensorSpec& { return facts.have(i); };
  const Remains remains{subtrees(facts.gap.missing, settled, want), subtrees(facts.gap.unexpected, settled, have)};
  if (!are_heads(facts, remains) || are_one_layer(facts, remains)) return std::nullopt;
  if (facts.knowledge == Knowledge::Partial && is_renamed(facts, remains)) return std::nullopt;

  std::unordered_set<std::string_view> missing, unexpected;
  for (const std::size_t index : facts.gap.missing) missing.insert(facts.want(index).name);
  for (const std::size_t index : facts.gap.unexpected) unexpected.insert(facts.have(index).name);
  Finding finding;
  for (const std::string& glob : covering(facts, unexpected)) finding.ops.push_back({Drop{glob}, Applicability::Exact});
  for (const std::string& glob : covering(facts, missing))
    finding.ops.push_back({KeepTarget{glob}, Applicability::Exact});
  Cause& cause = finding.cause;
  const std::size_t tensors = missing.size() + unexpected.size();
  const double both = missing.empty() || unexpected.empty() ? 0.8 : 1;
  cause.confidence = both * (0.5 + 0.45 * backbone_share(facts, tensors));
  cause.keys = tensors;
  cause.summary = summary(facts, remains);
  cause.place = place_of(facts);
  cause.why = kWhy;
  for (const std::size_t index : facts.gap.unexpected)
    if (cause.picture.size() < 2)
      cause.picture.push_back({facts.original(index) + "  " + shape_of(facts.have(index)), "", "only here"});
  for (const std::size_t index : facts.gap.missing)
    if (cause.picture.size() < 4)
      cause.picture.push_back({"", facts.want(index).name + "  " + shape_of(facts.want(index)), "only here"});
  cause.evidence = {counted("missing key", missing.size(), remains.missing.size()) + ", " +
                    counted("unexpected key", unexpected.size(), remains.unexpected.size())};
  if (facts.knowledge == Knowledge::Whole) cause.evidence.push_back(backbone_evidence(facts, missing.size()));
  if (!missing.empty()) cause.notes = {std::string(kTrainIt)};
  cause.help = rename_help(facts, remains);
  return finding;
}

/// The rows that go out of the network, where those that come in differ, too, and nothing between them.
std::optional<Finding> at_the_exit(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  const auto rows = mismatched_rows(facts);
  const auto ends = changed_ends(rows);
  if (!ends) return std::nullopt;
  Finding finding =
      say(facts, {0.8,
                  "the last layer has other outputs: " + list_text(names_of_rows(ends->outputs)),
                  std::string(kWhy),
                  {part_text(ends->outputs.size(), rows.size(), "mismatched key") +
                   " differ by what goes out, and no layer takes that in"},
                  {"build the model with the checkpoint's number of outputs, or train the last layer anew"}});
  tell_mismatched(ends->outputs, finding);
  picture_of({}, {}, ends->outputs, finding.cause);
  return finding;
}

/// All that differs is called a head, and its input is of another width, too: the head is another one, and what feeds
/// it.
std::optional<Finding> head_and_width(const Case& facts) {
  const auto rows = mismatched_rows(facts);
  const bool are_heads = !rows.empty() && facts.gap.missing.size() + facts.gap.unexpected.size() == 0 &&
                         std::all_of(rows.begin(), rows.end(), [](const OpenPair& row) {
                           return is_called_head(module_of(row.name)) && row.have->size() == row.want->size() &&
                                  !row.have->empty() && row.have->front() != row.want->front();
                         });
  if (!are_heads || facts.knowledge == Knowledge::Whole) return std::nullopt;
  Finding finding = say(facts, {0.5,
                                "the head has other rows, and another input: " + list_text(names_of_rows(rows)),
                                std::string(kWhy),
                                {base::plural(rows.size(), "mismatched key") + ", all of a head"},
                                {"build the model with the checkpoint's options"}});
  finding.cause.keys = rows.size();
  return finding;
}

/// What stands behind the last block of a classifier: its head and the normalisation before it. `pred_w` and `pred_b`
/// are Caffe2's names for the head.
bool is_of_end(std::string_view name) {
  const bool is_norm = module_of(name) == first_level(name) && is_normalisation(first_level(name));
  return is_called_head(first_level(name)) || is_norm || name == "pred_w" || name == "pred_b";
}

/// All that the file has too much is the end of a classifier: its layers before were found, and what the model lacks is
/// built upon them.
std::optional<Finding> backbone_of_classifier(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  constexpr std::size_t kMostOfEnd = 8;
  if (facts.knowledge == Knowledge::Whole || rows.missing.empty() || rows.unexpected.empty() ||
      !rows.mismatched.empty() || rows.unexpected.size() > kMostOfEnd)
    return std::nullopt;
  const auto is_end = [](const OpenName& row) { return is_of_end(row.name); };
  const bool is_norm_only = std::all_of(rows.unexpected.begin(), rows.unexpected.end(),
                                        [](const OpenName& row) { return is_normalisation(first_level(row.name)); });
  const bool are_heads = std::all_of(rows.unexpected.begin(), rows.unexpected.end(),
                                     [](const OpenName& row) { return is_called_head(first_level(row.name)); });
  if (is_norm_only || (are_heads && are_within_blocks(rows.missing)) ||
      !std::all_of(rows.unexpected.begin(), rows.unexpected.end(), is_end) ||
      std::all_of(rows.missing.begin(), rows.missing.end(),
                  [](const OpenName& row) { return is_called_head(first_level(row.name)); }))
    return std::nullopt;
  Finding finding = say(facts, {0.74,
                                "all that the checkpoint has too much is the end of a classifier: " +
                                    list_text(first_levels(rows.unexpected)),
                                "a backbone that was trained to classify is loaded into a model with another end",
                                {base::plural(rows.unexpected.size(), "unexpected key") + ", all of that end, and " +
                                 base::plural(rows.missing.size(), "missing key")},
                                {"load without strict and train the new layers"}});
  finding.cause.keys = rows.size();
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

/// All that the file has too much is its head, and the model lacks a few layers: most likely its own.
std::optional<Finding> head_for_another(const Case& facts) {
  constexpr std::size_t kFewLayers = 12;
  if (facts.knowledge == Knowledge::Whole || facts.gap.missing.empty() || facts.gap.unexpected.empty())
    return std::nullopt;
  const auto all_heads = [&](const std::vector<std::size_t>& indexes, auto name) {
    return std::all_of(indexes.begin(), indexes.end(),
                       [&](std::size_t i) { return is_called_head(first_level(name(i))); });
  };
  const bool saved =
      all_heads(facts.gap.unexpected, [&](std::size_t i) { return std::string_view(facts.have(i).name); });
  const bool wanted = all_heads(facts.gap.missing, [&](std::size_t i) { return std::string_view(facts.want(i).name); });
  if (saved == wanted || (saved ? facts.gap.missing : facts.gap.unexpected).size() > kFewLayers) return std::nullopt;
  const OpenRows rows = open_rows(facts);
  Finding finding = say(facts, {are_within_blocks(rows.missing) ? 0.5 : 0.66,
                                std::string(saved ? "all that the checkpoint has too much is its head: "
                                                  : "all that the model lacks is its head: ") +
                                    list_text(first_levels(saved ? rows.unexpected : rows.missing)),
                                std::string(kWhy),
                                {base::plural(facts.gap.missing.size(), "missing key") + ", " +
                                 base::plural(facts.gap.unexpected.size(), "unexpected key")},
                                {"load without strict and train the new layers"}});
  finding.cause.keys = facts.gap.size();
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

constexpr Reading kReadings[] = {
    {Symptom::OutputSpace, 0.75, "the environment takes other actions than the saved policy gives",
     "a policy's last layer has one row for each action of its environment",
     "build the environment as it was: same release, same wrappers"},
    {Symptom::ClassCount, 0.75, "the file and the model have other numbers of classes", kWhy,
     "build the model with the saved number of classes, or load the other layers alone"},
    {Symptom::KernelOutputs, 0.7, "a layer has another number of outputs in the file than in the model (%)", kWhy,
     "build the model with the saved number of classes, or load the other layers alone: by_name, skip_mismatch"},
};

}  // namespace

std::optional<Finding> find_head_changed(const Case& facts) {
  if (auto finding = other_classes(facts)) return finding;
  if (auto finding = other_name(facts)) return finding;
  if (auto finding = at_the_exit(facts)) return finding;
  if (auto finding = backbone_of_classifier(facts)) return finding;
  if (auto finding = head_for_another(facts)) return finding;
  if (auto finding = head_and_width(facts)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
