#include "match/identical.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace tenon::match {
namespace {

constexpr double kDoubtful = 0.5;

/// `a.b.layers` and `weight` of `a.b.layers.0.weight`: a numbered row of single modules.
struct Numbered {
  std::string_view row, leaf;
};
std::optional<Numbered> numbered(std::string_view name) {
  const auto leaf = name.rfind('.');
  if (leaf == std::string_view::npos || leaf == 0) return std::nullopt;
  const auto number = name.rfind('.', leaf - 1);
  if (number == std::string_view::npos || number == 0) return std::nullopt;
  const std::string_view digits = name.substr(number + 1, leaf - number - 1);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return Numbered{name.substr(0, number), name.substr(leaf)};
}

std::string_view above(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

/// Rows that may be shifted: `mlp.layers.0, 1, 2` became `mlp.proj_in, mlp.layers.0, mlp.proj_out`. There equal names
/// do not mean equal tensors, and nothing tells which is which: a row whose source has a module that the target lacks,
/// while beside the target's row a module of the same shape is without its name.
std::set<std::string_view> shifted_rows(const Listing& source, const Listing& target, const Named& named) {
  std::set<std::string_view> rows;
  std::map<std::pair<std::string_view, Shape>, std::set<std::string_view>> open;  // by what holds the row, and shape
  for (const std::size_t i : named.source_left)
    if (const auto part = numbered(source.tensors[i].name); part && !above(part->row).empty())
      open[{above(part->row), *source.tensors[i].shape}].insert(part->row);
  for (const std::size_t j : named.target_left) {
    const std::string_view name = target.tensors[j].name;
    const auto found = open.find({above(above(name)), *target.tensors[j].shape});
    if (found != open.end() && !numbered(name)) rows.insert(found->second.begin(), found->second.end());
  }
  return rows;
}

/// Takes shifted rows, and what stands beside them, out of what is matched.
void doubt_shifted_rows(const Listing& source, const Listing& target, Named& named) {
  const auto rows = shifted_rows(source, target, named);
  if (rows.empty()) return;
  std::set<std::string_view> holders;
  for (const std::string_view row : rows) holders.insert(above(row));
  const auto is_doubtful = [&](std::string_view name) {
    const auto part = numbered(name);
    return (part && rows.contains(part->row)) || holders.contains(above(above(name)));
  };
  bool any = false;
  for (Match& match : named.identical) {
    const auto part = numbered(target.tensors[match.to].name);
    if (!part || !rows.contains(part->row)) continue;
    match.apply = false;
    match.confidence = kDoubtful;
    any = true;
  }
  if (!any) return;
  std::erase_if(named.source_left, [&](std::size_t i) { return is_doubtful(source.tensors[i].name); });
  std::erase_if(named.target_left, [&](std::size_t j) { return is_doubtful(target.tensors[j].name); });
}

/// A number in a name that may count a row, whose name is what stands before it: `net.` of `net.12.weight`, `conv` of
/// `conv1.weight`.
struct Counted {
  std::string_view row, after;
};

template <class Take>
void for_each_number(std::string_view name, const Take& take) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t leaf = std::min(name.rfind('.'), name.size());
  for (std::size_t i = 0; i < leaf; ++i) {
    if (!is_digit(name[i])) continue;
    const std::size_t begin = i;
    while (i < leaf && is_digit(name[i])) ++i;
    take(Counted{name.substr(0, begin), name.substr(i)});
  }
}

/// Rows that were numbered anew: 0, 2, 4 became 0, 3, 6 when layers without parameters were put between, or 1 to 12
/// became 0 to 11. There equal numbers do not mean equal modules. Such a row has on both sides modules of one shape
/// whose numbers the other side lacks.
std::set<std::string_view> renumbered_rows(const Listing& source, const Listing& target, const Named& named) {
  std::set<std::tuple<std::string_view, std::string_view, Shape>> open;
  for (const std::size_t i : named.source_left)
    for_each_number(source.tensors[i].name, [&](const Counted& counted) {
      open.emplace(counted.row, counted.after, *source.tensors[i].shape);
    });
  std::set<std::string_view> rows;
  for (const std::size_t j : named.target_left)
    for_each_number(target.tensors[j].name, [&](const Counted& counted) {
      if (open.contains({counted.row, counted.after, *target.tensors[j].shape})) rows.insert(counted.row);
    });
  return rows;
}

/// Leaves the whole of a renumbered row to the matcher, which goes by order and shapes.
void reopen_renumbered_rows(const Listing& source, const Listing& target, Named& named) {
  const auto rows = renumbered_rows(source, target, named);
  if (rows.empty()) return;
  const auto is_in_row = [&](const Match& match) {
    bool is_in = false;
    for_each_number(target.tensors[match.to].name,
                    [&](const Counted& counted) { is_in = is_in || rows.contains(counted.row); });
    return is_in && source.tensors[match.from[0]].shape && target.tensors[match.to].shape;
  };
  const auto kept = std::stable_partition(named.identical.begin(), named.identical.end(),
                                          [&](const Match& match) { return !is_in_row(match); });
  named.reopened.assign(kept, named.identical.end());
  named.identical.erase(kept, named.identical.end());
  for (const Match& match : named.reopened) {
    named.source_left.push_back(match.from[0]);
    named.target_left.push_back(match.to);
  }
  std::sort(named.source_left.begin(), named.source_left.end());
  std::sort(named.target_left.begin(), named.target_left.end());
}

}  // namespace

Named identical_names(const Listing& source, const Listing& target) {
  std::unordered_map<std::string_view, std::size_t> by_name;
  by_name.reserve(source.tensors.size());
  for (std::size_t i = 0; i < source.tensors.size(); ++i) by_name.emplace(source.tensors[i].name, i);
  std::vector<bool> used(source.tensors.size(), false);
  Named named;
  for (std::size_t j = 0; j < target.tensors.size(); ++j) {
    const TensorSpec& want = target.tensors[j];
    const auto found = by_name.find(want.name);
    const bool fits = found != by_name.end() && (!want.shape || !source.tensors[found->second].shape ||
                                                 *want.shape == *source.tensors[found->second].shape);
    if (fits) {
      named.identical.push_back({j, {found->second}, How::Identical, 0, 1, 1, true, {}});
      used[found->second] = true;
    } else if (want.shape) {
      named.target_left.push_back(j);
    }
  }
  for (std::size_t i = 0; i < used.size(); ++i)
    if (!used[i] && source.tensors[i].shape) named.source_left.push_back(i);
  reopen_renumbered_rows(source, target, named);
  doubt_shifted_rows(source, target, named);
  return named;
}

void take_back(const std::vector<Match>& reopened, const Listing& source, const Listing& target,
               std::vector<Match>& matches) {
  if (reopened.empty()) return;
  std::vector<bool> used(source.tensors.size(), false), filled(target.tensors.size(), false);
  for (Match& match : matches) {
    filled[match.to] = true;
    for (const std::size_t from : match.from) used[from] = true;
    const bool is_same =
        match.how == How::Rename && source.tensors[match.from[0]].name == target.tensors[match.to].name;
    if (is_same) match.how = How::Identical;
  }
  for (Match match : reopened) {
    if (used[match.from[0]] || filled[match.to]) continue;
    match.apply = false;
    match.confidence = kDoubtful;
    matches.push_back(std::move(match));
  }
}

}  // namespace tenon::match
