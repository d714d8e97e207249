// tenon.inspect/1. A file may hold 100,000 tensors, so rows are written one by one and not kept as a tree.
#include <tenon/render.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "base/meter.hpp"
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

// Tensor rows are appended as text: as trees of Json, 100,000 of them took more time than opening the file.

void append(std::string& out, const Json& value) { out += value.dump(); }

void append_text(std::string& out, std::string_view text) {
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; };
  if (!std::all_of(text.begin(), text.end(), is_plain)) return append(out, json_text(text));
  out.append(1, '"').append(text).append(1, '"');
}

template <class Integer>
void append_number(std::string& out, Integer number) {
  if (!std::in_range<std::uint32_t>(number)) return append(out, json_number(number));  // large ones need quotes
  std::array<char, 16> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

void append_shape(std::string& out, const Shape& shape) {
  out += '[';
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) out += ',';
    append_number(out, shape[axis]);
  }
  out += ']';
}

/// One name for each storage: its key in the file, or its number. Where only some have a key of their own, as beside
/// arrays that a pickle holds itself, the others get one that no key can be taken for.
std::vector<std::string> storage_names(const Checkpoint& checkpoint) {
  const auto& storages = checkpoint.storages();
  const bool has_keys = std::any_of(storages.begin(), storages.end(), [](const auto& s) { return !s.id.empty(); });
  std::unordered_set<std::string_view> keys;
  std::vector<std::size_t> without;
  std::vector<std::string> names(storages.size());
  for (std::size_t i = 0; i < storages.size(); ++i) {
    if (!has_keys)
      names[i] = std::to_string(i);
    else if (!storages[i].id.empty() && keys.insert(storages[i].id).second)
      names[i] = storages[i].id;
    else
      without.push_back(i);
  }
  for (const std::size_t i : without) {
    names[i] = "#" + std::to_string(i);
    while (keys.contains(names[i])) names[i].insert(0, 1, '#');
  }
  return names;
}

void append_place(std::string& out, const Checkpoint& checkpoint, const std::vector<std::string>& storage_names,
                  const TensorInfo& info) {
  if (info.storage == kNoStorage) {
    out += R"(,"device":null,"storage":null,"offset":null)";
    return;
  }
  const StorageInfo& storage = checkpoint.storages()[info.storage];
  out += R"(,"device":)";
  if (storage.device.empty())
    out += "null";
  else
    append_text(out, storage.device);
  out += R"(,"storage":)";
  append_text(out, storage_names[info.storage]);
  out += R"(,"offset":)";
  append_number(out, info.offset_bytes);
}

void append_tensor(std::string& out, const Checkpoint& checkpoint, const std::vector<std::string>& storage_names,
                   std::size_t index, const InspectOptions& options) {
  const TensorInfo& info = checkpoint.tensors()[index];
  out += R"({"name":)";
  append_text(out, info.name);
  out += R"(,"dtype":)";
  append_text(out, dtype_name(info.dtype));
  out += R"(,"shape":)";
  append_shape(out, info.shape);
  out += R"(,"stride":)";
  append_shape(out, info.stride);
  out += R"(,"nbytes":)";
  append_number(out, rendering::tensor_bytes(checkpoint, info));
  append_place(out, checkpoint, storage_names, info);
  if (options.digest) append(out += R"(,"digest":)", digest_of(checkpoint, index));
  if (options.stats) append(out += R"(,"stats":)", statistics_of(checkpoint, index));
  out += '}';
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

template <class Rows, class AppendRow>
void append_rows(std::string& out, const char* member, const Rows& rows, const AppendRow& append_row) {
  out += std::string(",\"") + member + "\":[";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) out += ',';
    append_row(i);
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
  out.pop_back();                                               // the brace is closed below
  out.reserve(out.size() + checkpoint.tensors().size() * 256);  // pages that no row reaches cost nothing
  const std::vector<std::string> storages = storage_names(checkpoint);
  base::Meter meter(options.progress, rendering::bytes_of(checkpoint, checkpoint.tensors().size()));
  append_rows(out, "tensors", checkpoint.tensors(), [&](std::size_t i) {
    append_tensor(out, checkpoint, storages, i, options);
    meter.add(rendering::tensor_bytes(checkpoint, checkpoint.tensors()[i]));
  });
  append_rows(out, "objects", checkpoint.objects(),
              [&](std::size_t i) { append(out, object_json(checkpoint.objects()[i])); });
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
