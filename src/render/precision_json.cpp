#include "render/precision_json.hpp"

namespace tenon::rendering {
namespace {

Json row_of(const DTypeChange& change) {
  Json json;
  json["key"] = json_text(change.key);
  json["checkpoint"] = std::string(dtype_name(change.checkpoint));
  json["model"] = std::string(dtype_name(change.model));
  const auto& loss = change.loss;
  json["max_abs_error"] = loss ? json_number(loss->max_abs_error) : Json(nullptr);
  json["max_rel_error"] = loss ? json_number(loss->max_rel_error) : Json(nullptr);
  json["values"] = loss ? json_number(loss->elements) : Json(nullptr);
  json["changed"] = loss ? json_number(loss->changed) : Json(nullptr);
  json["overflow"] = loss ? json_number(loss->overflow) : Json(nullptr);
  json["underflow"] = loss ? json_number(loss->underflow) : Json(nullptr);
  json["nan"] = loss ? json_number(loss->nan) : Json(nullptr);
  return json;
}

Json row_of(const LayoutChange& change) {
  Json json;
  json["key"] = json_text(change.key);
  json["from"] = std::string(layout_name(change.shape, change.from));
  json["to"] = std::string(layout_name(change.shape, change.to));
  json["from_stride"] = change.from;
  json["to_stride"] = change.to;
  json["harmless"] = true;
  return json;
}

template <class Change>
Json rows_of(const std::vector<Change>& changes) {
  Json rows = Json::array();
  for (const Change& change : changes) rows.push_back(row_of(change));
  return rows;
}

}  // namespace

Json json_of(const std::vector<DTypeChange>& changes) { return rows_of(changes); }
Json json_of(const std::vector<LayoutChange>& changes) { return rows_of(changes); }

}  // namespace tenon::rendering
