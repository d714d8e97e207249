// SARIF 2.1.0 (OASIS): one run, one rule for each kind of finding, one result for each finding.
#include <tenon/render.hpp>

#include <set>
#include <string>
#include <utility>

#include <tenon/version.hpp>

#include "base/utf8.hpp"
#include "render/json_value.hpp"

namespace tenon {

namespace {

using rendering::Json;
using rendering::json_text;

std::string level_of(ScanVerdict verdict) {
  switch (verdict) {
    case ScanVerdict::Safe: return "none";
    case ScanVerdict::UnknownCode: return "warning";
    case ScanVerdict::Malformed:
    case ScanVerdict::Dangerous: return "error";
  }
  return "error";
}

/// A path as a URI reference: what is not unreserved is percent-encoded, byte by byte.
std::string uri_of(std::string_view path) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string uri;
  for (const char c : path) {
    if (kPlain.find(c) != std::string_view::npos) {
      uri += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    uri += '%';
    uri += kDigits[byte / 16];
    uri += kDigits[byte % 16];
  }
  return uri;
}

std::string message_of(const ScanFinding& finding) {
  std::string text = finding.global.empty() ? "" : finding.global + ": ";
  return base::escape_for_terminal(text + finding.why);
}

Json location_of(const ScannedFile& file, const ScanFinding& finding) {
  Json physical;
  physical["artifactLocation"]["uri"] = uri_of(file.file);
  // A region counts in the file; an offset within a member goes to the properties.
  if (finding.member.empty() && finding.offset)
    physical["region"] = {{"byteOffset", *finding.offset}, {"byteLength", 1}};
  Json location;
  location["physicalLocation"] = std::move(physical);
  if (!finding.member.empty()) {
    Json logical;
    logical["fullyQualifiedName"] = json_text(finding.member);
    logical["kind"] = "member";
    location["logicalLocations"] = Json::array({std::move(logical)});
  }
  return location;
}

Json result_of(const ScannedFile& file, const ScanFinding& finding) {
  Json result;
  result["ruleId"] = json_text(finding.rule);
  result["level"] = level_of(finding.verdict);
  result["message"]["text"] = message_of(finding);
  result["locations"] = Json::array({location_of(file, finding)});
  Json properties;
  properties["verdict"] = std::string(scan_verdict_name(finding.verdict));
  if (finding.offset) properties["offset"] = rendering::json_number(*finding.offset);
  if (finding.opcode) properties["opcodeIndex"] = rendering::json_number(*finding.opcode);
  if (!finding.preview.empty()) properties["preview"] = json_text(finding.preview);
  result["properties"] = std::move(properties);
  return result;
}

}  // namespace

std::string render_sarif(const std::vector<ScannedFile>& files) {
  std::set<std::string> rules;
  Json results = Json::array();
  for (const ScannedFile& file : files)
    for (const ScanFinding& finding : file.findings) {
      rules.insert(finding.rule);
      results.push_back(result_of(file, finding));
    }
  Json driver;
  driver["name"] = "tenon";
  driver["version"] = std::string(version());
  driver["rules"] = Json::array();
  for (const std::string& rule : rules) {
    Json row;
    row["id"] = rule;
    row["shortDescription"]["text"] = "tenon scan: " + rule;
    driver["rules"].push_back(std::move(row));
  }
  Json run;
  run["tool"]["driver"] = std::move(driver);
  run["results"] = std::move(results);
  Json json;
  json["$schema"] = "https://json.schemastore.org/sarif-2.1.0.json";
  json["version"] = "2.1.0";
  json["runs"] = Json::array({std::move(run)});
  return rendering::line_of(json);
}

}  // namespace tenon
