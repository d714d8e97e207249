// A GGUF model in several files: `name-00001-of-00003.gguf`, each a whole file of its own.
//
//   split.no             u16, the part's number from 0 on
//   split.count          u16, how many parts there are
//   split.tensors.count  i32, the tensors of all parts together
//
// The first part has the model's metadata. Source: llama.cpp, tools/gguf-split and llama_split_path().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "formats/core.hpp"

namespace tenon::formats {

/// What the name of a part says: `model`, number 1 of 3.
struct GgufPartName {
  std::string prefix;
  std::uint64_t number = 0;  ///< from 1 on
  std::uint64_t count = 0;

  std::string of(std::uint64_t other) const;  ///< the name of another part
};
std::optional<GgufPartName> parse_gguf_part(std::string_view file_name);

/// The model that `first` begins, where it is the first of several parts and its name tells those of the others, which
/// `read` opens; else `first` with a warning where it is a part. Parts are single names in the first one's folder,
/// opened without following links. Throws Error: Corrupt (a part is missing, is of another model, holds a tensor again,
/// or tensors are missing; with Salvage::Yes it is said and the rest is there), Limit (more parts than `shards`), and
/// what `read` throws.
std::shared_ptr<CheckpointCore> join_gguf_parts(const OpenRequest& request, std::shared_ptr<CheckpointCore> first,
                                                Reader read);

}  // namespace tenon::formats
