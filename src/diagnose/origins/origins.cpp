#include "diagnose/origins/origins.hpp"

#include <algorithm>

namespace tenon::diagnosis {
namespace {

Listing listing_of(const plan::State& state) {
  Listing listing;
  listing.tensors.reserve(state.tensors().size());
  for (const Planned& tensor : state.tensors()) listing.tensors.push_back(tensor.spec);
  return listing;
}

}  // namespace

std::shared_ptr<const Origins> origins_of(const Case& facts) {
  const bool can_help = !(facts.gap.missing.empty() && facts.gap.mismatched.empty());
  if (facts.knowledge != Knowledge::Whole || !can_help || facts.state.tensors().empty()) return nullptr;
  const Listing left = listing_of(facts.state);
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
