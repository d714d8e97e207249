#include "diagnose/open_rows.hpp"

#include <set>
#include <unordered_set>
#include <utility>

#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kPictureRows = 3;

const Shape* shape_in(const TensorSpec& spec) { return spec.shape ? &*spec.shape : nullptr; }

bool is_told(const std::vector<bool>& told, std::size_t index) { return index < told.size() && told[index]; }

/// What a side's blueprint says is kept beside its state dict: a blueprint's word is better than a guess from names.
std::unordered_set<std::string_view> kept_beside(const Listing& side) {
  std::unordered_set<std::string_view> names;
  if (side.blueprint)
    for (const Unsaved& row : side.blueprint->unsaved) names.insert(row.name);
  return names;
}

}  // namespace

OpenRows open_rows(const Case& facts) {
  OpenRows rows;
  const auto beside_model = kept_beside(facts.target), beside_saved = kept_beside(facts.checkpoint);
  const auto source = [&](std::size_t index) { return facts.state.tensors()[index].source; };
  for (const std::size_t index : facts.gap.missing)
    if (!is_told(facts.told.want, index) && beside_saved.count(facts.want(index).name) == 0)
      rows.missing.push_back({facts.want(index).name, index, shape_in(facts.want(index))});
  for (const std::size_t index : facts.gap.unexpected)
    if (!is_told(facts.told.have, source(index)) && beside_model.count(facts.have(index).name) == 0)
      rows.unexpected.push_back({facts.have(index).name, index, shape_in(facts.have(index))});
  for (const Pair& pair : facts.gap.mismatched)
    if (!is_told(facts.told.want, pair.target))
      rows.mismatched.push_back(
          {facts.want(pair.target).name, shape_in(facts.have(pair.state)), shape_in(facts.want(pair.target)), pair});
  return rows;
}

std::vector<OpenPair> mismatched_rows(const Case& facts) {
  std::vector<OpenPair> rows;
  for (const Pair& pair : facts.gap.mismatched)
    rows.push_back(
        {facts.want(pair.target).name, shape_in(facts.have(pair.state)), shape_in(facts.want(pair.target)), pair});
  return rows;
}

std::optional<Ends> changed_ends(const std::vector<OpenPair>& rows) {
  using Extents = std::pair<std::int64_t, std::int64_t>;
  std::set<Extents> of_rows, of_columns;
  const auto extents = [](const OpenPair& row, std::size_t axis) {
    return Extents((*row.have)[axis], (*row.want)[axis]);
  };
  for (const OpenPair& row : rows) {
    const auto axis = only_axis(*row.have, *row.want);
    const bool is_table = axis == std::size_t{0} && row.have->size() == 2 && is_called_embedding(module_of(row.name));
    if (!axis || *axis > 1 || is_table) return std::nullopt;  // a table's rows are symbols, and no layer's
    if (row.have->size() > 1) (*axis == 0 ? of_rows : of_columns).insert(extents(row, *axis));
  }
  Ends ends;
  for (const OpenPair& row : rows) {
    const Extents its = extents(row, *only_axis(*row.have, *row.want));
    const bool goes_out = of_rows.count(its) > 0, comes_in = of_columns.count(its) > 0;
    if (goes_out == comes_in) return std::nullopt;
    (goes_out ? ends.outputs : ends.inputs).push_back(row);
  }
  if (of_rows.empty() || of_columns.empty()) return std::nullopt;
  return ends;
}

void tell_missing(const std::vector<OpenName>& rows, Finding& finding) {
  for (const OpenName& row : rows) finding.told_want.push_back(row.index);
  finding.cause.keys += rows.size();
}

void tell_unexpected(const std::vector<OpenName>& rows, Finding& finding) {
  for (const OpenName& row : rows) finding.told_have.push_back(row.index);
  finding.cause.keys += rows.size();
}

void tell_mismatched(const std::vector<OpenPair>& rows, Finding& finding) {
  for (const OpenPair& row : rows) finding.told_want.push_back(row.pair.target);
  finding.cause.keys += rows.size();
}

void picture_of(const std::vector<OpenName>& missing, const std::vector<OpenName>& unexpected,
                const std::vector<OpenPair>& mismatched, Cause& cause) {
  const auto add = [&](PictureRow row) {
    if (cause.picture.size() < kPictureRows) cause.picture.push_back(std::move(row));
  };
  const auto cell = [](std::string_view name, const Shape* shape) {
    return std::string(name) + (shape == nullptr ? "" : "  " + base::shape_text(*shape));
  };
  for (const OpenPair& row : mismatched) add({cell(row.name, row.have), cell(row.name, row.want), ""});
  for (const OpenName& row : unexpected) add({cell(row.name, row.shape), "", "only here"});
  for (const OpenName& row : missing) add({"", cell(row.name, row.shape), "only here"});
}

}  // namespace tenon::diagnosis
