// render: reports as text for people and JSON for programs. Never prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/checkpoint.hpp>
#include <tenon/diagnose.hpp>
#include <tenon/export.hpp>
#include <tenon/log.hpp>
#include <tenon/plan.hpp>
#include <tenon/progress.hpp>
#include <tenon/scan.hpp>
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
  Progress progress = {};  ///< told the bytes of the rows that are written; digests and statistics take long
};

/// The adapt line of a report's end, or why there is none.
struct CommandHint {
  std::string command;   ///< quoted for a shell; "" where no plan helps
  std::string why_none;  ///< one clause, where `command` is empty
  std::string next;      ///< what to type instead, where `command` is empty
};

/// What adapt did, or would do.
struct AdaptOutcome {
  std::string out;           ///< path as given
  std::optional<bool> fits;  ///< of the result, not of the checkpoint
  Plan plan;                 ///< the part that was carried out
  Difference left;           ///< what still does not fit
  std::vector<std::string> filled_from_target, dropped, unfilled;
  std::vector<DropVerdict> drops;          ///< whether what the plan leaves out is missed
  std::vector<DTypeChange> dtype_changes;  ///< what the plan's casts do to the values, measured
  std::uint64_t tensors = 0;
  std::uint64_t file_bytes = 0;    ///< 0 where nothing was written
  std::vector<std::string> notes;  ///< what changed form on the way, what was not done
};

/// What convert did, or would do.
struct ConvertOutcome {
  std::string file, out;
  Format from = Format::Safetensors, to = Format::Safetensors;
  std::uint64_t tensors = 0;
  std::uint64_t file_bytes = 0;                   ///< 0 where nothing was written
  std::vector<DTypeChange> dtype_changes = {};    ///< what a cast that was asked for does to the values, measured
  std::vector<LayoutChange> layout_changes = {};  ///< tensors that are written in another order in memory
  std::vector<std::string> notes;
};

/// What a command prints: UTF-8, one or more lines, each of which ends in a newline; names out of files are escaped as
/// by escape_text().
///
/// All come from memory, but for a checkpoint with `digest` or `stats`, whose values are read: then it throws what
/// Checkpoint::tensor throws.
TENON_API std::string render_text(const Error& error, const TextStyle& style);
TENON_API std::string render_text(const Checkpoint& checkpoint, const InspectOptions& options, const TextStyle& style);
TENON_API std::string render_text(const Report& report, const CommandHint& hint, const TextStyle& style);
TENON_API std::string render_text(const VerifiedFile& file, const TextStyle& style);
TENON_API std::string render_text(const DiffReport& diff, const TextStyle& style);
TENON_API std::string render_text(const ScannedFile& file, const TextStyle& style);
TENON_API std::string render_text(const AdaptOutcome& outcome, const TextStyle& style);
TENON_API std::string render_text(const ConvertOutcome& outcome, const TextStyle& style);

TENON_API std::string render_text(const Blueprint& blueprint, const std::string& label, const TextStyle& style);
TENON_API std::string render_text(const Log& log, const TextStyle& style);

/// The one-line answer of --quiet, and the first line of the long one.
TENON_API std::string verdict(const Report& report);
TENON_API std::string verdict(const VerifiedFile& file);
TENON_API std::string verdict(const DiffReport& diff);
TENON_API std::string verdict(const ScannedFile& file);
TENON_API std::string verdict(const AdaptOutcome& outcome);
TENON_API std::string verdict(const ConvertOutcome& outcome);

// JSON documents of the contract, one line each, ending in a newline. `command` names the schema: tenon.COMMAND/1.
// An `error` stands beside what is known in spite of it. With `digest` or `stats`, values are read, as by render_text.
TENON_API std::string render_json(const Error& error, std::string_view command);
TENON_API std::string render_json(const Checkpoint& checkpoint, const InspectOptions& options);
TENON_API std::string render_json(const Report& report, std::string_view command, const Error* error = nullptr);
TENON_API std::string render_json(const std::vector<VerifiedFile>& files, const Error* error = nullptr);
TENON_API std::string render_json(const DiffReport& diff);
TENON_API std::string render_json(const std::vector<ScannedFile>& files, const Error* error = nullptr);
/// SARIF 2.1.0, for code-scanning services: one result for each finding.
TENON_API std::string render_sarif(const std::vector<ScannedFile>& files);
TENON_API std::string render_json(const AdaptOutcome& outcome, const Error* error = nullptr);
TENON_API std::string render_json(const ConvertOutcome& outcome);
TENON_API std::string render_json(const Blueprint& blueprint);  ///< the blueprint itself: tenon.blueprint/1
TENON_API std::string render_json(const Log& log);

/// Text safe for terminals: control characters and bytes that are no UTF-8 are written as \xNN.
TENON_API std::string escape_text(std::string_view text);

/// `text` in quotes for a POSIX shell where it needs them.
TENON_API std::string shell_quoted(std::string_view text);

}  // namespace tenon
