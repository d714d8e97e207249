// resolution_changed: tables whose size follows from the size of the input: positional embeddings, relative positions,
// frames.
//
//   pos_embed [1, 257, 384] against [1, 197, 384]   257 = 16^2 + 1, 197 = 14^2 + 1
//   relative_position_bias_table [169, 4] against [529, 4]   169 = (2 * 7 - 1)^2, 529 = (2 * 12 - 1)^2
#include <algorithm>

#include "base/text.hpp"
#include "base/whole_root.hpp"
#include "diagnose/families.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

/// "16 x 16 + 1" of 257; "" when the number is no square with up to two tokens more.
std::string grid_text(std::int64_t count) {
  for (std::int64_t tokens = 0; tokens <= 2; ++tokens) {
    const std::int64_t side = base::whole_root(count - tokens).value_or(0);
    if (side > 1)
      return std::to_string(side) + " x " + std::to_string(side) + (tokens > 0 ? " + " + std::to_string(tokens) : "");
  }
  return {};
}

/// Nameless, but a [1, tokens, width] whose token counts are both grids.
bool is_token_grid(const OpenPair& row) {
  if (row.have->size() != 3 || (*row.have)[0] != 1 || only_axis(*row.have, *row.want) != std::size_t{1}) return false;
  return !grid_text((*row.have)[1]).empty() && !grid_text((*row.want)[1]).empty();
}

bool is_one(const OpenPair& row) { return is_position_table(row.name) || is_token_grid(row); }

std::string arithmetic(const OpenPair& row) {
  const auto axis = only_axis(*row.have, *row.want);
  if (!axis) return {};
  const std::string from = grid_text((*row.have)[*axis]), to = grid_text((*row.want)[*axis]);
  if (from.empty() || to.empty()) return {};
  return std::to_string((*row.have)[*axis]) + " = " + from + ", " + std::to_string((*row.want)[*axis]) + " = " + to;
}

/// The width differs and not the number of places: another model size, not another input size.
bool is_width(const OpenPair& row) {
  const auto axis = only_axis(*row.have, *row.want);
  return axis && *axis + 1 == row.have->size() && row.have->size() >= 2 &&
         row.name.find("table") == std::string_view::npos && row.name.find("index") == std::string_view::npos &&
         row.name.find("mask") == std::string_view::npos;
}

constexpr Reading kReadings[] = {
    {Symptom::InputSize, 0.8, "the input has another size than the model was made for",
     "a table of positions has one row for each place of the input",
     "build the model for that size, or resize the input"},
};

}  // namespace

std::optional<Finding> find_resolution_changed(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto found = rows_where(rows.mismatched, [](const OpenPair& row) { return is_one(row) && !is_width(row); });
  if (found.empty()) return read_sightings(facts, kReadings);
  const double share = share_of(found.size(), rows.mismatched.size());
  Finding finding =
      say(facts, {0.45 + 0.45 * share,
                  "tables that follow from the input's size differ: " + list_text(names_of_rows(found)),
                  "positional tables have one row for each patch, window offset or frame; another image size, window "
                  "or length changes their number",
                  {part_text(found.size(), rows.mismatched.size(), "mismatched key") + " are positional tables"},
                  {"build the model with the input size it was saved with; or interpolate the grid, class and "
                   "distillation tokens apart"}});
  if (const std::string text = arithmetic(found.front()); !text.empty()) {
    finding.cause.evidence.push_back(text);
    finding.cause.confidence = std::min(0.97, finding.cause.confidence + 0.06);
  }
  finding.cause.notes = {
      "indexes, masks and coordinate tables are derived: they are computed anew and need not be loaded"};
  tell_mismatched(found, finding);
  picture_of({}, {}, found, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
