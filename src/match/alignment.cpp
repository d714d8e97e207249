#include "match/alignment.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>

namespace tenon::match {
namespace {

constexpr std::size_t kMaxCells = 4'000'000;  // of the table of the dynamic programme
constexpr double kOtherKind = 0.9;            // likeness below which two blocks are of different kinds

/// Numbers count up by one step within each parent: nothing was taken out between. A step of two or more is that of a
/// sequence in which layers without tensors stand between (`0.conv`, `2.conv`, `4.conv`).
bool is_regular(const std::vector<Place>& places) {
  std::optional<std::int64_t> step;
  for (std::size_t i = 1; i < places.size(); ++i) {
    if (places[i].parent != places[i - 1].parent) continue;
    const std::int64_t next = places[i].number - places[i - 1].number;
    if (next < 1 || (step && *step != next)) return false;
    step = next;
  }
  return true;
}

bool same_numbers(const std::vector<Place>& a, const std::vector<Place>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Place& x, const Place& y) { return x.parent == y.parent && x.number == y.number; });
}

/// One after the other, of equal sizes, and not all of one kind: then the kinds themselves fix the order, whatever the
/// numbers.
bool zips_by_kinds(std::size_t count, const Likeness& likeness) {
  bool has_kinds = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (likeness(i, i) < 1) return false;
    has_kinds = has_kinds || likeness(0, i) < kOtherKind;
  }
  return has_kinds;
}

/// One after the other, where every pair is alike.
bool zips(std::size_t count, const Likeness& likeness) {
  for (std::size_t i = 0; i < count; ++i)
    if (likeness(i, i) < kLeastLikeness) return false;
  return true;
}

constexpr double kMostAlike = 0.75;

/// Nearly every pair is alike: where the numbers agree, the others are the same blocks with modules taken out or put
/// in.
bool nearly_zips(std::size_t count, const Likeness& likeness) {
  std::size_t alike = 0;
  for (std::size_t i = 0; i < count; ++i) alike += likeness(i, i) >= kLeastLikeness ? 1 : 0;
  return static_cast<double>(alike) >= kMostAlike * static_cast<double>(count) && count > 1;
}

Alignment zipped(std::size_t count, bool is_sure) {
  Alignment result;
  for (std::size_t i = 0; i < count; ++i) result.pairs.emplace_back(i, i);
  result.is_sure = is_sure;
  result.likes_a.resize(count);
  std::iota(result.likes_a.begin(), result.likes_a.end(), std::size_t{0});
  result.likes_b = result.likes_a;
  return result;
}

std::int64_t lowest(const std::vector<Place>& places) {
  return std::min_element(places.begin(), places.end(),
                          [](const Place& x, const Place& y) { return x.number < y.number; })
      ->number;
}

/// By the numbers themselves: for sequences of other lengths there is no better witness.
Alignment by_numbers(const std::vector<Place>& a, const std::vector<Place>& b, const Likeness& likeness) {
  std::map<std::pair<std::size_t, std::int64_t>, std::size_t> places;
  for (std::size_t i = 0; i < b.size(); ++i) places[{b[i].parent, b[i].number}] = i;
  Alignment result;
  bool all_alike = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto found = places.find({a[i].parent, a[i].number});
    if (found == places.end()) continue;
    if (likeness(i, found->second) >= kLeastLikeness)
      result.pairs.emplace_back(i, found->second);
    else
      all_alike = false;
  }
  result.is_sure = all_alike && lowest(a) == lowest(b);
  return result;
}

/// The alignment that explains most, by dynamic programming.
Alignment by_likeness(std::size_t a, std::size_t b, const Likeness& likeness) {
  Alignment result;
  if (a * b > kMaxCells) return result;
  const std::size_t width = b + 1;
  std::vector<double> best((a + 1) * width, 0);
  for (std::size_t i = a; i-- > 0;)
    for (std::size_t j = b; j-- > 0;) {
      const double alike = likeness(i, j);
      const double taken = alike >= kLeastLikeness ? alike + best[(i + 1) * width + j + 1] : 0;
      best[i * width + j] = std::max({taken, best[(i + 1) * width + j], best[i * width + j + 1]});
    }
  for (std::size_t i = 0, j = 0; i < a && j < b;) {
    const double alike = likeness(i, j);
    const double here = best[i * width + j];
    if (alike >= kLeastLikeness && here <= alike + best[(i + 1) * width + j + 1]) {
      result.pairs.emplace_back(i++, j++);
    } else if (here <= best[(i + 1) * width + j]) {
      ++i;
    } else {
      ++j;
    }
  }
  return result;
}

/// Positions in `a` that are like something in `b`.
std::vector<std::size_t> with_likes(std::size_t a, std::size_t b, const Likeness& likeness) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < a; ++i)
    for (std::size_t j = 0; j < b; ++j)
      if (likeness(i, j) >= kLeastLikeness) {
        result.push_back(i);
        break;
      }
  return result;
}

std::vector<Place> chosen(const std::vector<Place>& places, const std::vector<std::size_t>& which) {
  std::vector<Place> result;
  for (const std::size_t i : which) {
    const bool opens = result.empty() || places[which[result.size() - 1]].parent != places[i].parent;
    const std::size_t parent = result.empty() ? 0 : result.back().parent + (opens ? 1 : 0);
    result.push_back({parent, places[i].number});
  }
  return result;
}

std::size_t parents(const std::vector<Place>& places) { return places.empty() ? 0 : places.back().parent + 1; }

Alignment align_like(const std::vector<Place>& a, const std::vector<Place>& b, const Likeness& likeness,
                     bool are_regular) {
  if (a.empty() || b.empty()) return {};
  const bool equal_numbers = same_numbers(a, b);
  if (a.size() == b.size() && zips(a.size(), likeness)) {
    if (equal_numbers || are_regular) return zipped(a.size(), true);
    if (parents(a) != parents(b) || zips_by_kinds(a.size(), likeness)) return zipped(a.size(), true);
  }
  if (parents(a) == parents(b)) {
    Alignment numbered = by_numbers(a, b, likeness);
    if (numbered.is_sure && !numbered.pairs.empty()) return numbered;
  }
  Alignment best = by_likeness(a.size(), b.size(), likeness);
  return best;
}

bool begin_alike(const std::vector<std::size_t>& left, const std::vector<std::size_t>& right) {
  return !left.empty() && !right.empty() && left.front() == right.front();
}

}  // namespace

Alignment align(const std::vector<Place>& a, const std::vector<Place>& b, const Likeness& likeness) {
  if (a.size() == b.size() && same_numbers(a, b) && nearly_zips(a.size(), likeness)) return zipped(a.size(), true);
  const bool are_regular = is_regular(a) && is_regular(b);
  if (a.size() * b.size() > kMaxCells) return align_like(a, b, likeness, are_regular);
  const auto left = with_likes(a.size(), b.size(), likeness);
  const auto right = with_likes(b.size(), a.size(), [&](std::size_t j, std::size_t i) { return likeness(i, j); });
  const auto a_left = chosen(a, left), b_right = chosen(b, right);
  // Numbers may be missing for good reason: what bears them is like nothing on the other side. Where both sides have
  // such blocks, they may be each other's, changed.
  const bool has_whole_side = left.size() == a.size() || right.size() == b.size();
  Alignment result = align_like(
      a_left, b_right, [&](std::size_t i, std::size_t j) { return likeness(left[i], right[j]); },
      are_regular && (has_whole_side || begin_alike(left, right)));
  for (auto& [i, j] : result.pairs) {
    i = left[i];
    j = right[j];
  }
  result.likes_a = left;
  result.likes_b = right;
  return result;
}

}  // namespace tenon::match
