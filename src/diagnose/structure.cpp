#include "diagnose/structure.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "diagnose/families.hpp"
#include "diagnose/names.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxLevels = 16;
constexpr std::size_t kMaxEditedLevels = 3;
constexpr std::size_t kMostPerKey = 8;
constexpr std::size_t kMostNames = 20'000;  // of a side: beyond that, the first ones tell

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_index(std::string_view level) {
  return !level.empty() && level.size() < 10 && std::all_of(level.begin(), level.end(), is_digit);
}

/// Begins of the levels of a name, and its end.
std::vector<std::size_t> level_begins(std::string_view name) {
  std::vector<std::size_t> begins{0};
  for (std::size_t at = 0; at < name.size() && begins.size() < kMaxLevels; ++at)
    if (name[at] == '.') begins.push_back(at + 1);
  return begins;
}

struct LevelGap {
  std::string_view level;  ///< what stands in the gap, without its dot at the end
  std::size_t row = 0;
  bool at_front = false;
};
using GapsByRest = std::unordered_map<std::string, std::vector<LevelGap>>;

/// Every way to take up to three neighbouring levels out of a name, under what remains. The leaf always remains.
GapsByRest gaps_of(const std::vector<std::string>& names) {
  GapsByRest gaps;
  for (std::size_t row = 0; row < names.size(); ++row) {
    const std::string_view name = names[row];
    const auto begins = level_begins(name);
    for (std::size_t from = 0; from < begins.size(); ++from)
      for (std::size_t to = from; to < begins.size() && to <= from + kMaxEditedLevels; ++to) {
        std::string rest(name.substr(0, begins[from]));
        rest += '\1';
        rest += name.substr(begins[to]);
        auto& entries = gaps[std::move(rest)];
        if (entries.size() < kMostPerKey)
          entries.push_back({name.substr(begins[from], begins[to] - begins[from]), row,
                             from == 0 || is_wrapper_level(name.substr(0, begins[from] - 1))});
      }
  }
  return gaps;
}

struct Edit {
  std::set<std::size_t> missing, unexpected;
  std::size_t front = 0;
};
using Edits = std::map<std::pair<std::string, std::string>, Edit>;

std::string without_dot(std::string_view level) {
  return std::string(level.ends_with('.') ? level.substr(0, level.size() - 1) : level);
}

bool share_end(std::string_view a, std::string_view b) {
  const std::string x = without_dot(a), y = without_dot(b);
  return !x.empty() && !y.empty() && (leaf_of(x) == leaf_of(y) || first_level(x) == first_level(y));
}

Edits edits_between(const std::vector<std::string>& missing, const std::vector<std::string>& unexpected) {
  const GapsByRest wanted = gaps_of(missing), offered = gaps_of(unexpected);
  Edits edits;
  for (const auto& [rest, offers] : offered) {
    const auto found = wanted.find(rest);
    if (found == wanted.end()) continue;
    for (const LevelGap& have : offers)
      for (const LevelGap& want : found->second) {
        if (have.level == want.level || share_end(have.level, want.level)) continue;  // a shorter edit says the same
        Edit& edit = edits[{without_dot(have.level), without_dot(want.level)}];
        edit.missing.insert(want.row);
        edit.unexpected.insert(have.row);
        edit.front += have.at_front ? 1U : 0U;
      }
  }
  return edits;
}

std::vector<std::string> texts_of(const std::vector<OpenName>& rows, bool as_template) {
  std::vector<std::string> texts;
  for (const OpenName& row : rows) {
    if (texts.size() == kMostNames) break;
    texts.push_back(as_template ? template_of(row.name) : std::string(row.name));
  }
  return texts;
}

std::optional<LevelEdit> edit_of(const std::vector<OpenName>& missing, const std::vector<OpenName>& unexpected,
                                 bool by_template) {
  const auto edits = edits_between(texts_of(missing, by_template), texts_of(unexpected, by_template));
  const auto weight = [](const auto& row) {
    const std::size_t length = row.first.first.size() + row.first.second.size();
    return std::make_pair(std::min(row.second.missing.size(), row.second.unexpected.size()),
                          -static_cast<long>(length));
  };
  const auto best =
      std::max_element(edits.begin(), edits.end(), [&](const auto& a, const auto& b) { return weight(a) < weight(b); });
  if (best == edits.end()) return std::nullopt;
  LevelEdit edit{best->first.first, best->first.second, best->second.front > 0, {}, {}, by_template};
  for (const std::size_t row : best->second.missing) edit.missing.push_back(missing[row]);
  for (const std::size_t row : best->second.unexpected) edit.unexpected.push_back(unexpected[row]);
  return edit;
}

}  // namespace

std::string template_of(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (!is_digit(c))
      result += c;
    else if (result.empty() || result.back() != '#')
      result += '#';
  }
  return result;
}

std::string_view common_module(const std::vector<OpenName>& rows) {
  if (rows.empty()) return {};
  std::string_view common = module_of(rows.front().name);
  for (const OpenName& row : rows)
    while (!common.empty() &&
           !(row.name.starts_with(common) && row.name.size() > common.size() && row.name[common.size()] == '.'))
      common = module_of(common);
  return common;
}

bool are_normalisations(const std::vector<OpenName>& rows) {
  std::unordered_set<std::string_view> modules;
  for (const OpenName& row : rows)
    if (leaf_of(row.name).starts_with("running_")) modules.insert(module_of(row.name));
  return !rows.empty() && std::all_of(rows.begin(), rows.end(), [&](const OpenName& row) {
    return modules.count(module_of(row.name)) > 0 || is_normalisation(module_of(row.name));
  });
}

bool are_kindred(const OpenRows& rows) {
  constexpr std::size_t kLeastNames = 3;
  const auto layer = [](const OpenName& row) {
    const std::string_view module = module_of(row.name);
    return row.name.substr(module.size() - leaf_of(module).size());  // `qkv.weight` of `layers.0.attn.qkv.weight`
  };
  std::unordered_set<std::string_view> wanted, shared;
  for (const OpenName& row : rows.missing) wanted.insert(layer(row));
  const auto alike = [&](const OpenName& row) { return wanted.count(layer(row)) > 0; };
  for (const OpenName& row : rows.unexpected)
    if (alike(row)) shared.insert(leaf_of(module_of(row.name)));
  return shared.size() >= kLeastNames && rows_where(rows.unexpected, alike).size() * 2 >= rows.unexpected.size();
}

std::vector<std::string> first_levels(const std::vector<OpenName>& rows, std::size_t most) {
  std::vector<std::string> levels;
  for (const OpenName& row : rows) {
    const std::string level(first_level(row.name));
    if (std::find(levels.begin(), levels.end(), level) == levels.end()) levels.push_back(level);
    if (levels.size() == most) break;
  }
  return levels;
}

namespace {

/// The outermost index counts blocks; one within them counts where all rows stand within one block.
bool counts_blocks(const IndexTail& tail, std::size_t rows) { return tail.is_outermost || tail.rows.size() == rows; }

}  // namespace

std::optional<IndexTail> index_tail(const std::vector<OpenName>& rows) {
  std::map<std::string, IndexTail> tails;
  for (const OpenName& row : rows) {
    const auto begins = level_begins(row.name);
    bool is_outer = true;
    for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
      const std::string_view level = row.name.substr(begins[i], begins[i + 1] - begins[i] - 1);
      if (!is_index(level)) continue;
      const std::string stem(row.name.substr(0, begins[i]));
      const std::int64_t number = std::stoll(std::string(level));
      const auto [found, is_new] = tails.try_emplace(stem, IndexTail{stem, number, number, {}, is_outer});
      IndexTail& tail = found->second;
      tail.first = std::min(tail.first, number);
      tail.last = std::max(tail.last, number);
      tail.rows.push_back(row);
      is_outer = false;
    }
  }
  const IndexTail* best = nullptr;
  for (const auto& [stem, tail] : tails)
    if (tail.first > 0 && tail.rows.size() >= 2 && counts_blocks(tail, rows.size()) &&
        (best == nullptr ||
         std::make_pair(tail.rows.size(), tail.first) > std::make_pair(best->rows.size(), best->first)))
      best = &tail;
  return best == nullptr ? std::nullopt : std::optional<IndexTail>(*best);
}

std::optional<LevelEdit> best_edit(const std::vector<OpenName>& missing, const std::vector<OpenName>& unexpected) {
  if (missing.empty() || unexpected.empty()) return std::nullopt;
  auto exact = edit_of(missing, unexpected, false);
  const std::size_t fewer = std::min(missing.size(), unexpected.size());
  if (exact && exact->missing.size() * 2 >= fewer) return exact;
  auto loose = edit_of(missing, unexpected, true);
  if (!exact) return loose;
  return loose && loose->missing.size() > exact->missing.size() * 2 ? loose : exact;
}

namespace {

bool are_numbers(std::string_view levels) { return levels.find_first_not_of("0123456789.#") == std::string_view::npos; }

std::ptrdiff_t level_count(std::string_view levels) {
  return levels.empty() ? 0 : 1 + std::count(levels.begin(), levels.end(), '.');
}

}  // namespace

bool is_index_edit(const LevelEdit& edit) {
  return !edit.by_template && are_numbers(edit.from) && are_numbers(edit.to) && !is_regrouping(edit);
}

bool is_regrouping(const LevelEdit& edit) {
  const auto is_numbered = [](const std::vector<OpenName>& rows) {
    return !rows.empty() && template_of(rows.front().name).find(".#.") != std::string::npos;
  };
  if (!is_numbered(edit.missing) || !is_numbered(edit.unexpected)) return false;  // one layer against a sequence
  return are_numbers(edit.from) && are_numbers(edit.to) && level_count(edit.from) != level_count(edit.to);
}

bool has_wrapper_level(std::string_view levels) {
  while (!levels.empty()) {
    const std::string_view level = first_level(levels);
    if (is_wrapper_level(level)) return true;
    levels.remove_prefix(std::min(levels.size(), level.size() + 1));
  }
  return false;
}

bool is_wrapper_level(std::string_view levels) {
  constexpr std::string_view kLevels[] = {"module",
                                          "model",
                                          "net",
                                          "network",
                                          "_orig_mod",
                                          "backbone",
                                          "base_model",
                                          "_fsdp_wrapped_module",
                                          "_forward_module",
                                          "default",
                                          "encoder",
                                          "_model",
                                          "_checkpoint_wrapped_module",
                                          "self"};
  while (!levels.empty()) {
    const std::string_view level = first_level(levels);
    if (std::find(std::begin(kLevels), std::end(kLevels), level) == std::end(kLevels)) return false;
    levels.remove_prefix(std::min(levels.size(), level.size() + 1));
  }
  return true;
}

bool begins_network(std::string_view rest) {
  constexpr std::string_view kFirst[] = {"conv1.",
                                         "stem",
                                         "patch_embed",
                                         "embeddings.",
                                         "embed_tokens.",
                                         "wte.",
                                         "features.0.",
                                         "layers.0.",
                                         "blocks.0.",
                                         "layer1.",
                                         "0.",
                                         "conv_in.",
                                         "input_blocks.0.",
                                         "layer.0.",
                                         "cls_token",
                                         "conv0.",
                                         "block1.",
                                         "layer0.",
                                         "stages.0.",
                                         "conv1_1.",
                                         "encoder.layers.0.",
                                         "encoder.layer.0.",
                                         "model.0.",
                                         "backbone.",
                                         "h.0.",
                                         "embedding.",
                                         "bert.",
                                         "body.0.",
                                         "downsample_layers.0.",
                                         "conv_first.",
                                         "time_embed."};
  const bool is_embedding =
      first_level(rest).find("emb") != std::string_view::npos;  // what tokens or patches meet first
  return is_embedding || std::any_of(std::begin(kFirst), std::end(kFirst),
                                     [&](std::string_view first) { return rest.starts_with(first); });
}

namespace {

/// Where the level begins that counts the block which a tensor stands in: the last index that a layer and its leaf
/// follow.
std::optional<std::pair<std::size_t, std::int64_t>> block_of(std::string_view name) {
  const auto begins = level_begins(name);
  for (std::size_t i = begins.size(); i-- > 0;) {
    if (i + 2 >= begins.size()) continue;
    const std::string_view level = name.substr(begins[i], begins[i + 1] - begins[i] - 1);
    if (is_index(level)) return std::make_pair(begins[i], std::stoll(std::string(level)));
  }
  return std::nullopt;
}

}  // namespace

std::vector<OpenName> deeper_stages(const std::vector<OpenName>& rows) {
  std::map<std::string_view, std::set<std::int64_t>> stages;
  std::vector<OpenName> found;
  for (const OpenName& row : rows) {
    const auto block = block_of(row.name);
    if (!block) continue;
    stages[row.name.substr(0, block->first)].insert(block->second);
    found.push_back(row);
  }
  const bool has_first =
      std::any_of(stages.begin(), stages.end(), [](const auto& stage) { return *stage.second.begin() == 0; });
  const bool has_row =
      std::any_of(stages.begin(), stages.end(), [](const auto& stage) { return stage.second.size() > 1; });
  return stages.size() >= 2 && has_row && !has_first ? found : std::vector<OpenName>();
}

bool are_within_blocks(const std::vector<OpenName>& rows) {
  std::vector<std::string> templates;
  for (const OpenName& row : rows) templates.push_back(template_of(row.name));
  std::vector<OpenName> names;
  for (const std::string& name : templates) names.push_back({name, 0, nullptr});
  const std::string_view common = common_module(names);
  const auto index = common.find("#.");
  return index != std::string_view::npos && index + 2 < common.size();
}

bool are_of_one_word(const std::vector<OpenName>& rows) {
  const std::string_view word = rows.front().name.substr(0, rows.front().name.find('_') + 1);
  return !word.empty() && word.find('.') == std::string_view::npos &&
         std::all_of(rows.begin(), rows.end(), [&](const OpenName& row) { return row.name.starts_with(word); });
}

double likeness(std::string_view a, std::string_view b) {
  constexpr std::size_t kMost = 64;
  a = a.substr(0, kMost);
  b = b.substr(0, kMost);
  if (a.empty() || b.empty()) return 0;
  std::vector<std::size_t> row(b.size() + 1, 0);  // longest common subsequence
  for (const char x : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = x == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return static_cast<double>(row.back()) / static_cast<double>(std::max(a.size(), b.size()));
}

std::optional<std::string> shared_leaf(const std::vector<OpenName>& rows) {
  constexpr std::size_t kLeastModules = 3, kMostLeaves = 2;
  std::set<std::string> leaves;
  std::unordered_set<std::string_view> modules;
  for (const OpenName& row : rows) {
    const std::string_view leaf = leaf_of(row.name);
    const bool is_plain = leaf == "weight" || leaf == "bias";
    const std::string_view owner = leaf_of(module_of(row.name));
    const bool is_numbered = owner.find_first_not_of("0123456789") == std::string_view::npos;
    if (is_plain && is_numbered) return std::nullopt;
    leaves.insert(is_plain ? std::string(row.name.substr(row.name.size() - owner.size() - 1 - leaf.size()))
                           : template_of(leaf));
    modules.insert(module_of(row.name));
    if (leaves.size() > kMostLeaves) return std::nullopt;
  }
  if (modules.size() < kLeastModules) return std::nullopt;
  std::string text;
  for (const std::string& leaf : leaves) text += (text.empty() ? "" : ", ") + leaf;
  return text;
}

}  // namespace tenon::diagnosis
