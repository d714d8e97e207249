// An output layer that a file does not hold because it was the embedding: formats without sharing, and savers that
// store each tensor once, leave one of the two names out.
#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/repairs/repairs.hpp"
#include "diagnose/saying.hpp"

namespace tenon::diagnosis {
namespace {

bool is_output_layer(const TensorSpec& want) {
  return leaf_of(want.name) == "weight" && want.shape && want.shape->size() == 2 && is_tied_name(want.name) &&
         !is_called_embedding(module_of(want.name));
}

/// The one embedding of this shape; nothing where there are two, or where a tensor of the file is left that may be the
/// output layer itself.
std::optional<std::size_t> embedding_of(const Case& facts, const Shape& shape) {
  for (const std::size_t index : facts.gap.unexpected)
    if (facts.have(index).shape == shape) return std::nullopt;
  std::optional<std::size_t> found;
  for (const Pair& pair : facts.gap.matched) {
    const TensorSpec& have = facts.have(pair.state);
    if (have.shape != shape || !is_called_embedding(module_of(have.name))) continue;
    if (found) return std::nullopt;
    found = pair.state;
  }
  return found;
}

}  // namespace

std::optional<Finding> find_lost_tie(const Case& facts) {
  if (facts.knowledge != Knowledge::Whole) return std::nullopt;
  for (const std::size_t index : facts.gap.missing) {
    const TensorSpec& want = facts.want(index);
    const auto embedding = is_output_layer(want) ? embedding_of(facts, *want.shape) : std::nullopt;
    if (!embedding) continue;
    const std::string& from = facts.have(*embedding).name;
    const bool is_told = want.tied_to == std::optional(from);
    Finding finding = say(
        facts,
        {is_told ? 0.97 : 0.8,
         "the output layer " + quoted(want.name) + " is missing, and the embedding " + quoted(from) + " has its shape",
         "the two were one tensor, and the file holds it once",
         {"1 embedding of the shape " + base::shape_text(*want.shape) + ", no other tensor left for it"},
         {}});
    finding.ops = {{Tie{from, want.name}, is_told ? Applicability::Exact : Applicability::Guess}};
    finding.cause.keys = 1;
    return finding;
  }
  return std::nullopt;
}

}  // namespace tenon::diagnosis
