// layout_changed: the same values with their axes in another order, or with axes of one element more or less.
//
//   Linear [out, in] against Conv1D [in, out]; 1x1 convolution [out, in, 1, 1] against Linear [out, in];
//   sparse convolutions [kd, kh, kw, in, out] against [out, kd, kh, kw, in]; TensorFlow [kh, kw, in, out] against
//   PyTorch [out, in, kh, kw].
#include <algorithm>
#include <map>

#include "base/text.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

Shape sorted(Shape shape) {
  std::sort(shape.begin(), shape.end());
  return shape;
}

bool has_same_axes(const OpenPair& row) { return row.have->size() >= 2 && sorted(*row.have) == sorted(*row.want); }
/// As many elements along other axes: a linear layer's columns are the window and channels of what it stands behind.
bool is_reshaped(const OpenPair& row) {
  return row.have->size() != row.want->size() && std::min(row.have->size(), row.want->size()) >= 2 &&
         row.have->front() == row.want->front() && element_count(*row.have) == element_count(*row.want);
}

bool is_squeezed(const OpenPair& row) {
  return !has_same_axes(row) && (equal_when_squeezed(*row.have, *row.want) || is_reshaped(row));
}

/// A pair beside permuted ones that has the same rank and the same two widths: the kernel differs, too.
bool is_other_kernel(const OpenPair& row) {
  if (row.have->size() != row.want->size() || row.have->size() < 4 || has_same_axes(row)) return false;
  return std::is_permutation(row.have->begin(), row.have->end(), row.want->begin()) ||
         (row.have->back() == row.want->front() && row.have->front() <= 7) ||
         (row.have->front() == row.want->back() && row.want->front() <= 7);
}

/// "2, 3, 0, 1": the one order that explains every pair, if there is one.
std::string joint_order(const std::vector<OpenPair>& rows) {
  std::vector<std::size_t> order;
  for (const OpenPair& row : rows) {
    const auto one = permutation(*row.have, *row.want);
    if (!one) return {};
    if (order.empty()) order = *one;
    if (one->size() != order.size()) return {};
  }
  const bool fits_all = std::all_of(rows.begin(), rows.end(), [&](const OpenPair& row) {
    for (std::size_t i = 0; i < order.size(); ++i)
      if ((*row.want)[i] != (*row.have)[order[i]]) return false;
    return true;
  });
  if (!fits_all) return {};
  std::string text;
  for (const std::size_t axis : order) text += (text.empty() ? "" : ", ") + std::to_string(axis);
  return text;
}

std::vector<OpenPair> all_pairs(const Case& facts) {
  std::vector<OpenPair> rows;
  for (const Pair& pair : facts.gap.mismatched)
    rows.push_back(
        {facts.want(pair.target).name, &*facts.have(pair.state).shape, &*facts.want(pair.target).shape, pair});
  return rows;
}

constexpr Reading kReadings[] = {
    {Symptom::AxesTurned, 0.62, "the reader turns a kernel's axes, and the tensor has others",
     "loaders convert the layout of other backends and ages; weights that reach another layer than they are of, or "
     "were "
     "converted before, have other axes",
     "load with the release and backend that saved it, layer by layer in the same order"},
    {Symptom::AxesOfOne, 0.75, "axes of one element were added or taken away",
     "releases and libraries keep vectors with and without axes of one element",
     "reshape the tensor: no value changes"},
    {Symptom::KernelTurned, 0.75, "the kernel's window stands at the other end of its axes",
     "Keras keeps kernels as height, width, in, out, and PyTorch as out, in, height, width",
     "permute the kernels, or take the file that was saved for this framework"},
};

}  // namespace

std::optional<Finding> find_layout_changed(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;  // with values at hand the order is proved, not guessed
  OpenRows rows = open_rows(facts);
  if (rows.mismatched.empty()) rows.mismatched = all_pairs(facts);  // an adapter's factors change their form, too
  auto found = rows_where(rows.mismatched, has_same_axes);
  const bool is_order = !found.empty();
  const auto squeezed = rows_where(rows.mismatched, is_squeezed);
  found.insert(found.end(), squeezed.begin(), squeezed.end());
  if (found.empty()) return read_sightings(facts, kReadings);
  const bool is_reshape = std::any_of(found.begin(), found.end(), is_reshaped) &&
                          std::none_of(found.begin(), found.end(),
                                       [](const OpenPair& row) { return equal_when_squeezed(*row.have, *row.want); });
  const std::string order = is_order ? joint_order(rows_where(found, has_same_axes)) : std::string();
  Finding finding = say(facts, {0.5 + 0.45 * share_of(found.size(), rows.mismatched.size()),
                                is_order     ? "the same extents stand in another order"
                                : is_reshape ? "as many elements stand along other axes"
                                             : "axes of one element were added or taken away",
                                is_order ? "libraries and releases keep kernels with their axes in different orders"
                                         : "a 1x1 convolution, a linear layer and a vector may hold the same values",
                                {part_text(found.size(), rows.mismatched.size(), "mismatched key") +
                                 (is_order     ? " have the same extents on both sides"
                                  : is_reshape ? " have as many elements on both sides"
                                               : " are equal once axes of one element are taken out")},
                                {is_order ? "permute the tensors, and the optimizer's moments with them"
                                          : "reshape the tensors: no value changes"}});
  if (!order.empty()) finding.cause.evidence.push_back("one order fits all pairs shown: axes " + order);
  if (is_order && order.empty())
    finding.cause.notes.push_back(
        "equal extents leave more than one order open: values or the libraries' documents decide");
  tell_mismatched(found, finding);
  if (is_order) tell_mismatched(rows_where(rows.mismatched, is_other_kernel), finding);
  picture_of({}, {}, found, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
