// silent_wrong, where both sides are whole: names that are equal and may mean other tensors.
//
// A numbered row of modules that has one more in the file than in the model, which in turn has a module of that shape
// beside the row under a name of its own: `layers.0, 1, 2` became `proj_in, layers.0, proj_out`. A load by names takes
// them without a word. Only the matcher's own doubt counts: equal names and shapes are trusted everywhere else.
#include <vector>

#include "base/text.hpp"
#include "diagnose/origins/origin_rules.hpp"
#include "diagnose/origins/origins.hpp"
#include "diagnose/phrases.hpp"

namespace tenon::diagnosis {

std::optional<Finding> find_shifted_origins(const Case& facts) {
  std::vector<std::size_t> doubtful;
  for (std::size_t i = 0; i < facts.origins->of.size(); ++i) {
    const auto& origin = facts.origins->of[i];
    if (origin && origin->match.how == match::How::Identical && !origin->match.apply) doubtful.push_back(i);
  }
  if (doubtful.empty()) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = 0.7;
  cause.keys = doubtful.size();
  cause.summary = base::plural(doubtful.size(), "tensor") +
                  " may be another one of the same name: " + quoted(facts.want(doubtful.front()).name);
  cause.place = place_of(facts);
  cause.why =
      "the row of numbered modules has another length in the model, which has modules of their shape beside the row: "
      "where some of a row were given names of their own, the numbers of the others moved";
  cause.evidence = {base::plural(doubtful.size(), "tensor") + " of such rows, equal in name and shape"};
  for (const std::size_t index : doubtful) {
    if (cause.picture.size() == 3) break;
    cause.picture.push_back({facts.want(index).name, facts.want(index).name, shape_of(facts.want(index))});
  }
  cause.help = {"compare the two classes, and rename the row's modules by hand in the plan before it is applied"};
  return finding;
}

}  // namespace tenon::diagnosis
