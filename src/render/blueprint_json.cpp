// tenon.log/1, and a blueprint as the document that it is.
#include <tenon/render.hpp>

#include "render/json_value.hpp"

namespace tenon {

namespace {

using rendering::Json;
using rendering::json_text;
using rendering::json_texts;

Json members_json(const JsonMembers& members) {
  Json json = Json::object();
  for (const auto& [name, text] : members) {
    Json value = Json::parse(text, nullptr, false);
    json[name] = value.is_discarded() ? json_text(text) : value;
  }
  return json;
}

Json ancestor_json(const Ancestor& ancestor) {
  Json json;
  json["digest"] = json_text(ancestor.digest);
  json["file"] = rendering::json_text_or_null(ancestor.file);
  json["found"] = ancestor.is_found;
  json["changes"] = json_texts(ancestor.changes);
  return json;
}

}  // namespace

/// The members of to_json(), the schema before all others as in every answer.
std::string render_json(const Blueprint& blueprint) {
  Json json = rendering::document("blueprint");
  const Json members = Json::parse(to_json(blueprint));
  for (const auto& [name, value] : members.items()) json[name] = value;
  return rendering::line_of(json);
}

std::string render_json(const Log& log) {
  Json json = rendering::document("log");
  json["file"] = json_text(log.file);
  json["digest"] = rendering::json_text_or_null(log.digest);
  json["parents"] = Json::array();
  for (const Ancestor& ancestor : log.ancestors) json["parents"].push_back(ancestor_json(ancestor));
  const Blueprint none;
  const Blueprint& blueprint = log.blueprint ? *log.blueprint : none;
  json["changes"] = json_texts(blueprint.changes);
  json["environment"] = members_json(blueprint.environment);
  json["training"] = members_json(blueprint.training);
  json["metrics"] = Json::array();
  for (const std::string& line : log.metrics) json["metrics"].push_back(Json::parse(line));
  return rendering::line_of(json);
}

}  // namespace tenon
