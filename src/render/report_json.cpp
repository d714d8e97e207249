// tenon.check/1 and tenon.explain/1.
#include <cmath>

#include <tenon/render.hpp>

#include "render/drop_verdicts.hpp"
#include "render/json_value.hpp"
#include "render/precision_json.hpp"

namespace tenon {

namespace {

/// More digits would be those of an order of summation, which is the compiler's.
double four_digits(double confidence) { return std::round(confidence * 1e4) / 1e4; }

using rendering::Json;
using rendering::json_number;
using rendering::json_text;
using rendering::json_texts;

std::string_view proved_name(Proved proved) {
  switch (proved) {
    case Proved::Nothing: return "nothing";
    case Proved::Shapes: return "shapes";
    case Proved::Architecture: return "architecture";
    case Proved::Function: return "function";
  }
  throw Bug("unknown Proved");
}

template <class Rows, class Row>
Json rows_json(const Rows& rows, const Row& row_json) {
  Json array = Json::array();
  for (const auto& row : rows) array.push_back(row_json(row));
  return array;
}

Json mismatch_json(const Mismatch& mismatch) {
  Json json;
  json["key"] = json_text(mismatch.key);
  json["checkpoint"] = rendering::json_shape(mismatch.checkpoint);
  json["model"] = rendering::json_shape(mismatch.model);
  return json;
}

Json cause_json(const Cause& cause) {
  Json json;
  json["id"] = cause.id;
  json["confidence"] = json_number(four_digits(cause.confidence));
  json["summary"] = json_text(cause.summary);
  json["evidence"] = json_texts(cause.evidence);
  json["keys"] = json_number(cause.keys);
  json["ops"] = cause.ops;
  return json;
}

Json architecture_json(const ArchitectureChange& change) {
  Json json;
  json["module"] = json_text(change.module);
  json["kind"] = std::string(kind_name(change.kind));
  json["what"] = json_text(change.what);
  json["from"] = change.from.empty() ? Json(nullptr) : json_text(change.from);
  json["to"] = change.to.empty() ? Json(nullptr) : json_text(change.to);
  return json;
}

Json environment_json(const EnvironmentChange& change) {
  Json json;
  json["what"] = json_text(change.what);
  json["from"] = json_text(change.from);
  json["to"] = json_text(change.to);
  json["consequence"] = json_text(change.consequence);
  return json;
}

Json probe_json(const std::optional<ProbeComparison>& probe) {
  if (!probe) return nullptr;
  Json json;
  json["verdict"] = std::string(verdict_name(probe->verdict));
  json["max_abs"] = json_number(probe->max_abs);
  json["first_deviating_module"] =
      probe->first_deviating_module.empty() ? Json(nullptr) : json_text(probe->first_deviating_module);
  json["detail"] = json_text(probe->detail);
  return json;
}

Json mapped_json(const Mapped& mapped) {
  Json json;
  json["to"] = json_text(mapped.to);
  json["from"] = json_texts(mapped.from);
  json["how"] = mapped.how;
  json["confidence"] = json_number(four_digits(mapped.confidence));
  json["apply"] = mapped.apply;
  return json;
}

Json module_json(const ModuleCoverage& module) {
  Json json;
  json["module"] = json_text(module.module);
  json["parameters"] = json_number(module.parameters);
  return json;
}

Json coverage_json(const std::optional<Coverage>& coverage) {
  if (!coverage) return nullptr;
  Json json;
  json["tensors"] = json_number(coverage->tensors);
  json["parameters"] = json_number(coverage->parameters);
  json["by_module"] = rows_json(coverage->by_module, module_json);
  return json;
}

Json neighbour_json(const Neighbour& neighbour) {
  Json json;
  json["file"] = json_text(neighbour.file);
  json["tensors"] = json_number(four_digits(neighbour.tensors));
  json["parameters"] = json_number(four_digits(neighbour.parameters));
  return json;
}

Json balance_json(const Balance& balance) {
  Json json;
  json["missing"] = json_number(balance.missing);
  json["unexpected"] = json_number(balance.unexpected);
  json["mismatched"] = json_number(balance.mismatched);
  return json;
}

Json plan_json(const Report& report) {
  Json json = rendering::plan_json(report.plan, report.drops);
  json["resolves"] = balance_json(report.resolves);
  json["leaves"] = balance_json(report.leaves);
  return json;
}

}  // namespace

std::string render_json(const Report& report, std::string_view command, const Error* error) {
  Json json = rendering::document(command);
  const Difference& difference = report.difference;
  json["fits"] = report.fits ? Json(*report.fits) : Json(nullptr);
  json["proved"] = std::string(proved_name(report.proved));
  json["matched"] = json_number(difference.matched);
  json["missing"] = json_texts(difference.missing);
  json["unexpected"] = json_texts(difference.unexpected);
  json["mismatched"] = rows_json(difference.mismatched, mismatch_json);
  json["dtype_changes"] = rendering::json_of(difference.dtype_changes);
  json["layout_changes"] = rendering::json_of(difference.layout_changes);
  json["architecture"] = rows_json(report.architecture, architecture_json);
  json["environment"] = rows_json(report.environment, environment_json);
  json["probe"] = probe_json(report.probe);
  json["causes"] = rows_json(report.causes, cause_json);
  if (command == "check") json["mapping"] = rows_json(report.mapping, mapped_json);
  json["coverage"] = coverage_json(report.coverage);
  json["plan"] = plan_json(report);
  json["neighbours"] = rows_json(report.neighbours, neighbour_json);
  json["advice"] = json_texts(report.advice);
  json["notes"] = json_texts(report.notes);
  if (error != nullptr) json["error"] = rendering::json_of(*error);
  return rendering::line_of(json);
}

}  // namespace tenon
