// different_architecture: the file is of another model or variant altogether.
#include <algorithm>
#include <map>
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

constexpr std::string_view kWhy = "another class, variant or part of the project was saved than is loading";
constexpr std::string_view kHelp =
    "give the file that belongs to this class, or build the class that the file belongs to    tenon inspect FILE";

constexpr Reading kReadings[] = {
    {Symptom::LayerCount, 0.6, "the file has another number of layers than the model", kWhy, kHelp},
    {Symptom::LayerCountsFar, 0.74, "the file has another number of layers than the model, by far (%)", kWhy, kHelp},
    {Symptom::OtherModel, 0.75, "the reader finds another model in the file", kWhy, kHelp},
    {Symptom::LayerOfOtherKind, 0.74, "layers of two kinds stand in one place: %", kWhy, kHelp},
    {Symptom::TensorCount, 0.4, "the reader expects another number of tensors", kWhy, kHelp},
    {Symptom::LayerWeights, 0.4, "a layer has another number of weights than the file", kWhy, kHelp},
    {Symptom::KernelShape, 0.35, "a tensor of the file and one of the model differ in shape", kWhy, kHelp},
    {Symptom::ProductShapes, 0.35, "a layer gets inputs of another width than its weight takes", kWhy, kHelp},
    {Symptom::AxesTurned, 0.35, "a tensor of the file has other axes than its layer", kWhy, kHelp},
};

/// Names of both sides, indices aside, that agree.
double common_templates(const OpenRows& rows) {
  std::unordered_set<std::string> wanted;
  for (const OpenName& row : rows.missing) wanted.insert(template_of(row.name));
  std::size_t common = 0;
  for (const OpenName& row : rows.unexpected) common += wanted.count(template_of(row.name));
  return share_of(common, std::max<std::size_t>(rows.unexpected.size(), 1));
}

bool is_numbered(const OpenName& row) { return template_of(row.name).find('#') != std::string::npos; }

/// Both sides have names of their own, and few of them are alike.
std::optional<Finding> two_families(const Case& facts, const OpenRows& rows) {
  if (rows.missing.empty() || rows.unexpected.empty()) return std::nullopt;
  const std::size_t keys = rows.missing.size() + rows.unexpected.size();
  const double size = std::min(1.0, static_cast<double>(keys) / 20);
  const double apart = 1 - common_templates(rows);
  const double mixed = rows.mismatched.empty() ? 0 : 0.1;
  // The same blocks under the same name, filled in another way: options of one network.
  const auto saved = first_levels(rows.unexpected), wanted = first_levels(rows.missing);
  const bool is_one_stem =
      saved.size() == 1 && saved == wanted && !is_wrapper_level(saved.front()) && is_numbered(rows.missing.front());
  const double alike = are_kindred(rows) ? 0.7 : is_one_stem ? 0.6 : 1;
  Finding finding =
      say(facts, {alike * (0.42 + 0.2 * size * apart) + mixed,
                  "the checkpoint and the model have different parts: " + list_text(first_levels(rows.unexpected)) +
                      " against " + list_text(first_levels(rows.missing)),
                  std::string(kWhy),
                  {base::plural(rows.missing.size(), "missing key") + " and " +
                   base::plural(rows.unexpected.size(), "unexpected key") + " without counterpart"},
                  {std::string(kHelp)}});
  finding.cause.keys = keys + rows.mismatched.size();
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

/// The model is one layer (`weight`), and the file holds a network: a loss or a head was given the backbone's file.
std::optional<Finding> one_layer(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kMostOwn = 2, kLeastModules = 2;
  const bool is_own = std::all_of(rows.missing.begin(), rows.missing.end(),
                                  [](const OpenName& row) { return module_of(row.name).empty(); });
  std::unordered_set<std::string_view> modules;
  for (const OpenName& row : rows.unexpected) modules.insert(module_of(row.name));
  if (facts.knowledge == Knowledge::Whole || rows.missing.empty() || rows.missing.size() > kMostOwn || !is_own ||
      !is_plain_leaf(rows.missing.front().name) || modules.size() < kLeastModules || modules.count("") > 0)
    return std::nullopt;
  Finding finding = say(
      facts, {0.75,
              "the model is a single layer, and the file holds a network: " + list_text(first_levels(rows.unexpected)),
              std::string(kWhy),
              {base::plural(rows.missing.size(), "missing key") + " without a module, " +
               base::plural(rows.unexpected.size(), "unexpected key") + " of several"},
              {std::string(kHelp)}});
  finding.cause.keys = rows.size();
  picture_of(rows.missing, rows.unexpected, {}, finding.cause);
  return finding;
}

/// Only layers that any network has, in blocks from the first one on: another network's body, and no part of a name.
bool are_of_a_body(const std::vector<OpenName>& rows) {
  constexpr std::string_view kWords[] = {"conv",     "bn",       "norm",      "layer", "layers", "block", "blocks",
                                         "stage",    "body",     "down",      "up",    "skip",   "base",  "first",
                                         "last",     "stages",   "net",       "model", "stem",   "res",   "residual",
                                         "shortcut", "module",   "features",  "main",  "unit",   "basic", "relu",
                                         "network",  "backbone", "downsample"};
  const auto is_plain = [&](std::string_view module) {
    for (std::size_t at = 0; at < module.size();) {
      const std::size_t end = std::min(module.find_first_of("._0123456789", at), module.size());
      const std::string_view word = module.substr(at, end - at);
      if (!word.empty() && std::find(std::begin(kWords), std::end(kWords), word) == std::end(kWords)) return false;
      at = end + 1;
    }
    return true;
  };
  return std::all_of(rows.begin(), rows.end(), [&](const OpenName& row) {
    return is_plain(module_of(row.name)) && is_plain_leaf(leaf_of(row.name));
  });
}

/// Everything is missing, from the first layer on, and the other side is not shown.
std::optional<Finding> all_missing(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 8;
  if (!rows.unexpected.empty() || rows.missing.size() < kLeast || are_normalisations(rows.missing)) return std::nullopt;
  const bool from_start = begins_network(rows.missing.front().name) && common_module(rows.missing).empty();
  const bool is_body = !from_start && rows.mismatched.empty() && are_of_a_body(rows.missing);
  Finding finding = say(facts, {is_body      ? 0.6
                                : from_start ? 0.46
                                             : 0.42,
                                "many of the model's tensors are not in the file, and the text does not show what is",
                                std::string(kWhy),
                                {base::plural(rows.missing.size(), "missing key") + ", 0 unexpected"},
                                {std::string(kHelp)}});
  finding.cause.keys = rows.missing.size();
  picture_of(rows.missing, {}, {}, finding.cause);
  return finding;
}

/// The file alone has a part of some size, under one name, and the text does not show what the model has.
std::optional<Finding> foreign_part(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 6;
  const std::string_view part = common_module(rows.unexpected);
  const bool is_plain = std::all_of(rows.unexpected.begin(), rows.unexpected.end(),
                                    [](const OpenName& row) { return is_plain_leaf(leaf_of(row.name)); });
  if (facts.knowledge == Knowledge::Whole || part.empty() || !is_plain || rows.unexpected.size() < kLeast ||
      rows.unexpected.size() != rows.size())
    return std::nullopt;
  Finding finding = say(facts, {0.32,
                                "the checkpoint has a part that the model has not: " + quoted(part),
                                std::string(kWhy),
                                {base::plural(rows.unexpected.size(), "unexpected key") + " below " + quoted(part)},
                                {std::string(kHelp)}});
  finding.cause.keys = rows.unexpected.size();
  picture_of({}, rows.unexpected, {}, finding.cause);
  return finding;
}

/// Where the model has one layer the checkpoint has a numbered stack of layers, or the reverse: `proj` against
/// `proj.0`, `proj.1`.
std::optional<Finding> stacks(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  constexpr std::size_t kLeast = 4;
  std::map<std::string, std::size_t> children;
  const auto count_under = [&](const std::string& name) {
    const std::string_view module = module_of(module_of(name)), index = leaf_of(module_of(name));
    if (!module.empty() && index.find_first_not_of("0123456789") == std::string_view::npos)
      ++children[std::string(module)];
  };
  std::unordered_set<std::string> single;
  for (const std::size_t index : facts.gap.missing) single.insert(std::string(module_of(facts.want(index).name)));
  for (const std::size_t index : facts.gap.unexpected) count_under(facts.have(index).name);
  for (const auto& [module, count] : children) {
    if (count < kLeast || single.count(module) == 0) continue;
    Finding finding =
        say(facts, {0.72,
                    "the model has one layer where the checkpoint has a stack of layers: " + quoted(module),
                    std::string(kWhy),
                    {base::plural(count, "unexpected key") + " in numbered layers below " + quoted(module)},
                    {std::string(kHelp)}});
    finding.cause.keys = facts.gap.size();
    return finding;
  }
  return std::nullopt;
}

/// A table with several times the rows is another tokenizer's, and so another model's.
std::optional<Finding> other_vocabulary(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole || facts.gap.mismatched.empty() || !facts.gap.missing.empty() ||
      !facts.gap.unexpected.empty())
    return std::nullopt;
  const Pair& pair = facts.gap.mismatched.front();
  const Shape &have = *facts.have(pair.state).shape, &want = *facts.want(pair.target).shape;
  constexpr std::int64_t kTokens = 5'000;
  if (have.size() != 2 || want.size() != 2 || have[1] != want[1] || std::min(have[0], want[0]) < kTokens)
    return std::nullopt;
  const double ratio =
      static_cast<double>(std::max(have[0], want[0])) / static_cast<double>(std::min(have[0], want[0]));
  if (ratio < 1.5) return std::nullopt;
  Finding finding = say(facts, {0.45,
                                "a vocabulary of another size altogether: " + quoted(facts.want(pair.target).name),
                                std::string(kWhy),
                                {std::to_string(have[0]) + " against " + std::to_string(want[0]) + " rows"},
                                {std::string(kHelp)}});
  finding.cause.keys = facts.gap.size();
  return finding;
}

/// The width of what a layer attends to, or projects into the model, is another network's: a text encoder of 768
/// against one of 2048, an image encoder of 1024 against one of 1280. No option of one model changes that.
bool is_foreign_width(const OpenPair& row) {
  if (row.have->size() != 2 || row.want->size() != 2) return false;
  const std::int64_t a = (*row.have)[1], b = (*row.want)[1];
  const bool is_context = row.name.find("attn2.to_k") != std::string_view::npos ||
                          row.name.find("attn2.to_v") != std::string_view::npos ||
                          row.name.find("cross_attn") != std::string_view::npos ||
                          first_level(row.name).find("proj") != std::string_view::npos;
  return is_context && a != b && std::min(a, b) >= 512 && a % 64 == 0 && b % 64 == 0;
}

std::optional<Finding> foreign_width(const Case& facts, const OpenRows& rows) {
  const auto found = rows_where(rows.mismatched, is_foreign_width);
  if (found.empty() || facts.knowledge == Knowledge::Whole) return std::nullopt;
  Finding finding =
      say(facts, {0.86,
                  "what the model takes its context from is of another width: " + list_text(names_of_rows(found)),
                  std::string(kWhy),
                  {part_text(found.size(), rows.mismatched.size(), "mismatched key") + " are of such layers, " +
                   std::to_string((*found.front().have)[1]) + " against " + std::to_string((*found.front().want)[1])},
                  {std::string(kHelp)}});
  finding.cause.keys = facts.gap.size();
  picture_of({}, {}, found, finding.cause);
  return finding;
}

/// An adapter's factors have the rank that is wanted and another width: they were trained on another base model.
std::optional<Finding> other_base(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  std::vector<std::string> names;
  std::size_t adapters = 0;
  for (const Pair& pair : facts.gap.mismatched) {
    const std::string& name = facts.want(pair.target).name;
    if (family_of(name) != Family::Adapter) continue;
    ++adapters;
    const Shape &have = *facts.have(pair.state).shape, &want = *facts.want(pair.target).shape;
    const auto axis = only_axis(have, want);
    if (axis && have.size() == 2 && have[1 - *axis] == want[1 - *axis] && have[1 - *axis] < have[*axis] &&
        have[1 - *axis] < want[*axis])
      names.push_back(name);
  }
  if (names.empty() || names.size() * 2 < adapters) return std::nullopt;
  Finding finding =
      say(facts,
          {0.88,
           "the adapter was trained on a base model of another width: " + list_text(names),
           "a factor's rank is the adapter's option, its other axis is the base model's width",
           {part_text(names.size(), adapters, "mismatched key") + " of adapters have the same rank and another width"},
           {"load the base model that the adapter was trained on: it is in adapter_config.json"}});
  finding.cause.keys = facts.gap.size();
  return finding;
}

/// Kernels have a window with one axis more (3x3 against 3x3x3): images against volumes or video.
std::optional<Finding> other_rank(const Case& facts, const OpenRows& rows) {
  const auto found = rows_where(rows.mismatched, [](const OpenPair& row) {
    const auto [less, more] = std::minmax({row.have->size(), row.want->size()});
    return less >= 3 && more == less + 1 && !equal_when_squeezed(*row.have, *row.want);
  });
  if (found.empty() || facts.knowledge == Knowledge::Whole) return std::nullopt;
  Finding finding =
      say(facts, {0.88,
                  "the windows of kernels have another number of axes: " + list_text(names_of_rows(found)),
                  "networks for images, volumes and video have kernels of two and three axes",
                  {part_text(found.size(), rows.mismatched.size(), "mismatched key") +
                   " cannot be made equal by axes of one element"},
                  {std::string(kHelp)}});
  finding.cause.keys = facts.gap.size();
  picture_of({}, {}, found, finding.cause);
  return finding;
}

/// One convolution within a block takes another width, and all around it fits: another variant's stem or transition.
std::optional<Finding> inner_width(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kMost = 4;
  const auto found = rows_where(rows.mismatched, [](const OpenPair& row) {
    return row.have->size() == 4 && only_axis(*row.have, *row.want) == std::size_t{1} &&
           std::min((*row.have)[1], (*row.want)[1]) >= 32;
  });
  if (found.empty() || rows.size() > kMost || facts.knowledge == Knowledge::Whole) return std::nullopt;
  Finding finding =
      say(facts, {0.75,
                  "a convolution within the network takes another width: " + list_text(names_of_rows(found)),
                  std::string(kWhy),
                  {part_text(found.size(), rows.mismatched.size(), "mismatched key") +
                   " differ along the input's axis, by a layer's width"},
                  {std::string(kHelp)}});
  finding.cause.keys = rows.size();
  picture_of({}, {}, found, finding.cause);
  return finding;
}

std::optional<Finding> other_sizes(const Case& facts, const OpenRows& rows) {
  if (rows.mismatched.empty()) return std::nullopt;
  const auto other_rank =
      rows_where(rows.mismatched, [](const OpenPair& row) { return row.have->size() != row.want->size(); });
  const double share = share_of(other_rank.size(), rows.mismatched.size());
  const double many = std::min(1.0, static_cast<double>(rows.mismatched.size()) / 10);
  Finding finding = say(
      facts, {0.25 + 0.25 * share + 0.15 * many,
              "layers of one name are of another kind or size",
              std::string(kWhy),
              {part_text(other_rank.size(), rows.mismatched.size(), "mismatched key") + " have another number of axes"},
              {std::string(kHelp)}});
  finding.cause.keys = rows.mismatched.size();
  picture_of({}, {}, rows.mismatched, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_different_architecture(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (facts.knowledge == Knowledge::Whole &&
      (facts.gap.matched.size() + facts.gap.mismatched.size()) * 4 > facts.target.tensors.size())
    return std::nullopt;
  if (auto finding = stacks(facts)) return finding;
  if (auto finding = other_vocabulary(facts)) return finding;
  if (auto finding = other_base(facts)) return finding;
  if (auto finding = foreign_width(facts, rows)) return finding;
  if (auto finding = other_rank(facts, rows)) return finding;
  if (auto finding = inner_width(facts, rows)) return finding;
  if (auto finding = one_layer(facts, rows)) return finding;
  if (auto finding = two_families(facts, rows)) return finding;
  if (auto finding = all_missing(facts, rows)) return finding;
  if (auto finding = other_sizes(facts, rows)) return finding;
  if (auto finding = foreign_part(facts, rows)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
