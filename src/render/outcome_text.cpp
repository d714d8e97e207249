// verify, diff, adapt and convert for people.
#include <tenon/render.hpp>

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "render/drop_verdicts.hpp"
#include "render/op_text.hpp"
#include "render/page.hpp"
#include "tensor/words.hpp"

namespace tenon {

namespace {

using rendering::Ink;
using rendering::Page;
using rendering::safe;

void titled_list(std::string_view title, const std::vector<std::string>& items, Page& page) {
  if (items.empty()) return;
  page.line(page.paint(Ink::Bold, fmt::format("{}: {}", title, base::count_text(items.size()))));
  page.list(safe(items), "  ");
}

void notes(const std::vector<std::string>& all, Page& page) {
  for (const std::string& note : all) page.paragraph("note: ", safe(note), 2);
}

/// "max |a-b| 0.25, relative 1.2e-03, cosine 0.999998, 12 elements"
std::string distance_text(const TensorChange& change) {
  std::vector<std::string> parts;
  const auto add = [&](std::string_view format, const auto& value) {
    if (value) parts.push_back(fmt::format(fmt::runtime(format), *value));
  };
  add("largest difference {:.3g}", change.max_abs);
  add("relative {:.3g}", change.rel_l2);
  add("cosine {:.6f}", change.cosine);
  if (change.changed_elements) parts.push_back(base::plural(*change.changed_elements, "element") + " changed");
  return base::join(parts, ", ");
}

std::string change_text(const TensorChange& change) {
  std::string text = safe(change.key);
  if (change.shape_a != change.shape_b)
    text += fmt::format("  shape {} in A, {} in B", base::shape_text(change.shape_a), base::shape_text(change.shape_b));
  if (change.dtype_a != change.dtype_b)
    text += fmt::format("  dtype {} in A, {} in B", dtype_name(change.dtype_a), dtype_name(change.dtype_b));
  const std::string distance = distance_text(change);
  return distance.empty() ? text : text + "  " + distance;
}

void plan_lines(const Plan& plan, const std::vector<DropVerdict>& drops, Page& page) {
  if (plan.ops.empty()) return;
  page.line(page.paint(Ink::Bold, base::plural(plan.ops.size(), "operation") + ":"));
  for (std::size_t i = 0; i < plan.ops.size(); ++i)
    page.paragraph(fmt::format("  {}: ", applicability_name(plan.ops[i].applicability)),
                   rendering::describe(plan.ops[i].operation) + rendering::drop_remark(drops, i), 4);
}

/// One tensor's line: what did not happen is left out.
std::string short_loss(const CastLoss& loss) {
  if (tensor::is_lossless(loss)) return "every value survives";
  std::string text = fmt::format("{} of {} change, by {:.1e} at most", base::count_text(loss.changed),
                                 base::count_text(loss.elements), loss.max_abs_error);
  if (loss.overflow > 0) text += fmt::format(", {} overflow", base::count_text(loss.overflow));
  if (loss.underflow > 0) text += fmt::format(", {} underflow", base::count_text(loss.underflow));
  return loss.nan > 0 ? text + fmt::format(", {} NaN lost", base::count_text(loss.nan)) : text;
}

/// What casts do to the values: the sum, then each tensor.
void cast_lines(std::string_view what, const std::vector<DTypeChange>& changes, Page& page) {
  if (changes.empty()) return;
  CastLoss total;
  std::vector<std::string> lines;
  for (const DTypeChange& change : changes) {
    if (change.loss) tensor::add(total, *change.loss);
    lines.push_back(fmt::format("{}  {} to {}{}", change.key, dtype_name(change.checkpoint), dtype_name(change.model),
                                change.loss ? ": " + short_loss(*change.loss) : std::string()));
  }
  const bool is_measured =
      std::all_of(changes.begin(), changes.end(), [](const auto& c) { return c.loss.has_value(); });
  page.paragraph(fmt::format("{}, {}: ", what, base::plural(changes.size(), "tensor")),
                 !is_measured                 ? "no values at hand to measure"
                 : tensor::is_lossless(total) ? "every value survives"
                                              : tensor::loss_text(total),
                 2, Ink::Bold);
  page.list(safe(lines), "  ");
}

}  // namespace

std::string render_text(const VerifiedFile& file, const TextStyle& style) {
  constexpr std::size_t kShown = 20;
  Page page(style);
  page.paragraph(verdict(file), "", 2, file.ok ? Ink::Green : Ink::Red);
  const std::size_t shown = style.all ? file.problems.size() : std::min(file.problems.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i)
    page.paragraph("  " + safe(file.problems[i].where) + ": ", safe(file.problems[i].what), 4, Ink::Bold);
  if (shown < file.problems.size())
    page.line(fmt::format("  ... and {} more (--all)", base::count_text(file.problems.size() - shown)));
  notes(file.notes, page);
  return page.take();
}

std::string render_text(const DiffReport& diff, const TextStyle& style) {
  Page page(style);
  page.paragraph(verdict(diff), "", 2, diff.same ? Ink::Green : Ink::Bold);
  std::vector<std::string> changes;
  for (const TensorChange& change : diff.changed) changes.push_back(change_text(change));
  const std::size_t shown = style.all ? changes.size() : std::min<std::size_t>(changes.size(), 10);
  if (!changes.empty()) page.line(page.paint(Ink::Bold, fmt::format("changed: {}", base::count_text(changes.size()))));
  for (std::size_t i = 0; i < shown; ++i) page.paragraph("  ", changes[i], 4);
  if (shown < changes.size())
    page.line(fmt::format("  ... and {} more (--all)", base::count_text(changes.size() - shown)));
  titled_list("only in A", diff.only_a, page);
  titled_list("only in B", diff.only_b, page);
  std::vector<std::string> renamed;
  for (const RenamedTensor& row : diff.renamed) renamed.push_back(row.a + " is " + row.b);
  titled_list("compared under two names", renamed, page);
  if (!diff.layout_changes.empty())
    page.paragraph("note: ", safe(tensor::layout_text(diff.layout_changes, "A", "B")), 2);
  page.paragraph("note: ", "tensors were compared bit for bit; layout, objects and metadata were not", 2);
  return page.take();
}

std::string render_text(const AdaptOutcome& outcome, const TextStyle& style) {
  Page page(style);
  page.paragraph(verdict(outcome), "", 2, outcome.fits == std::optional(true) ? Ink::Green : Ink::Bold);
  plan_lines(outcome.plan, outcome.drops, page);
  cast_lines("cast", outcome.dtype_changes, page);
  cast_lines("not cast, a load would", outcome.left.dtype_changes, page);
  titled_list("taken from the target", outcome.filled_from_target, page);
  titled_list("left out of the checkpoint", outcome.dropped, page);
  titled_list("wanted, and neither side has values", outcome.unfilled, page);
  notes(outcome.notes, page);
  return page.take();
}

std::string render_text(const ConvertOutcome& outcome, const TextStyle& style) {
  Page page(style);
  page.paragraph(verdict(outcome), "", 2, Ink::Green);
  cast_lines("cast", outcome.dtype_changes, page);
  if (!outcome.layout_changes.empty())
    page.paragraph("note: ", safe(tensor::layout_text(outcome.layout_changes, "IN", "OUT")), 2);
  notes(outcome.notes, page);
  return page.take();
}

}  // namespace tenon
