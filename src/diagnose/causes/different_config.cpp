// different_config: the same architecture with other options: depth, width, kernel, groups, a branch switched on or
// off.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/shape_relation.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kWhy =
    "the class is the same and its options are not: number of layers, width, kernel, optional branches";
constexpr std::string_view kHelp =
    "build the model with the options it was saved with: they are in the checkpoint's configuration or arguments";

constexpr Reading kReadings[] = {
    {Symptom::KernelShape, 0.6, "a tensor of the file and one of the model differ in shape", kWhy, kHelp},
    {Symptom::ProductShapes, 0.6, "a layer gets inputs of another width than its weight takes",
     "the input is another than the model was made for, or what stands before the layer gives other features", kHelp},
    {Symptom::AxesTurned, 0.5, "a tensor of the file has other axes than its layer", kWhy, kHelp},
    {Symptom::LayerWeights, 0.5, "a layer has another number of weights than the file", kWhy, kHelp},
    {Symptom::LayerCount, 0.7, "the model has another number of layers than the file", kWhy, kHelp},
    {Symptom::InputSpace, 0.5, "the environment's options are not those of the saved policy", kWhy, kHelp},
    {Symptom::OtherOption, 0.75, "an option of the checkpoint is not that of the model", kWhy, kHelp},
    {Symptom::EmptyIndex, 0.4, "an index goes beyond a table", kWhy, kHelp},
};

bool is_projection(std::string_view module) {
  constexpr std::string_view kNames[] = {"q_proj", "k_proj", "v_proj", "to_q", "to_k", "to_v", "query", "key", "value"};
  return std::find(std::begin(kNames), std::end(kNames), leaf_of(module)) != std::end(kNames);
}

bool is_of_normalisation(const OpenName& row) { return is_normalisation(module_of(row.name)); }

/// Not whole blocks, but what quantisation or a fused projection leaves in each: the list is cut, not the model.
bool is_part_of_blocks(const std::vector<OpenName>& rows) {
  const auto quantised = rows_where(rows, [](const OpenName& row) { return family_of(row.name) == Family::Quantised; });
  const auto parts = rows_where(rows, [](const OpenName& row) { return is_projection(module_of(row.name)); });
  return quantised.size() * 10 >= rows.size() * 4 ||
         (parts.size() * 10 >= rows.size() * 4 && rows_where(rows, is_of_normalisation).empty());
}

std::optional<Finding> depth(const Case& facts, const OpenRows& rows) {
  const auto wanted = index_tail(rows.missing), saved = index_tail(rows.unexpected);
  const std::size_t in_missing = wanted ? wanted->rows.size() : 0, in_unexpected = saved ? saved->rows.size() : 0;
  if (in_missing + in_unexpected == 0 || (in_missing > 0 && in_unexpected > 0)) return std::nullopt;
  const IndexTail& tail = in_missing > 0 ? *wanted : *saved;
  const double share = share_of(tail.rows.size(), rows.size());
  if (share < 0.25 || is_part_of_blocks(tail.rows)) return std::nullopt;
  // From the second one on, where that is all: one more of what the model has once.
  constexpr std::size_t kLeastOfSecond = 8;
  const bool is_second = tail.first == 1 && tail.rows.size() >= kLeastOfSecond && share > 0.95 && tail.is_outermost &&
                         facts.knowledge == Knowledge::Partial && family_of(tail.rows.front().name) != Family::Training;
  const bool is_deep = tail.first >= 2 || is_second;
  Finding finding =
      say(facts,
          {(is_deep ? 0.4 : 0.2) + 0.42 * share,
           std::string(in_missing > 0 ? "the model" : "the checkpoint") +
               " has blocks that the other side has not: " + quoted(tail.stem + std::to_string(tail.first)) + " and on",
           std::string(kWhy),
           {part_text(tail.rows.size(), rows.size(), "key") + " are in blocks " + std::to_string(tail.first) + " to " +
            std::to_string(tail.last) + " of " + quoted(tail.stem) + ", none in those before"},
           {std::string(kHelp)}});
  finding.cause.keys = tail.rows.size();
  picture_of(in_missing > 0 ? tail.rows : std::vector<OpenName>(), in_missing > 0 ? std::vector<OpenName>() : tail.rows,
             {}, finding.cause);
  return finding;
}

/// Every stage of the network has more blocks on one side.
std::optional<Finding> deeper(const Case& facts, const OpenRows& rows) {
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  const auto found = deeper_stages(side);
  if (facts.knowledge == Knowledge::Whole || found.empty() || side.size() != rows.size() ||
      found.size() * 10 < side.size() * 9)
    return std::nullopt;
  Finding finding = say(
      facts,
      {0.7,
       std::string(rows.missing.empty() ? "the checkpoint" : "the model") +
           " has more blocks in its stages: " + quoted(module_of(found.front().name)) + " and on",
       std::string(kWhy),
       {part_text(found.size(), side.size(), "key") + " are in later blocks of several stages, none in the first ones"},
       {std::string(kHelp)}});
  finding.cause.keys = found.size();
  return finding;
}

/// The ratio that explains most pairs: "5 : 4".
struct Ratio {
  std::pair<std::int64_t, std::int64_t> terms{0, 0};
  std::size_t pairs = 0;
};

Ratio common_ratio(const std::vector<OpenPair>& rows) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> counts;
  for (const OpenPair& row : rows) {
    if (row.have->size() != row.want->size()) continue;
    std::set<std::pair<std::int64_t, std::int64_t>> seen;
    for (std::size_t i = 0; i < row.have->size(); ++i) {
      const std::int64_t a = (*row.have)[i], b = (*row.want)[i];
      if (a == b || a <= 0 || b <= 0) continue;
      std::int64_t x = a, y = b;
      while (y != 0) std::swap(x %= y, y);
      seen.insert({a / x, b / x});
    }
    for (const auto& ratio : seen) ++counts[ratio];
  }
  Ratio best;
  for (const auto& [terms, pairs] : counts)
    if (pairs > best.pairs) best = {terms, pairs};
  return best;
}

bool is_kernel(const OpenPair& row) {
  if (row.have->size() != row.want->size() || row.have->size() < 3) return false;
  return (*row.have)[0] == (*row.want)[0] && (*row.have)[1] == (*row.want)[1] && *row.have != *row.want;
}

std::string shape_summary(const std::vector<OpenPair>& rows, const Ratio& ratio) {
  if (std::all_of(rows.begin(), rows.end(), is_kernel))
    return "kernels are of another size: " + list_text(names_of_rows(rows));
  if (ratio.pairs * 2 > rows.size() && rows.size() > 1)
    return "widths differ by the ratio " + std::to_string(ratio.terms.first) + " : " +
           std::to_string(ratio.terms.second);
  return "layers are of other sizes: " + list_text(names_of_rows(rows));
}

std::optional<Finding> sizes(const Case& facts, const OpenRows& rows) {
  if (rows.mismatched.empty()) return std::nullopt;
  const Ratio ratio = common_ratio(rows.mismatched);
  const double regular =
      rows.mismatched.size() < 2 ? 0.5 : share_of(ratio.pairs, rows.mismatched.size());  // one has no ratio
  const double share = share_of(rows.mismatched.size(), rows.size());
  Finding finding =
      say(facts, {0.35 + 0.25 * regular + 0.25 * share,
                  shape_summary(rows.mismatched, ratio),
                  std::string(kWhy),
                  {part_text(ratio.pairs, rows.mismatched.size(), "mismatched key") + " show one ratio, " +
                   std::to_string(ratio.terms.first) + " : " + std::to_string(ratio.terms.second)},
                  {std::string(kHelp)}});
  finding.cause.keys = rows.mismatched.size();
  picture_of({}, {}, rows.mismatched, finding.cause);
  return finding;
}

/// A few parts on one side, or on both, that an option may switch.
std::optional<Finding> branch(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kMostParts = 6;
  const auto wanted = first_levels(rows.missing), saved = first_levels(rows.unexpected);
  if (wanted.size() + saved.size() == 0 || wanted.size() > kMostParts || saved.size() > kMostParts) return std::nullopt;
  const bool is_one_sided = wanted.empty() || saved.empty();
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  if (is_one_sided && side.size() >= 8 && begins_network(side.front().name) && common_module(side).empty() &&
      !are_of_one_word(side))
    return std::nullopt;  // that is everything, and no option switches a whole network
  const std::size_t keys = rows.missing.size() + rows.unexpected.size();
  Finding finding =
      say(facts, {is_one_sided ? (rows.missing.empty() ? 0.5 : 0.4) : (keys < 16 && keys > 4 ? 0.48 : 0.4),
                  "an option may switch parts on or off: " + list_text(saved.empty() ? wanted : saved),
                  std::string(kWhy),
                  {base::plural(keys, "key") + " in " + base::plural(wanted.size() + saved.size(), "part")},
                  {std::string(kHelp)}});
  finding.cause.keys = keys;
  finding.cause.notes = {"leaving a branch out is harmful where it feeds the output: names alone do not tell"};
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

/// Blocks that begin alike have a layer more on one side (`conv3` and `bn3` where `conv2` is not told): blocks of
/// another kind, which an option or the depth decides.
std::optional<Finding> longer_blocks(const Case& facts, const OpenRows& rows) {
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  if (facts.knowledge == Knowledge::Whole || side.size() != rows.size()) return std::nullopt;
  std::set<std::string> modules, kinds;
  for (const OpenName& row : side) modules.insert(std::string(module_of(row.name)));
  const auto is_further = [&](const std::string& module) {
    const char last = module.empty() ? '0' : module.back();
    const auto at = leaf_of(module).find_first_of("0123456789");
    if (last < '3' || last > '9' || at == 0 || at + 1 != leaf_of(module).size()) return false;
    std::string before = module;
    --before.back();
    return modules.count(before) == 0;
  };
  std::size_t count = 0;
  for (const std::string& module : modules)
    if (is_further(module) && ++count > 0) kinds.insert(template_of(leaf_of(module)));
  if (kinds.size() < 2 || count < 4) return std::nullopt;
  Finding finding = say(facts, {0.6,
                                "blocks have a layer more on one side: " + list_text({kinds.begin(), kinds.end()}),
                                std::string(kWhy),
                                {base::plural(count, "layer") + " without the one that is counted before it"},
                                {std::string(kHelp)}});
  finding.cause.keys = side.size();
  return finding;
}

/// The model normalises where the file does not, and nothing else differs: layers that an option switches. Folding
/// would have left biases, and touches the whole network, not one part of it.
std::optional<Finding> normalisations(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 8;
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  const bool is_one_sided = side.size() == rows.size();
  if (facts.knowledge == Knowledge::Whole || !is_one_sided || side.size() < kLeast || !are_normalisations(side))
    return std::nullopt;
  Finding finding =
      say(facts, {0.55,
                  std::string(rows.missing.empty() ? "the checkpoint" : "the model") +
                      " has normalisations that the other side has not: " + list_text(first_levels(side)),
                  std::string(kWhy),
                  {base::plural(side.size(), "key") + ", all of normalisations, and no layer that they stand behind"},
                  {std::string(kHelp)}});
  finding.cause.keys = side.size();
  return finding;
}

/// The left-over parts are the model once more, under a level of their own: the prefix's rule has spoken of them.
bool are_second_models(const Case& facts, const std::vector<OpenName>& rows) {
  std::unordered_set<std::string_view> wanted;
  for (const TensorSpec& spec : facts.target.tensors) wanted.insert(spec.name);
  return std::all_of(rows.begin(), rows.end(), [&](const OpenName& row) {
    const std::size_t level = first_level(row.name).size() + 1;
    return level < row.name.size() && wanted.count(row.name.substr(level)) > 0;
  });
}

/// All that the model wants is there, and parts of the file are left over. Whether they are missed is told of each
/// drop; a person decides in any case.
std::optional<Finding> left_over(const Case& facts, const OpenRows& rows) {
  if (!rows.missing.empty() || !rows.mismatched.empty() || rows.unexpected.empty() ||
      facts.gap.matched.size() < facts.target.tensors.size() || facts.target.tensors.empty() ||
      are_second_models(facts, rows.unexpected))
    return std::nullopt;
  const auto parts = first_levels(rows.unexpected);
  Finding finding = say(facts, {0.5,
                                "the checkpoint has parts that the model is built without: " + list_text(parts),
                                std::string(kWhy),
                                {"all " + base::plural(facts.gap.matched.size(), "tensor") + " of the model fit, " +
                                 base::plural(rows.unexpected.size(), "key") + " in " +
                                 base::plural(parts.size(), "part") + " are left over"},
                                {std::string(kHelp)}});
  finding.ops = drop_rows(facts, rows.unexpected, Applicability::Guess);
  finding.cause.keys = rows.unexpected.size();
  picture_of({}, rows.unexpected, {}, finding.cause);
  return finding;
}

/// Sizes that another cause explains follow from an option as well: input channels, image size, an adapter's rank.
std::optional<Finding> behind_another(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (facts.knowledge == Knowledge::Whole || !rows.empty() || facts.gap.mismatched.empty()) return std::nullopt;
  std::vector<std::string> names;
  bool are_sizes = true;
  for (const Pair& pair : facts.gap.mismatched) {
    const Shape &have = *facts.have(pair.state).shape, &want = *facts.want(pair.target).shape;
    const bool is_rows = only_axis(have, want) == std::size_t{0} && !is_position_table(facts.want(pair.target).name) &&
                         family_of(facts.want(pair.target).name) != Family::Adapter;
    if (have.size() != want.size() || is_empty_shape(have) || is_empty_shape(want) || is_rows) are_sizes = false;
    names.push_back(facts.want(pair.target).name);
  }
  if (!are_sizes) return std::nullopt;
  Finding finding = say(facts, {0.35,
                                "an option of the model decides these sizes: " + list_text(names),
                                std::string(kWhy),
                                {base::plural(names.size(), "mismatched key") + " of other sizes along inner axes"},
                                {std::string(kHelp)}});
  finding.cause.keys = names.size();
  return finding;
}

/// What comes in and what goes out differ by the same number: one option, of what the network is for, decides both.
std::optional<Finding> one_option(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole || facts.gap.missing.size() + facts.gap.unexpected.size() > 0)
    return std::nullopt;
  const auto rows = mismatched_rows(facts);
  const auto ends = changed_ends(rows);
  if (!ends) return std::nullopt;
  const auto difference = [](const OpenPair& row) {
    const std::size_t axis = *only_axis(*row.have, *row.want);
    return (*row.want)[axis] - (*row.have)[axis];
  };
  const bool is_one = std::all_of(rows.begin(), rows.end(),
                                  [&](const OpenPair& row) { return difference(row) == difference(rows.front()); });
  if (!is_one) return std::nullopt;
  Finding finding =
      say(facts, {0.9,
                  "inputs and outputs differ by the same number, " + std::to_string(difference(rows.front())),
                  std::string(kWhy),
                  {base::plural(ends->inputs.size(), "key") + " of inputs and " +
                   base::plural(ends->outputs.size(), "key") + " of outputs, all by that number"},
                  {std::string(kHelp)}});
  finding.cause.keys = rows.size();
  picture_of({}, {}, rows, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_different_config(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (auto finding = one_option(facts)) return finding;
  if (facts.knowledge == Knowledge::Whole &&
      facts.gap.matched.size() + facts.gap.mismatched.size() <= rows.missing.size())
    return std::nullopt;
  if (auto finding = behind_another(facts)) return finding;
  auto blocks = depth(facts, rows);
  const bool is_most = blocks && blocks->cause.keys * 2 > rows.size();
  if (is_most) return blocks;
  if (auto finding = deeper(facts, rows)) return finding;
  if (auto finding = sizes(facts, rows)) return finding;
  if (auto finding = normalisations(facts, rows)) return finding;
  if (auto finding = longer_blocks(facts, rows)) return finding;
  if (facts.knowledge == Knowledge::Partial)
    if (auto finding = branch(facts, rows)) return finding;
  if (blocks) return blocks;
  if (facts.knowledge != Knowledge::Partial)
    if (auto finding = left_over(facts, rows)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
