// tenon.verify/1, tenon.diff/1, tenon.adapt/1, tenon.convert/1.
#include <tenon/render.hpp>

#include "render/drop_verdicts.hpp"
#include "render/json_value.hpp"
#include "render/precision_json.hpp"

namespace tenon {

namespace {

using rendering::Json;
using rendering::json_number;
using rendering::json_text;
using rendering::json_texts;

Json verified_json(const VerifiedFile& file) {
  Json problems = Json::array();
  for (const Problem& problem : file.problems) {
    Json row;
    row["where"] = json_text(problem.where);
    row["what"] = json_text(problem.what);
    problems.push_back(std::move(row));
  }
  Json json;
  json["file"] = json_text(file.file);
  json["ok"] = file.ok;
  json["checked_bytes"] = json_number(file.checked_bytes);
  json["problems"] = std::move(problems);
  json["notes"] = json_texts(file.notes);
  return json;
}

Json change_json(const TensorChange& change) {
  Json json;
  json["key"] = json_text(change.key);
  json["shape_a"] = rendering::json_shape(change.shape_a);
  json["shape_b"] = rendering::json_shape(change.shape_b);
  json["dtype_a"] = std::string(dtype_name(change.dtype_a));
  json["dtype_b"] = std::string(dtype_name(change.dtype_b));
  json["max_abs"] = json_number(change.max_abs);
  json["rel_l2"] = json_number(change.rel_l2);
  json["cosine"] = json_number(change.cosine);
  json["changed_elements"] = json_number(change.changed_elements);
  return json;
}

}  // namespace

std::string render_json(const std::vector<VerifiedFile>& files, const Error* error) {
  Json json = rendering::document("verify");
  json["files"] = Json::array();
  for (const VerifiedFile& file : files) json["files"].push_back(verified_json(file));
  if (error != nullptr) json["error"] = rendering::json_of(*error);
  return rendering::line_of(json);
}

std::string render_json(const DiffReport& diff) {
  Json json = rendering::document("diff");
  json["same"] = diff.same;
  json["only_a"] = json_texts(diff.only_a);
  json["only_b"] = json_texts(diff.only_b);
  json["changed"] = Json::array();
  for (const TensorChange& change : diff.changed) json["changed"].push_back(change_json(change));
  json["identical"] = json_number(diff.identical);
  json["layout_changes"] = rendering::json_of(diff.layout_changes);
  for (const RenamedTensor& renamed : diff.renamed) {
    Json row;
    row["a"] = json_text(renamed.a);
    row["b"] = json_text(renamed.b);
    json["renamed"].push_back(std::move(row));
  }
  return rendering::line_of(json);
}

std::string render_json(const AdaptOutcome& outcome, const Error* error) {
  Json json = rendering::document("adapt");
  json["out"] = rendering::json_text_or_null(outcome.out);
  json["fits"] = outcome.fits ? Json(*outcome.fits) : Json(nullptr);
  json["plan"] = rendering::plan_json(outcome.plan, outcome.drops);
  json["filled_from_target"] = json_texts(outcome.filled_from_target);
  json["dropped"] = json_texts(outcome.dropped);
  json["unfilled"] = json_texts(outcome.unfilled);
  json["dtype_changes"] = rendering::json_of(outcome.dtype_changes);
  json["dtype_changes_left"] = rendering::json_of(outcome.left.dtype_changes);
  json["notes"] = json_texts(outcome.notes);
  if (error != nullptr) json["error"] = rendering::json_of(*error);
  return rendering::line_of(json);
}

std::string render_json(const ConvertOutcome& outcome) {
  Json json = rendering::document("convert");
  json["file"] = json_text(outcome.file);
  json["out"] = json_text(outcome.out);
  json["from"] = std::string(format_name(outcome.from));
  json["to"] = std::string(format_name(outcome.to));
  json["tensors"] = json_number(outcome.tensors);
  json["file_bytes"] = json_number(outcome.file_bytes);
  json["dtype_changes"] = rendering::json_of(outcome.dtype_changes);
  json["layout_changes"] = rendering::json_of(outcome.layout_changes);
  json["notes"] = json_texts(outcome.notes);
  return rendering::line_of(json);
}

}  // namespace tenon
