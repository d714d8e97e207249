#include "diagnose/text/nameless_shapes.hpp"

#include <algorithm>
#include <string>

#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

/// Tables of tokens have thousands of rows, and a vocabulary that grew or shrank by a few keeps most of them.
bool is_table_of_tokens(const Shape& a, const Shape& b) {
  constexpr std::int64_t kLeastRows = 2'000, kMostWidth = 1'024;
  if (only_axis(a, b) != std::size_t{0}) return false;
  const auto [fewer, more] = std::minmax({a[0], b[0]});
  if (fewer < kLeastRows || more * 2 >= fewer * 3) return false;
  return a.size() == 1 ? !is_width(a[0]) || !is_width(b[0]) : a.size() == 2 && a[1] <= kMostWidth;
}

/// The axis of the outputs alone differs; of vectors, the number of classes rather than a layer's width.
bool are_outputs(const Shape& a, const Shape& b, bool is_last_only) {
  const auto axis = only_axis(a, b);
  if (!axis) return false;
  if (a.size() == 1) return !is_width(a[0]) || !is_width(b[0]);
  return (*axis == 0 && !is_last_only) || *axis + 1 == a.size();
}

bool is_turned(const Shape& a, const Shape& b) {
  return a.size() >= 3 && std::is_permutation(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

Shape with_outputs_first(const Shape& shape) {
  constexpr std::int64_t kLargestWindow = 11;
  if (shape.size() != 4 || shape[0] != shape[1] || shape[0] > kLargestWindow ||
      (shape[2] == shape[3] && shape[2] <= kLargestWindow))
    return shape;
  return {shape[3], shape[2], shape[0], shape[1]};
}

bool is_width(std::int64_t extent) { return extent % 8 == 0; }

void note_nameless_shapes(std::string_view line, const Shape& a, const Shape& b, TextFacts& facts) {
  const bool is_last_only = line.find("lhs shape") != std::string_view::npos;  // TensorFlow: outputs stand last
  const Shape x = is_last_only ? a : with_outputs_first(a), y = is_last_only ? b : with_outputs_first(b);
  const auto axis = only_axis(x, y);
  Symptom symptom = Symptom::KernelShape;
  std::string detail;
  if (is_turned(a, b)) {
    symptom = Symptom::KernelTurned;
  } else if (equal_when_squeezed(a, b)) {
    symptom = Symptom::AxesOfOne;
  } else if (is_table_of_tokens(x, y)) {
    symptom = Symptom::VocabularySize;
  } else if (are_outputs(x, y, is_last_only)) {
    symptom = Symptom::KernelOutputs;
    detail = std::to_string(x[*axis]) + " and " + std::to_string(y[*axis]);
  }
  if (facts.find(Symptom::KernelOutputs) == nullptr) facts.note(symptom, detail, line);
}

void note_unfilled_shape(std::string_view line, const Shape& shape, TextFacts& facts) {
  const bool is_scale = shape.size() == 4 && shape[2] == 1 && shape[3] == 1 && !is_width(shape[0]);
  if (is_scale) facts.note(Symptom::KernelOutputs, std::to_string(shape[0]), line);
}

}  // namespace tenon::diagnosis
