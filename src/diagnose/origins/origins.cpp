#include "diagnose/origins/origins.hpp"

#include <algorithm>

#include "diagnose/names.hpp"

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

/// Where all but the head meet by name, a head of another name may be the same layer or another task's: a person knows.
void doubt_lone_head(const Case& facts, Origins& origins) {
  const auto is_renamed = [](const std::optional<Origin>& origin) {
    return origin && origin->match.how != match::How::Identical;
  };
  for (std::size_t i = 0; i < origins.of.size(); ++i)
    if (is_renamed(origins.of[i]) && !is_called_head(facts.want(i).name)) return;
  for (auto& origin : origins.of) {
    if (!is_renamed(origin)) continue;
    origin->match.apply = false;
    origin->match.confidence = std::min(origin->match.confidence, 0.8);
  }
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
  doubt_lone_head(facts, *origins);
  return origins;
}

}  // namespace tenon::diagnosis
