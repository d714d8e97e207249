// tenon.scan/1.
#include <tenon/render.hpp>

#include <utility>

#include "render/json_value.hpp"

namespace tenon {

namespace {

using rendering::Json;
using rendering::json_number;
using rendering::json_text;
using rendering::json_text_or_null;

Json finding_json(const ScanFinding& finding) {
  Json json;
  json["member"] = json_text_or_null(finding.member);
  json["offset"] = json_number(finding.offset);
  json["global"] = json_text_or_null(finding.global);
  json["class"] = std::string(scan_verdict_name(finding.verdict));
  json["why"] = json_text(finding.why);
  json["rule"] = json_text(finding.rule);
  json["opcode_index"] = json_number(finding.opcode);
  json["preview"] = json_text_or_null(finding.preview);
  json["reference"] = json_text_or_null(finding.reference);
  return json;
}

Json file_json(const ScannedFile& file) {
  Json json;
  json["file"] = json_text(file.file);
  json["verdict"] = std::string(scan_verdict_name(file.verdict));
  json["format"] = json_text_or_null(file.format);
  json["findings"] = Json::array();
  for (const ScanFinding& finding : file.findings) json["findings"].push_back(finding_json(finding));
  json["globals"] = Json::array();
  for (const ScannedGlobal& global : file.globals) json["globals"].push_back(json_text(global.name));
  json["global_classes"] = Json::array();  // beside "globals"
  for (const ScannedGlobal& global : file.globals)
    json["global_classes"].push_back(std::string(scan_verdict_name(global.verdict)));
  json["unexplained"] = Json::array();
  for (const UnexplainedBytes& bytes : file.unexplained) {
    Json row;
    row["member"] = json_text_or_null(bytes.member);
    row["offset"] = json_number(bytes.offset);
    row["bytes"] = json_number(bytes.bytes);
    json["unexplained"].push_back(std::move(row));
  }
  json["notes"] = rendering::json_texts(file.notes);
  return json;
}

}  // namespace

std::string render_json(const std::vector<ScannedFile>& files, const Error* error) {
  Json json = rendering::document("scan");
  json["files"] = Json::array();
  for (const ScannedFile& file : files) json["files"].push_back(file_json(file));
  if (error != nullptr) json["error"] = rendering::json_of(*error);
  return rendering::line_of(json);
}

}  // namespace tenon
