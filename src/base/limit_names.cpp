#include <tenon/limit_names.hpp>

#include <iterator>
#include <string>
#include <utility>

#include <tenon/error.hpp>

#include "base/text.hpp"

namespace tenon {

namespace {

constexpr std::pair<std::string_view, std::uint64_t Limits::*> kLimits[] = {
    {"pickle_bytes", &Limits::pickle_bytes},
    {"pickle_opcodes", &Limits::pickle_opcodes},
    {"pickle_nodes", &Limits::pickle_nodes},
    {"nesting_depth", &Limits::nesting_depth},
    {"walked_paths", &Limits::walked_paths},
    {"object_values", &Limits::object_values},
    {"integer_bytes", &Limits::integer_bytes},
    {"tensor_rank", &Limits::tensor_rank},
    {"zip_entries", &Limits::zip_entries},
    {"zip_name_bytes", &Limits::zip_name_bytes},
    {"inflate_ratio", &Limits::inflate_ratio},
    {"inflated_record_bytes", &Limits::inflated_record_bytes},
    {"gunzipped_bytes", &Limits::gunzipped_bytes},
    {"safetensors_header_bytes", &Limits::safetensors_header_bytes},
    {"shards", &Limits::shards},
    {"pieces_compared", &Limits::pieces_compared},
    {"wrapper_depth", &Limits::wrapper_depth},
    {"gguf_metadata", &Limits::gguf_metadata},
    {"gguf_tensors", &Limits::gguf_tensors},
    {"gguf_array_depth", &Limits::gguf_array_depth},
    {"tar_members", &Limits::tar_members},
    {"tabled_tensors", &Limits::tabled_tensors},
    {"npy_header_bytes", &Limits::npy_header_bytes},
    {"npy_name_bytes", &Limits::npy_name_bytes},
    {"protobuf_depth", &Limits::protobuf_depth},
    {"json_depth", &Limits::json_depth},
    {"json_file_bytes", &Limits::json_file_bytes},
    {"scan_depth", &Limits::scan_depth},
    {"scan_unpacked_bytes", &Limits::scan_unpacked_bytes},
    {"scan_inflate_ratio", &Limits::scan_inflate_ratio},
    {"scan_bomb_bytes", &Limits::scan_bomb_bytes},
    {"scan_findings", &Limits::scan_findings},
    {"scan_attempts", &Limits::scan_attempts},
    {"expanded_view_bytes", &Limits::expanded_view_bytes},
};
static_assert(sizeof(Limits) == sizeof(std::uint64_t) * std::size(kLimits), "every limit has a name");

}  // namespace

std::vector<std::string_view> limit_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, member] : kLimits) names.push_back(name);
  return names;
}

void set_limit(Limits& limits, std::string_view name, std::uint64_t value) {
  for (const auto& [known, member] : kLimits)
    if (known == name) {
      limits.*member = value;
      return;
    }
  throw Error(Code::Invalid, {}, "there is no limit of that name",
              base::join(base::nearest(name, limit_names(), 3), ", "), std::string(name),
              "give one of the names in include/tenon/limits.hpp");
}

}  // namespace tenon
