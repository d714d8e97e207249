#include "tensor/words.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"

namespace tenon::tensor {
namespace {

using base::count_text;

/// The name alone where it tells the sides apart; else strides as well.
std::string side_text(const LayoutChange& change, const Stride& stride, std::string_view side) {
  const auto name = layout_name(change.shape, stride);
  const bool tells = layout_name(change.shape, change.from) != layout_name(change.shape, change.to);
  return fmt::format("{}{} in {}", name, tells ? "" : " " + base::shape_text(stride), side);
}

}  // namespace

std::string loss_text(const CastLoss& loss) {
  return fmt::format(
             "{} of {} values change, largest relative error {:.1e}, largest absolute error {:.1e}, {} overflow, {} "
             "underflow",
             count_text(loss.changed), count_text(loss.elements), loss.max_rel_error, loss.max_abs_error,
             count_text(loss.overflow), count_text(loss.underflow)) +
         (loss.nan > 0 ? fmt::format(", {} NaN lost", count_text(loss.nan)) : "");
}

void add(CastLoss& total, const CastLoss& loss) {
  total.elements += loss.elements;
  total.changed += loss.changed;
  total.overflow += loss.overflow;
  total.underflow += loss.underflow;
  total.nan += loss.nan;
  total.max_abs_error = std::max(total.max_abs_error, loss.max_abs_error);
  total.max_rel_error = std::max(total.max_rel_error, loss.max_rel_error);
}

bool is_lossless(const CastLoss& loss) {
  return loss.changed == 0 && loss.overflow == 0 && loss.underflow == 0 && loss.nan == 0;
}

std::string layout_text(const std::vector<LayoutChange>& changes, std::string_view from, std::string_view to) {
  if (changes.empty()) return {};
  const LayoutChange& first = changes.front();
  const std::string others = changes.size() > 1 ? fmt::format(" and {} more", count_text(changes.size() - 1)) : "";
  return fmt::format("another memory layout: `{}`{} ({}, {}); harmless: values and their places by index are the same",
                     first.key, others, side_text(first, first.from, from), side_text(first, first.to, to));
}

}  // namespace tenon::tensor
