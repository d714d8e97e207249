#include "comparison.hpp"

#include <algorithm>

#include "exit_code.hpp"

namespace tenon::cli {

Listing read_side(const std::string& path, Salvage salvage, const Session& session) {
  require_path(path);
  Listing listing = read_listing(path, {.mode = ReadMode::Map, .salvage = salvage, .limits = {}});
  if (listing.values)
    for (const std::string& warning : listing.values->warnings()) session.warn(path + ": " + warning);
  for (const std::string& warning : listing.warnings) session.warn(path + ": " + warning);
  return listing;
}

bool is_unreadable(const Error& error) { return exit_code(error.code) == kUnreadable; }

int answer_unreadable(const Session& session, const std::string& path, const Error& error, const TextStyle& style) {
  const Report report = diagnose_unreadable(path, error);
  if (session.json)
    session.answer(render_json(report, session.command, &error));
  else if (session.quiet)
    session.answer(report.causes.empty() ? "" : verdict(report) + "\n");
  else if (!report.causes.empty())
    session.answer(render_text(report, {{}, "no operation repairs a file that cannot be read"}, style));
  complain(render_text(error, session.message_style()));
  return exit_code(error.code);
}

CommandHint adapt_hint(const Report& report, const Sides& sides) {
  if (report.fits == std::optional(true)) return {};
  if (!sides.checkpoint_has_values) return {{}, "the file is a blueprint, which has no values to adapt"};
  if (report.plan.ops.empty()) return {{}, "no operation that tenon knows resolves this"};
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
  return {command, {}};
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
