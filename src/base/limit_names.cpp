#include <tenon/limit_names.hpp>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include <tenon/error.hpp>

#include "base/limit_error.hpp"
#include "base/text.hpp"

namespace tenon {

namespace {

struct Row {
  std::string_view name;
  std::uint64_t Limits::*member;
  std::string_view unit;  ///< what it counts, in the singular; "" where the sentence around it says so
};

constexpr Row kLimits[] = {
    {"pickle_bytes", &Limits::pickle_bytes, "byte"},
    {"pickle_opcodes", &Limits::pickle_opcodes, "opcode"},
    {"pickle_nodes", &Limits::pickle_nodes, "value"},
    {"nesting_depth", &Limits::nesting_depth, "level"},
    {"walked_paths", &Limits::walked_paths, "path"},
    {"object_values", &Limits::object_values, "value"},
    {"integer_bytes", &Limits::integer_bytes, "byte"},
    {"tensor_rank", &Limits::tensor_rank, "dimension"},
    {"zip_entries", &Limits::zip_entries, ""},
    {"zip_name_bytes", &Limits::zip_name_bytes, "byte"},
    {"inflate_ratio", &Limits::inflate_ratio, ""},
    {"inflated_record_bytes", &Limits::inflated_record_bytes, "byte"},
    {"gunzipped_bytes", &Limits::gunzipped_bytes, "byte"},
    {"safetensors_header_bytes", &Limits::safetensors_header_bytes, "byte"},
    {"shards", &Limits::shards, "file"},
    {"pieces_compared", &Limits::pieces_compared, "pair"},
    {"wrapper_depth", &Limits::wrapper_depth, "level"},
    {"gguf_metadata", &Limits::gguf_metadata, "pair"},
    {"gguf_tensors", &Limits::gguf_tensors, "tensor"},
    {"gguf_array_depth", &Limits::gguf_array_depth, "level"},
    {"tar_members", &Limits::tar_members, "member"},
    {"tabled_tensors", &Limits::tabled_tensors, "tensor"},
    {"npy_header_bytes", &Limits::npy_header_bytes, "byte"},
    {"npy_depth", &Limits::npy_depth, "level"},
    {"npy_name_bytes", &Limits::npy_name_bytes, "byte"},
    {"protobuf_depth", &Limits::protobuf_depth, "level"},
    {"json_depth", &Limits::json_depth, "level"},
    {"json_file_bytes", &Limits::json_file_bytes, "byte"},
    {"scan_depth", &Limits::scan_depth, "level"},
    {"scan_unpacked_bytes", &Limits::scan_unpacked_bytes, "byte"},
    {"scan_inflate_ratio", &Limits::scan_inflate_ratio, ""},
    {"scan_bomb_bytes", &Limits::scan_bomb_bytes, "byte"},
    {"scan_overlap_bytes", &Limits::scan_overlap_bytes, "byte"},
    {"scan_config_attempts", &Limits::scan_config_attempts, ""},
    {"scan_findings", &Limits::scan_findings, ""},
    {"scan_attempts", &Limits::scan_attempts, ""},
    {"scan_stray_opcodes", &Limits::scan_stray_opcodes, "opcode"},
    {"script_source_bytes", &Limits::script_source_bytes, "byte"},
    {"config_members", &Limits::config_members, "member"},
    {"expanded_view_bytes", &Limits::expanded_view_bytes, "byte"},
};
static_assert(sizeof(Limits) == sizeof(std::uint64_t) * std::size(kLimits), "every limit has a name");

const Row& row_of(std::uint64_t Limits::*member) {
  const auto* found =
      std::find_if(std::begin(kLimits), std::end(kLimits), [&](const Row& row) { return row.member == member; });
  TENON_ASSERT(found != std::end(kLimits));
  return *found;
}

std::string amount(std::uint64_t number, std::string_view unit) {
  if (unit == "byte") return number < 10'000 ? base::plural(number, unit) : base::bytes_text(number);
  return unit.empty() ? base::count_text(number) : base::plural(number, unit);
}

}  // namespace

std::string_view limit_name(std::uint64_t Limits::*limit) { return row_of(limit).name; }

Error base::limit_error(Where place, std::string what, NamedLimit limit, std::string found, std::string next) {
  const Row& row = row_of(limit.member);
  const std::string name(row.name);
  Error error(
      Code::Limit, std::move(place), std::move(what),
      "at most " + amount(limit.most, row.unit) + " (limit " + name + "; --limit " + name + "=NUMBER raises it)",
      std::move(found), std::move(next));
  error.limit = name;
  return error;
}

std::vector<std::string_view> limit_names() {
  std::vector<std::string_view> names;
  for (const Row& row : kLimits) names.push_back(row.name);
  return names;
}

void set_limit(Limits& limits, std::string_view name, std::uint64_t value) {
  for (const Row& row : kLimits)
    if (row.name == name) {
      limits.*row.member = value;
      return;
    }
  throw Error(Code::Invalid, {}, "there is no limit of that name",
              base::join(base::nearest(name, limit_names(), 3), ", "), std::string(name),
              "give one of the names in include/tenon/limits.hpp");
}

}  // namespace tenon
