// tenon.inspect/1. A file may hold 100,000 tensors, so rows are written one by one and not kept as a tree.
#include <tenon/render.hpp>

#include <tenon/error.hpp>

#include "base/utf8.hpp"
#include "model/json_document.hpp"
#include "render/json_value.hpp"
#include "render/overview.hpp"
#include "verify/statistics.hpp"

namespace tenon {

namespace {

using rendering::Json;
using rendering::json_number;
using rendering::json_text;

/// Null for what has no bytes, or has none that can be expanded.
Json digest_of(const Checkpoint& checkpoint, std::size_t index) {
  try {
    return sha256(checkpoint.tensor(index));
  } catch (const Error& error) {
    if (error.code == Code::Unsupported || error.code == Code::Limit) return nullptr;
    throw;
  }
}

Json statistics_of(const Checkpoint& checkpoint, std::size_t index) {
  const TensorInfo& info = checkpoint.tensors()[index];
  if (info.storage == kNoStorage || info.dtype == DType::Unknown) return nullptr;
  const auto statistics = verification::statistics(checkpoint.tensor(index));
  if (!statistics) return nullptr;
  Json json;
  json["min"] = json_number(statistics->min);
  json["max"] = json_number(statistics->max);
  json["mean"] = json_number(statistics->mean);
  json["std"] = json_number(statistics->deviation);
  json["zeros"] = json_number(statistics->zeros);
  json["nan"] = json_number(statistics->nan);
  json["inf"] = json_number(statistics->infinite);
  return json;
}

Json storage_of(const Checkpoint& checkpoint, const TensorInfo& info) {
  if (info.storage == kNoStorage) return nullptr;
  const std::string& id = checkpoint.storages()[info.storage].id;
  return json_text(id.empty() ? std::to_string(info.storage) : id);
}

Json device_of(const Checkpoint& checkpoint, const TensorInfo& info) {
  if (info.storage == kNoStorage) return nullptr;
  return rendering::json_text_or_null(checkpoint.storages()[info.storage].device);
}

Json tensor_json(const Checkpoint& checkpoint, std::size_t index, const InspectOptions& options) {
  const TensorInfo& info = checkpoint.tensors()[index];
  const bool has_bytes = info.storage != kNoStorage;
  Json json;
  json["name"] = json_text(info.name);
  json["dtype"] = std::string(dtype_name(info.dtype));
  json["shape"] = rendering::json_shape(info.shape);
  json["stride"] = rendering::json_shape(info.stride);
  json["nbytes"] = json_number(rendering::tensor_bytes(checkpoint, info));
  json["device"] = device_of(checkpoint, info);
  json["storage"] = storage_of(checkpoint, info);
  json["offset"] = has_bytes ? json_number(info.offset_bytes) : Json(nullptr);
  if (options.digest) json["digest"] = digest_of(checkpoint, index);
  if (options.stats) json["stats"] = statistics_of(checkpoint, index);
  return json;
}

Json object_json(const Object& object) {
  Json json;
  json["name"] = json_text(object.name);
  json["type"] = json_text(type_name(object.value));
  json["value"] = rendering::json_of(object.value);
  return json;
}

Json state_dicts_json(const Checkpoint& checkpoint) {
  Json array = Json::array();
  for (const rendering::StateDict& dict : rendering::state_dicts(checkpoint)) {
    Json json;
    json["path"] = json_text(dict.path);
    json["tensors"] = json_number(dict.tensors);
    array.push_back(std::move(json));
  }
  return array;
}

Json totals_json(const Checkpoint& checkpoint) {
  const rendering::Totals totals = rendering::totals(checkpoint);
  Json json;
  json["tensors"] = json_number(totals.tensors);
  json["parameters"] = json_number(totals.parameters);
  json["bytes"] = json_number(totals.bytes);
  json["file_bytes"] = json_number(checkpoint.file_bytes());
  return json;
}

/// The blueprint's document, or its text where it is none.
Json blueprint_json(const Checkpoint& checkpoint) {
  const std::string& text = checkpoint.blueprint_json();
  if (text.empty()) return nullptr;
  try {
    static_cast<void>(model::parse_document(text, checkpoint.file()));  // depth and doubles are checked
    return Json::parse(text);                                           // in the order of the file
  } catch (const Error&) {
    return json_text(text);
  }
}

template <class Rows, class Row>
void append_rows(std::string& out, const char* member, const Rows& rows, const Row& row_json) {
  out += std::string(",\"") + member + "\":[";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) out += ',';
    out += row_json(i).dump();
  }
  out += ']';
}

void append_member(std::string& out, const char* member, const Json& value) {
  out += std::string(",\"") + member + "\":" + value.dump();
}

}  // namespace

std::string render_json(const Checkpoint& checkpoint, const InspectOptions& options) {
  Json head = rendering::document("inspect");
  head["file"] = json_text(checkpoint.file());
  head["format"] = std::string(format_name(checkpoint.format()));
  head["format_version"] = rendering::json_text_or_null(checkpoint.format_version());
  head["producer"] = checkpoint.producer() ? json_text(*checkpoint.producer()) : Json(nullptr);
  head["state_dicts"] = state_dicts_json(checkpoint);
  std::string out = head.dump();
  out.pop_back();  // the brace is closed below
  append_rows(out, "tensors", checkpoint.tensors(), [&](std::size_t i) { return tensor_json(checkpoint, i, options); });
  append_rows(out, "objects", checkpoint.objects(),
              [&](std::size_t i) { return object_json(checkpoint.objects()[i]); });
  rendering::Members metadata;
  for (const auto& [key, value] : checkpoint.metadata())
    metadata.emplace_back(base::to_valid_utf8(key), json_text(value));
  append_member(out, "metadata", rendering::json_object(std::move(metadata)));
  append_member(out, "totals", totals_json(checkpoint));
  append_member(out, "blueprint", blueprint_json(checkpoint));
  Json warnings = Json::array();
  for (const std::string& warning : checkpoint.warnings()) warnings.push_back(json_text(warning));
  append_member(out, "warnings", warnings);
  return out + "}\n";
}

}  // namespace tenon
