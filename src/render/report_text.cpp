// A report for people: the verdict; one block for each cause; what is left; the one command that repairs it.
//
//   error[wrapper_prefix]: every checkpoint key starts with `module.` and no model key does
//     --> runs/a.pth, state dict `state_dict`, 122 keys
//      |  checkpoint             model
//      |  module.conv1.weight    conv1.weight    [64, 3, 7, 7]  same
//      |  ... and 121 more (--all)
//      = why: ...
//      = evidence: ...
//   help[exact]: strip the prefix `module.`    plan: {"op": "strip_prefix", "prefix": "module."}
#include <tenon/render.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "render/drop_verdicts.hpp"
#include "render/op_text.hpp"
#include "render/page.hpp"
#include "tensor/words.hpp"

namespace tenon {

namespace {

using rendering::Ink;
using rendering::Page;
using rendering::safe;

constexpr std::size_t kPictureRows = 3;
constexpr std::string_view kGutter = "   |  ";
constexpr std::size_t kNoteIndent = 7;
constexpr std::size_t kHelpIndent = 6;

struct Label {
  std::string_view word;
  Ink ink;
};
Label label_of(Severity severity) {
  switch (severity) {
    case Severity::Error: return {"error", Ink::Red};
    case Severity::Warning: return {"warning", Ink::Yellow};
    case Severity::Note: return {"note", Ink::Cyan};
  }
  throw Bug("unknown Severity");
}

std::size_t widest(const std::vector<std::string>& column) {
  std::size_t width = 0;
  for (const std::string& cell : column) width = std::max(width, base::display_width(cell));
  return width;
}

struct Columns {
  std::size_t left, right;
};
/// Two columns of names in `room`: each gets what it needs; when there is too little, the narrower one at most half.
Columns share(std::size_t left, std::size_t right, std::size_t room) {
  if (left + right <= room) return {left, right};
  if (left <= room / 2) return {left, room - left};
  if (right <= room / 2) return {room - right, right};
  return {room - room / 2, room / 2};
}

void picture(const Cause& cause, Page& page) {
  if (cause.picture.empty()) return;
  const std::size_t shown = page.style().all ? cause.picture.size() : std::min(cause.picture.size(), kPictureRows);
  std::vector<std::string> left{"checkpoint"}, right{"model"}, notes{""};
  for (std::size_t i = 0; i < shown; ++i) {
    left.push_back(safe(cause.picture[i].checkpoint));
    right.push_back(safe(cause.picture[i].model));
    notes.push_back(safe(cause.picture[i].note));
  }
  constexpr std::size_t kGaps = 4, kLeastRoom = 24;
  const std::size_t taken = kGutter.size() + widest(notes) + kGaps;
  const std::size_t room = page.style().width > taken + kLeastRoom ? page.style().width - taken : kLeastRoom;
  const Columns columns = share(widest(left), widest(right), room);
  for (std::size_t i = 0; i < left.size(); ++i) {
    const auto cell = [&](const std::string& text, std::size_t width) {
      return rendering::pad_right(rendering::cut_middle(text, width, page.style()), width);
    };
    std::string row =
        fmt::format("{}{}  {}  {}", kGutter, cell(left[i], columns.left), cell(right[i], columns.right), notes[i]);
    row.resize(row.find_last_not_of(' ') + 1);
    page.line(i == 0 ? page.paint(Ink::Dim, row) : row);
  }
  if (cause.keys > shown)
    page.line(fmt::format("{}... and {} more ({})", kGutter, base::count_text(cause.keys - shown),
                          page.style().all ? "in the lists below" : "--all"));
}

std::string_view mark_text(LayerRow::Mark mark) {
  switch (mark) {
    case LayerRow::Mark::Same: return " ";
    case LayerRow::Mark::Added: return "+";
    case LayerRow::Mark::Removed: return "-";
    case LayerRow::Mark::Changed: return "~";
  }
  throw Bug("unknown Mark");
}

/// The cells of one side, in three columns.
class LayerColumns {
 public:
  void add(const LayerCell& cell) {
    name_ = std::max(name_, base::display_width(safe(cell.name)));
    layer_ = std::max(layer_, base::display_width(safe(cell.layer)));
    shape_ = std::max(shape_, base::display_width(safe(cell.shape)));
  }
  std::size_t width() const { return name_ + layer_ + shape_ + 4; }
  std::string text(const LayerCell& cell) const {
    return fmt::format("{}  {}  {}", rendering::pad_right(safe(cell.name), name_),
                       rendering::pad_right(safe(cell.layer), layer_), rendering::pad_right(safe(cell.shape), shape_));
  }

 private:
  std::size_t name_ = 0, layer_ = 0, shape_ = 0;
};

void picture_line(std::string_view mark, const std::string& text, Page& page) {
  std::string line = fmt::format("{}{} {}", kGutter, mark, text);
  line.resize(line.find_last_not_of(' ') + 1);
  page.line(rendering::cut_end(line, page.style().width, page.style()));
}

/// Both networks side by side, where the line has room.
bool side_by_side(const std::vector<LayerRow>& rows, Page& page) {
  LayerColumns left, right;
  for (const LayerRow& row : rows) {
    left.add(row.checkpoint);
    right.add(row.model);
  }
  constexpr std::size_t kMarkAndRule = 7;
  if (kGutter.size() + kMarkAndRule + left.width() + right.width() > page.style().width) return false;
  for (const LayerRow& row : rows)
    picture_line(mark_text(row.mark), left.text(row.checkpoint) + "  |  " + right.text(row.model), page);
  return true;
}

/// One below the other, as a diff does it.
void one_below_the_other(const std::vector<LayerRow>& rows, Page& page) {
  LayerColumns columns;
  for (const LayerRow& row : rows) {
    columns.add(row.checkpoint);
    columns.add(row.model);
  }
  for (const LayerRow& row : rows) {
    const bool is_changed = row.mark == LayerRow::Mark::Changed;
    if (is_changed || row.mark == LayerRow::Mark::Removed) picture_line("-", columns.text(row.checkpoint), page);
    if (row.mark == LayerRow::Mark::Removed) continue;
    picture_line(is_changed ? "+" : mark_text(row.mark), columns.text(row.model), page);
  }
}

/// Layers with their neighbours: what flows where.
void layer_rows(const Cause& cause, Page& page) {
  if (!side_by_side(cause.layers, page)) one_below_the_other(cause.layers, page);
}

/// What is done on the left and its code on the right, where the line has room; else the code below it.
void help_line(std::string_view head, std::string_view text, std::string_view code, Page& page) {
  const std::size_t width = head.size() + base::display_width(text) + 4 + base::display_width(code);
  if (!code.empty() && width <= page.style().width)
    return page.line(fmt::format("{}{}    {}", page.paint(Ink::Green, head), text, code));
  page.paragraph(head, text, kHelpIndent, Ink::Green);
  if (!code.empty()) page.paragraph("      ", code, kHelpIndent + 2);
}

/// A person's help may show code, four blanks after its sentence.
void plain_help(const std::string& help, Page& page) {
  const std::size_t gap = help.find("    ");
  if (gap == std::string::npos) return help_line("help: ", safe(help), "", page);
  help_line("help: ", safe(help.substr(0, gap)), safe(help.substr(help.find_first_not_of(' ', gap))), page);
}

void cause_block(const Cause& cause, const Report& report, Page& page) {
  const Plan& plan = report.plan;
  const Label label = label_of(cause.severity);
  page.paragraph(fmt::format("{}[{}]: ", label.word, cause.id), safe(cause.summary), 2, label.ink);
  if (!cause.place.empty()) page.paragraph("  --> ", safe(cause.place), kHelpIndent);
  if (!cause.layers.empty()) layer_rows(cause, page);
  if (cause.layers.empty() || cause.keys > 1) picture(cause, page);  // of one change the layers tell all
  if (!cause.why.empty()) page.paragraph("   = why: ", safe(cause.why), kNoteIndent);
  if (!cause.evidence.empty()) page.paragraph("   = evidence: ", base::join(safe(cause.evidence), ", "), kNoteIndent);
  for (const std::string& note : cause.notes) page.paragraph("   = note: ", safe(note), kNoteIndent);
  for (const std::string& note : rendering::drop_notes(plan, report.drops, cause.ops))
    page.paragraph("   = note: ", note, kNoteIndent);
  for (const std::size_t index : cause.ops) {
    const Op& op = plan.ops.at(index);
    help_line(fmt::format("help[{}]: ", applicability_name(op.applicability)), rendering::describe(op.operation),
              "plan: " + rendering::plan_text(op), page);
  }
  for (const std::string& help : cause.help) plain_help(help, page);
}

std::vector<std::string> shapes_of(const std::vector<Mismatch>& mismatches) {
  std::vector<std::string> lines;
  for (const Mismatch& row : mismatches)
    lines.push_back(fmt::format("{}  {} in the checkpoint, {} in the model", safe(row.key),
                                base::shape_text(row.checkpoint), base::shape_text(row.model)));
  return lines;
}

std::vector<std::string> dtypes_of(const std::vector<DTypeChange>& changes) {
  std::vector<std::string> lines;
  for (const DTypeChange& row : changes)
    lines.push_back(fmt::format("{}  {} in the checkpoint, {} in the model{}", safe(row.key),
                                dtype_name(row.checkpoint), dtype_name(row.model),
                                row.loss ? ": " + tensor::loss_text(*row.loss) : std::string()));
  return lines;
}

void key_list(std::string_view title, const std::vector<std::string>& keys, Page& page) {
  if (keys.empty()) return;
  page.line();
  page.paragraph(fmt::format("{}: ", title), base::plural(keys.size(), "key"), 2, Ink::Bold);
  page.list(keys, kGutter);
}

/// The difference by name: where nothing explains it, where a plan leaves some of it, and where everything was asked
/// for.
void difference_lists(const Report& report, Page& page) {
  const bool is_explained =
      !report.causes.empty() && report.leaves.missing + report.leaves.unexpected + report.leaves.mismatched == 0;
  if (is_explained && !page.style().all) return;
  const Difference& difference = report.difference;
  key_list("missing (the model wants them)", safe(difference.missing), page);
  key_list("unexpected (only the checkpoint has them)", safe(difference.unexpected), page);
  key_list("mismatched (another shape)", shapes_of(difference.mismatched), page);
  if (page.style().all) key_list("another dtype", dtypes_of(difference.dtype_changes), page);
}

/// "2 missing, 1 mismatched", or "nothing".
std::string balance_text(const Balance& balance) {
  std::vector<std::string> parts;
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) parts.push_back(fmt::format("{} {}", base::count_text(count), what));
  };
  add(balance.missing, "missing");
  add(balance.unexpected, "unexpected");
  add(balance.mismatched, "mismatched");
  return parts.empty() ? "nothing" : base::join(parts, ", ");
}

void command_line(const std::string& command, Page& page) {
  if (!command.empty()) page.line("  " + page.paint(Ink::Cyan, safe(command)));
}

void closing(const Report& report, const CommandHint& hint, Page& page) {
  if (report.fits == std::optional(true) && hint.command.empty()) return;
  if (hint.command.empty()) {
    if (hint.why_none.empty()) return;
    page.line();
    page.paragraph("no plan: ", safe(hint.why_none) + (hint.next.empty() ? "" : "; next:"), 2, Ink::Bold);
    return command_line(hint.next, page);
  }
  page.line();
  page.paragraph("plan: ",
                 fmt::format("{}; it resolves {} and leaves {}", base::plural(report.plan.ops.size(), "operation"),
                             balance_text(report.resolves), balance_text(report.leaves)),
                 2, Ink::Bold);
  command_line(hint.command, page);
}

/// "`unet.safetensors` beside it fits 100 % (99 % of the parameters)"; 100 is said of all, never of nearly all.
std::string neighbour_text(const Neighbour& neighbour) {
  const auto percent = [](double share) { return std::floor(100 * share); };
  const std::size_t slash = neighbour.file.find_last_of('/');
  const std::string name = safe(slash == std::string::npos ? neighbour.file : neighbour.file.substr(slash + 1));
  return fmt::format("`{}` beside it fits {:.0f} % of the model's tensors, {:.0f} % of its parameters", name,
                     percent(neighbour.tensors), percent(neighbour.parameters));
}

}  // namespace

std::string render_text(const Report& report, const CommandHint& hint, const TextStyle& style) {
  Page page(style);
  const bool fits = report.fits == std::optional(true);
  page.paragraph(verdict(report), "", 2, fits ? Ink::Green : Ink::Bold);
  const auto notes = [&] {
    for (const std::string& note : report.notes) page.paragraph("note: ", safe(note), 2);
  };
  const bool is_told_by_cause = !fits && !report.causes.empty();  // what is wrong stands in the first two lines
  if (!is_told_by_cause) notes();
  for (const Cause& cause : report.causes) {
    if (!is_told_by_cause || &cause != &report.causes.front()) page.line();
    cause_block(cause, report, page);
  }
  difference_lists(report, page);
  if (!report.advice.empty() || !report.neighbours.empty()) page.line();
  for (const Neighbour& neighbour : report.neighbours) page.paragraph("note: ", neighbour_text(neighbour), 2);
  for (const std::string& advice : report.advice) page.paragraph("advice: ", safe(advice), 2, Ink::Bold);
  if (!fits) {
    if (is_told_by_cause) notes();
    for (const std::string& clause : report.not_checked) page.paragraph("note: ", safe(clause), 2);
  }
  closing(report, hint, page);
  return page.take();
}

}  // namespace tenon
