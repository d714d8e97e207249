// The log of a checkpoint: where it comes from (its blueprint and those of its parents) and how its training went (one
// JSON object a line in `FILE.log.jsonl`).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/export.hpp>
#include <tenon/limits.hpp>

namespace tenon {

/// One step back: what the child says of its parent, and what was found of it.
struct Ancestor {
  std::string digest;                ///< of its blueprint
  std::string file;                  ///< base name that the child gives
  bool is_found = false;             ///< a file of that name stands beside the child and has that blueprint
  std::vector<std::string> changes;  ///< of the ancestor against its own parent, where it was found
};

struct Log {
  std::string file;
  std::optional<Blueprint> blueprint;
  std::string digest;                ///< of the blueprint; "" without one
  std::vector<Ancestor> ancestors;   ///< parents first, then theirs
  std::vector<std::string> metrics;  ///< JSON texts, one object each, oldest first
  std::size_t damaged_lines = 0;     ///< of FILE.log.jsonl: no JSON objects
};

/// Reads a checkpoint's log; parents are looked for in its folder. A file without blueprint has metrics at most.
/// Throws what open() throws.
TENON_API Log read_log(const std::string& path, const Limits& limits = {});

/// Appends one line to `path` + ".log.jsonl" and fsyncs it. A line that a crash cut stays behind, on a line of its own.
/// `members` hold JSON texts. Throws Error: Write, NotFound (no such checkpoint).
TENON_API void append_log(const std::string& path, const JsonMembers& members);

/// Names `parent` as where `child` comes from, with what changed since. `file` is the parent's path; its base name is
/// kept.
TENON_API void set_parent(Blueprint& child, const Blueprint& parent, const std::string& file);

}  // namespace tenon
