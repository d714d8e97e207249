// input_channels_changed: the first layer takes another number of channels or features.
//
//   conv1.weight [64, 3, 7, 7] against [64, 1, 7, 7]     conv_in.weight [320, 4, 3, 3] against [320, 9, 3, 3]
//   a policy and its critic: every entry differs by the same number of features
#include <algorithm>
#include <cstdlib>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/shape_relation.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::InputSpace, 0.75, "the environment gives other observations than the saved policy takes",
     "a policy's first layer is as wide as the observations of its environment",
     "build the environment as it was: same release, same wrappers"},
    {Symptom::InputWidth, 0.6, "a convolution gets another number of channels than its weight has",
     "the first layer was built or saved for other input",
     "build the model for the checkpoint's input, or change the input"},
};

/// Columns of a linear layer behind convolutions: what they leave of the input, flattened. Its size decides, not its
/// channels. Both shapes have one rank.
bool is_flattened(const OpenPair& row) {
  constexpr std::int64_t kMostFeatures = 128;
  return row.have->size() == 2 && is_called_head(module_of(row.name)) &&
         std::min((*row.have)[1], (*row.want)[1]) > kMostFeatures;
}

/// Convolutions of a head take what the network before them makes: its width, not the channels of an input.
bool is_of_head(const OpenPair& row) {
  return row.have->size() >= 3 &&
         (is_called_head(module_of(row.name)) || leaf_of(module_of(row.name)).find("final") != std::string_view::npos ||
          leaf_of(module_of(row.name)).find("last") != std::string_view::npos);
}

/// A learned query for each row: its width is the model's.
bool is_of_queries(const OpenPair& row) {
  return row.have->size() == 2 && leaf_of(module_of(row.name)).find("quer") != std::string_view::npos &&
         (*row.have)[0] == (*row.want)[0];
}

bool is_entry_axis(const OpenPair& row) {
  return only_axis(*row.have, *row.want) == std::size_t{1} && !is_flattened(row) && !is_of_queries(row) &&
         !is_of_head(row) && !is_called_embedding(module_of(row.name));
}

std::int64_t difference(const OpenPair& row) { return (*row.want)[1] - (*row.have)[1]; }

/// One place in each entry of the network: few rows, all different by few channels, or by one and the same number.
bool are_entries(const std::vector<OpenPair>& rows) {
  constexpr std::int64_t kFewChannels = 32;
  constexpr std::size_t kMostEntries = 8;
  if (rows.empty() || rows.size() > kMostEntries) return false;
  const bool are_few = std::all_of(rows.begin(), rows.end(), [](const OpenPair& row) {
    return std::max((*row.have)[1], (*row.want)[1]) <= kFewChannels;
  });
  const bool are_alike = std::all_of(rows.begin(), rows.end(),
                                     [&](const OpenPair& row) { return difference(row) == difference(rows.front()); });
  return are_alike || (are_few && rows.size() < 4);
}

/// Widths of another network's features, not channels of an input: 768, 1024, 1280, 2048.
bool are_features(const std::vector<OpenPair>& rows) {
  return std::all_of(rows.begin(), rows.end(), [](const OpenPair& row) {
    const std::int64_t a = (*row.have)[1], b = (*row.want)[1];
    const std::int64_t least = row.have->size() == 2 ? 512 : 64;
    return std::min(a, b) >= least && a % 64 == 0 && b % 64 == 0;
  });
}

/// Grouped convolutions within blocks: an integer factor, the same everywhere, and as wide as the output on one side.
bool are_groups(const std::vector<OpenPair>& rows) {
  return rows.size() > 1 && std::all_of(rows.begin(), rows.end(), [](const OpenPair& row) {
           const std::int64_t a = (*row.have)[1], b = (*row.want)[1];
           return a > 0 && b > 0 && (a % b == 0 || b % a == 0) && row.have->size() >= 3 &&
                  std::max(a, b) == row.have->front();
         });
}

/// One linear layer with many columns, and no name of a first layer: what it takes is as likely made within.
bool is_lone_matrix(const std::vector<OpenPair>& rows) {
  constexpr std::int64_t kMany = 128, kFlattened = 1'024;
  const OpenPair& row = rows.front();
  const auto [fewer, more] = std::minmax({(*row.have)[1], (*row.want)[1]});
  return rows.size() == 1 && row.have->size() == 2 && (fewer > kMany || more > kFlattened) && !begins_network(row.name);
}

/// Inputs and outputs of another environment, and the network between them as it was.
std::optional<Finding> at_the_entry(const Case& facts, const OpenRows& rows) {
  const auto ends = facts.knowledge == Knowledge::Partial ? changed_ends(rows.mismatched) : std::nullopt;
  if (!ends || !std::any_of(ends->inputs.begin(), ends->inputs.end(), is_entry_axis)) return std::nullopt;
  Finding finding = say(
      facts, {0.85,
              "the input has other features: " + list_text(names_of_rows(ends->inputs)),
              "another environment, sensor or feature set: the network within is as wide as it was",
              {part_text(ends->inputs.size(), rows.mismatched.size(), "mismatched key") +
               " differ by what comes in, the others by what goes out; no width within differs"},
              {"build the model for the checkpoint's input and outputs, or train the first and the last layer anew"}});
  tell_mismatched(ends->inputs, finding);
  picture_of({}, {}, ends->inputs, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_input_channels_changed(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (auto finding = at_the_entry(facts, rows)) return finding;
  const auto found = rows_where(rows.mismatched, is_entry_axis);
  if (!are_entries(found) || are_groups(found)) return read_sightings(facts, kReadings);
  const double share = share_of(found.size(), rows.mismatched.size()) * (are_features(found)     ? 0.2
                                                                         : is_lone_matrix(found) ? 0.1
                                                                                                 : 1);
  const std::string from = std::to_string((*found.front().have)[1]), to = std::to_string((*found.front().want)[1]);
  Finding finding = say(
      facts, {0.45 + 0.45 * share,
              "the first layer takes " + from + " channels in the checkpoint, " + to +
                  " in the model: " + list_text(names_of_rows(found)),
              "the input is another: colour or grey images, more features, concatenated conditions",
              {part_text(found.size(), rows.mismatched.size(), "mismatched key") + " differ in the input's axis only" +
               (found.size() > 1 ? ", by " + std::to_string(difference(found.front())) : "")},
              {"build the model for the checkpoint's input; or carry the weights over by hand (mean over colours, "
               "zeros for new channels)"}});
  tell_mismatched(found, finding);
  if (are_features(found)) finding.told_want.clear();  // another model's features are as likely
  picture_of({}, {}, found, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
