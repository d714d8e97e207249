// What check, explain and adapt share: reading both sides, and the command that a report ends with.
#pragma once

#include <string>

#include <tenon/diagnose.hpp>
#include <tenon/listing.hpp>

#include "session.hpp"

namespace tenon::cli {

/// A checkpoint, blueprint or folder as a listing; warnings of a salvaged file go to stderr.
Listing read_side(const std::string& path, Salvage salvage, const Session& session);

/// True where an Error says that a file is there and cannot be read: what is wrong with it is worth a diagnosis.
bool is_unreadable(const Error& error);

/// A file that could not be read; `target`: what it was to be compared with, where `file` is the checkpoint.
struct Unread {
  std::string file, target = {};
};

/// Answers with what is wrong with it, and names what would fit beside it. Returns the exit code.
int answer_unreadable(const Session& session, const Unread& unread, const Error& error, const TextStyle& style);

/// The two sides of a report as a command line names them; placeholders stand for what only a text tells of.
struct Sides {
  std::string checkpoint = "CHECKPOINT", target = "MODEL";
  bool checkpoint_has_values = true, target_has_values = true;
};

/// The one `tenon adapt` line that applies the whole plan, or why there is none.
CommandHint adapt_hint(const Report& report, const Sides& sides);

/// Prints the report; exit code 0 only when it fits.
int answer_report(const Session& session, const Report& report, const CommandHint& hint, const TextStyle& style);

}  // namespace tenon::cli
