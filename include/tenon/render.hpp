// render: reports as text for people and JSON for programs. Never prints.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/diagnose.hpp>
#include <tenon/export.hpp>
#include <tenon/plan.hpp>
#include <tenon/verify.hpp>

namespace tenon {

struct TextStyle {
  bool colour = false;
  bool unicode = false;    ///< box characters and ellipsis; ASCII otherwise
  bool all = false;        ///< lists are not cut
  std::size_t width = 80;  ///< columns
};

struct InspectOptions {
  bool digest = false;
  bool stats = false;
};

/// The adapt line of a report's end: empty where no plan helps.
struct CommandHint {
  std::string command;
};

TENON_API std::string render_text(const Error& error, const TextStyle& style);
TENON_API std::string render_text(const Checkpoint& checkpoint, const InspectOptions& options, const TextStyle& style);
TENON_API std::string render_text(const Report& report, const CommandHint& hint, const TextStyle& style);
TENON_API std::string render_text(const VerifiedFile& file, const TextStyle& style);
TENON_API std::string render_text(const DiffReport& diff, const TextStyle& style);

// JSON documents of the contract, one line each, ending in a newline. `command` names the schema: tenon.COMMAND/1.
TENON_API std::string render_json(const Error& error, std::string_view command);
TENON_API std::string render_json(const Checkpoint& checkpoint, const InspectOptions& options);
TENON_API std::string render_json(const Report& report, std::string_view command, const Error* error = nullptr);
TENON_API std::string render_json(const std::vector<VerifiedFile>& files);
TENON_API std::string render_json(const DiffReport& diff);

/// Text safe for terminals: control characters and bytes that are no UTF-8 are written as \xNN.
TENON_API std::string escape_text(std::string_view text);

}  // namespace tenon
