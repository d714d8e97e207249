// The first line of every answer: one sentence that is true on its own.
#include <tenon/render.hpp>

#include <fmt/format.h>

#include "base/text.hpp"
#include "render/page.hpp"

namespace tenon {

namespace {

using base::count_text;

/// "62 missing, 62 unexpected", without the zeros.
std::string counts_of(const Difference& difference) {
  std::vector<std::string> parts;
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count > 0) parts.push_back(fmt::format("{} {}", count_text(count), what));
  };
  add(difference.missing.size(), "missing");
  add(difference.unexpected.size(), "unexpected");
  add(difference.mismatched.size(), "of another shape");
  return base::join(parts, ", ");
}

std::string with_clauses(std::string sentence, const std::vector<std::string>& clauses) {
  for (const std::string& clause : clauses) sentence += "; " + rendering::safe(clause);
  return sentence;
}

/// Disks and paths fail both ways; what pickle or a format cannot hold fails while it is written.
std::string_view what_fails(std::string_view cause) {
  if (cause == "save_io") return "save or load";
  return cause == "unpicklable" || cause == "name_collision" ? "save" : "load";
}

/// Nothing but a text, or a file that could not be opened, is known.
std::string verdict_without_listing(const Report& report) {
  const std::string counts = counts_of(report.difference);
  if (report.fits == std::optional(true))
    return with_clauses("nothing in the text keeps it from loading", report.not_checked);
  if (!counts.empty()) return fmt::format("does not load: the text names {}", counts);
  if (!report.causes.empty())
    return fmt::format("does not {}: {}", what_fails(report.causes.front().id),
                       rendering::safe(report.causes.front().summary));
  return "no verdict: the text holds no error that tenon knows";
}

}  // namespace

std::string verdict(const Report& report) {
  const Difference& difference = report.difference;
  if (!difference.matched) return verdict_without_listing(report);
  const std::string share =
      fmt::format("{} of {}", count_text(*difference.matched), base::plural(report.target_tensors, "tensor"));
  if (report.fits == std::optional(true)) return with_clauses(share + " fit", report.not_checked);
  const std::string counts = counts_of(difference);
  if (!counts.empty()) return fmt::format("does not fit: {} match; {}", share, counts);
  if (!difference.dtype_changes.empty())
    return fmt::format("does not fit: {} match in name and shape; {} would be loaded with other values", share,
                       count_text(difference.dtype_changes.size()));
  if (!report.architecture.empty() || (report.probe && report.probe->verdict == ProbeVerdict::OtherFunction))
    return fmt::format("does not fit: {} match in name and shape; the model is not the one that was saved", share);
  return fmt::format("does not fit: {} match", share);
}

std::string verdict(const VerifiedFile& file) {
  const std::string name = rendering::safe(file.file);
  if (file.ok) return fmt::format("{}: ok, {} checked", name, base::bytes_text(file.checked_bytes));
  return fmt::format("{}: not ok, {}", name, base::plural(file.problems.size(), "problem"));
}

std::string verdict(const DiffReport& diff) {
  if (diff.same) return fmt::format("same: {} identical", base::plural(diff.identical, "tensor"));
  std::vector<std::string> parts{count_text(diff.identical) + " identical"};
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count > 0) parts.push_back(fmt::format("{} {}", count_text(count), what));
  };
  add(diff.changed.size(), "changed");
  add(diff.only_a.size(), "only in A");
  add(diff.only_b.size(), "only in B");
  return "different: " + base::join(parts, ", ");
}

std::string verdict(const AdaptOutcome& outcome) {
  const bool written = outcome.file_bytes > 0;
  const std::string name = outcome.out.empty() ? "" : rendering::safe(outcome.out) + ": ";
  const std::string what = name + base::plural(outcome.tensors, "tensor");
  const std::string done = written ? fmt::format("{} written ({})", what, base::bytes_text(outcome.file_bytes))
                                   : fmt::format("{}, not written", what);
  if (!outcome.fits) return done;
  if (*outcome.fits) return done + "; the result fits the target";
  const std::string counts = counts_of(outcome.left);
  return fmt::format("{}; the result does not fit the target{}{}", done, counts.empty() ? "" : ": ", counts);
}

std::string verdict(const ConvertOutcome& outcome) {
  const std::string what =
      fmt::format("{}: {}, {} to {}", rendering::safe(outcome.out), base::plural(outcome.tensors, "tensor"),
                  format_name(outcome.from), format_name(outcome.to));
  if (outcome.file_bytes == 0) return what + ", not written";
  return fmt::format("{}, {} written", what, base::bytes_text(outcome.file_bytes));
}

}  // namespace tenon
