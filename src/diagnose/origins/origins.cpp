#include "diagnose/origins/origins.hpp"

#include <algorithm>

namespace tenon::diagnosis {
namespace {

/// The state as a listing; with values, where no operation so far touches them.
Listing listing_of(const Case& facts) {
  const auto& tensors = facts.state.tensors();
  const bool is_untouched =
      std::all_of(tensors.begin(), tensors.end(), [](const Planned& tensor) { return tensor.recipe == nullptr; });
  Listing listing;
  if (is_untouched) listing.values = facts.checkpoint.values;
  listing.tensors.reserve(tensors.size());
  for (const Planned& tensor : tensors) {
    listing.tensors.push_back(tensor.spec);
    if (listing.values) listing.value_names.push_back(facts.checkpoint.value_names[tensor.source]);
  }
  return listing;
}

}  // namespace

std::shared_ptr<const Origins> origins_of(const Case& facts) {
  const bool can_help = !(facts.gap.missing.empty() && facts.gap.mismatched.empty());
  if (facts.knowledge != Knowledge::Whole || !can_help || facts.state.tensors().empty()) return nullptr;
  const Listing left = listing_of(facts);
  auto origins = std::make_shared<Origins>();
  origins->of.resize(facts.target.tensors.size());
  for (match::Match& match : match::match(left, facts.target).matches) {
    Origin origin;
    for (const std::size_t index : match.from) {
      const auto made_of = sources(facts.state.tensors()[index]);
      origin.sources.insert(origin.sources.end(), made_of.begin(), made_of.end());
      origin.specs.push_back(facts.have(index));
    }
    const std::size_t to = match.to;
    origin.match = std::move(match);
    origins->of[to] = std::move(origin);
  }
  return origins;
}

}  // namespace tenon::diagnosis
