#include "match/values.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "match/hash.hpp"
#include "match/shapes.hpp"

namespace tenon::match {
namespace {

using Size = std::pair<std::int64_t, DType>;

// Bytes overrule names; but where that many would have to be read, names that are nearly certain are believed.
constexpr std::uint64_t kMostRenamedBytes = std::uint64_t{2} << 30U;

struct Print {
  std::uint64_t any_order = 0;
  std::size_t tensor = 0;
};

std::optional<Size> size_of(const Listing& listing, std::size_t index) {
  const TensorSpec& spec = listing.tensors[index];
  if (!spec.shape || !spec.dtype || squeezed(*spec.shape).empty()) return std::nullopt;
  if (dtype_bytes(*spec.dtype) == 0) return std::nullopt;  // elements that share bytes have no order to compare
  return Size{element_count(*spec.shape), *spec.dtype};
}

Tensor tensor_of(const Listing& listing, std::size_t index) {
  return listing.values->tensor(listing.value_names[index]);
}

/// The dense bytes; empty for a tensor without bytes or of elements smaller than a byte.
std::vector<std::byte> bytes_of(const Listing& listing, std::size_t index) {
  const Tensor tensor = tensor_of(listing, index);
  std::vector<std::byte> bytes(byte_size(tensor.shape, tensor.dtype));
  copy_dense(tensor, bytes);
  return bytes;
}

std::uint64_t element_hash(const std::byte* at, std::size_t width) {
  std::uint64_t hash = width;
  for (std::size_t done = 0; done < width; done += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + done, std::min<std::size_t>(8, width - done));
    hash = combined(hash, word);
  }
  return hash;
}

std::uint64_t any_order_hash(const std::vector<std::byte>& bytes, std::size_t width) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + width <= bytes.size(); at += width) sum += element_hash(bytes.data() + at, width);
  return sum;
}

/// Whether `b`, of shape `want`, is `a` with axis i taken from axis dims[i].
bool is_permuted(const std::vector<std::byte>& a, const Shape& have, const std::vector<std::byte>& b,
                 const std::vector<std::size_t>& dims, std::size_t width) {
  const Stride stride = dense_stride(have);
  std::vector<std::int64_t> at(dims.size(), 0);
  for (std::size_t done = 0; done < b.size(); done += width) {
    std::int64_t from = 0;
    for (std::size_t axis = 0; axis < dims.size(); ++axis) from += at[axis] * stride[dims[axis]];
    if (std::memcmp(a.data() + static_cast<std::size_t>(from) * width, b.data() + done, width) != 0) return false;
    for (std::size_t axis = dims.size(); axis-- > 0;) {
      if (++at[axis] < have[dims[axis]]) break;
      at[axis] = 0;
    }
  }
  return true;
}

std::optional<How> arrangement(const std::vector<std::byte>& a, const Shape& have, const std::vector<std::byte>& b,
                               const Shape& want, std::size_t width) {
  if (a == b) return have == want ? How::Rename : How::Reshape;
  if (have.size() != want.size() || have.size() > 5) return std::nullopt;
  std::vector<std::size_t> dims(have.size());
  std::iota(dims.begin(), dims.end(), std::size_t{0});
  while (std::next_permutation(dims.begin(), dims.end())) {
    const bool fits = std::equal(dims.begin(), dims.end(), want.begin(),
                                 [&](std::size_t dim, std::int64_t extent) { return have[dim] == extent; });
    if (fits && is_permuted(a, have, b, dims, width)) return have.size() == 2 ? How::Transpose : How::Permute;
  }
  return std::nullopt;
}

class Settler {
 public:
  Settler(const Listing& source, const Listing& target, std::vector<Match>& matches)
      : source_(source), target_(target), matches_(matches) {}

  void run() {
    std::set<std::size_t> used, filled;
    const bool may_overrule = renamed_bytes() <= kMostRenamedBytes;
    for (const Match& match : matches_) {
      if (!match.apply || (may_overrule && is_renamed(match))) continue;
      filled.insert(match.to);
      used.insert(match.from.begin(), match.from.end());
    }
    std::map<Size, std::pair<std::vector<std::size_t>, std::vector<std::size_t>>> sizes;
    for (std::size_t i = 0; i < source_.tensors.size(); ++i)
      if (const auto size = size_of(source_, i); size && !used.contains(i)) sizes[*size].first.push_back(i);
    for (std::size_t j = 0; j < target_.tensors.size(); ++j)
      if (const auto size = size_of(target_, j); size && !filled.contains(j)) sizes[*size].second.push_back(j);
    for (const auto& [size, sides] : sizes)
      if (!sides.first.empty() && !sides.second.empty()) settle(sides.first, sides.second);
  }

 private:
  /// Names led to it, one to one.
  static bool is_renamed(const Match& match) {
    return match.from.size() == 1 && match.parts == 1 && match.how != How::Identical;
  }

  std::uint64_t renamed_bytes() const {
    std::uint64_t bytes = 0;
    for (const Match& match : matches_)
      if (match.apply && is_renamed(match) && size_of(target_, match.to)) {
        const TensorSpec& spec = target_.tensors[match.to];
        bytes += 2 * byte_size(*spec.shape, *spec.dtype);
      }
    return bytes;
  }

  using Prints = std::map<std::uint64_t, std::vector<std::size_t>>;

  static std::size_t width_of(const Listing& listing, std::size_t index) {
    return byte_size({1}, *listing.tensors[index].dtype);
  }

  static Prints prints_of(const Listing& listing, const std::vector<std::size_t>& tensors) {
    Prints prints;
    for (const std::size_t index : tensors)
      prints[any_order_hash(bytes_of(listing, index), width_of(listing, index))].push_back(index);
    return prints;
  }

  void settle(const std::vector<std::size_t>& left, const std::vector<std::size_t>& right) {
    const Prints have = prints_of(source_, left), want = prints_of(target_, right);
    for (const auto& [print, targets] : want) {
      const auto found = have.find(print);
      if (targets.size() != 1 || found == have.end() || found->second.size() != 1) continue;
      link(found->second[0], targets[0]);
    }
  }

  /// Names and shapes found the two already, with their axes in another order. Values that count up, as generators make
  /// them, are equal in order whatever the shape.
  bool is_turned(std::size_t from, std::size_t to) const {
    return std::any_of(matches_.begin(), matches_.end(), [&](const Match& match) {
      return match.to == to && match.apply && is_renamed(match) && match.from[0] == from &&
             (match.how == How::Transpose || match.how == How::Permute);
    });
  }

  void link(std::size_t from, std::size_t to) {
    const auto how = arrangement(bytes_of(source_, from), *source_.tensors[from].shape, bytes_of(target_, to),
                                 *target_.tensors[to].shape, width_of(source_, from));
    if (!how || (*how == How::Reshape && is_turned(from, to))) return;
    std::erase_if(matches_,
                  [&](const Match& match) { return match.to == to || (is_renamed(match) && match.from[0] == from); });
    matches_.push_back({to, {from}, *how, 0, 1, 1, true, {}});
  }

  const Listing &source_, &target_;
  std::vector<Match>& matches_;
};

}  // namespace

void settle_by_values(const Listing& source, const Listing& target, std::vector<Match>& matches) {
  if (source.values && target.values) Settler(source, target, matches).run();
}

}  // namespace tenon::match
