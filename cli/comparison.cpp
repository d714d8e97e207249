#include "comparison.hpp"

#include <algorithm>

#include "exit_code.hpp"
#include "neighbours.hpp"
#include "next_step.hpp"

namespace tenon::cli {

Listing read_side(const std::string& path, Salvage salvage, const Session& session) {
  require_path(path);
  Listing listing = read_listing(path, session.open_options(salvage));
  if (listing.values)
    for (const std::string& warning : listing.values->warnings()) session.warn(path + ": " + warning);
  for (const std::string& warning : listing.warnings) session.warn(path + ": " + warning);
  return listing;
}

bool is_unreadable(const Error& error) { return exit_code(error.code) == kUnreadable; }

namespace {

/// The target may be as unreadable as the file: then there is nothing to compare neighbours with.
void name_neighbours_of(const Session& session, const Unread& unread, Report& report) {
  if (unread.target.empty()) return;
  try {
    const Listing target = read_listing(unread.target, {.limits = session.limits});
    name_neighbours(unread.file, unread.target, target, report);
  } catch (const Error&) {
  }
}

}  // namespace

int answer_unreadable(const Session& session, const Unread& unread, const Error& error, const TextStyle& style) {
  Report report = diagnose_unreadable(unread.file, error);
  name_neighbours_of(session, unread, report);
  Sides sides;
  sides.checkpoint = unread.file;
  if (!unread.target.empty()) sides.target = unread.target;
  const std::string next = next_step(report, sides);
  complain(render_text(error, session.message_style()));
  if (session.json)
    session.answer(render_json(report, session.command, &error));
  else if (session.quiet)
    session.answer(report.causes.empty() ? "" : verdict(report) + "\n");
  else if (!report.causes.empty())
    session.answer(render_text(report, {{}, "no operation repairs a file that cannot be read", next}, style));
  return exit_code(error.code);
}

CommandHint adapt_hint(const Report& report, const Sides& sides) {
  if (report.fits == std::optional(true)) return {};
  const std::string next = next_step(report, sides);
  if (!sides.checkpoint_has_values) return {{}, "the file is a blueprint, which has no values to adapt", next};
  if (!report.neighbours.empty()) return {{}, "another file of the same folder fits", next};
  if (report.plan.ops.empty()) return {{}, "no operation that tenon knows resolves this", next};
  const auto has = [&](Applicability wanted) {
    return std::any_of(report.plan.ops.begin(), report.plan.ops.end(),
                       [wanted](const Op& op) { return op.applicability == wanted; });
  };
  std::string command = "tenon adapt " + shell_quoted(sides.checkpoint) + " --to " + shell_quoted(sides.target) +
                        " -o fitted.safetensors";
  if (has(Applicability::Guess)) command += " --accept guess";
  if (has(Applicability::Lossy)) command += " --accept lossy";
  if (has(Applicability::Template)) command += " --dry-run --emit-plan plan.json";
  const bool keeps_target = std::any_of(report.plan.ops.begin(), report.plan.ops.end(),
                                        [](const Op& op) { return std::holds_alternative<KeepTarget>(op.operation); });
  const bool leaves_gaps = keeps_target || report.leaves.missing + report.leaves.mismatched > 0;
  if (leaves_gaps && !sides.target_has_values) command += " --partial";
  return {command, {}, {}};
}

int answer_report(const Session& session, const Report& report, const CommandHint& hint, const TextStyle& style) {
  if (session.json)
    session.answer(render_json(report, session.command));
  else if (session.quiet)
    session.answer(verdict(report) + "\n");
  else
    session.answer(render_text(report, hint, style));
  return report.fits == std::optional(true) ? kYes : kNo;
}

}  // namespace tenon::cli
