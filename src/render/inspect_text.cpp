// A checkpoint for people: what it is, its totals, a table of its tensors that fits the terminal, then what is no
// tensor.
#include <tenon/render.hpp>

#include <algorithm>

#include <fmt/format.h>

#include "base/meter.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "render/json_value.hpp"
#include "render/overview.hpp"
#include "render/page.hpp"
#include "verify/statistics.hpp"

namespace tenon {

namespace {

using rendering::Ink;
using rendering::Page;
using rendering::safe;

constexpr std::size_t kTableRows = 40;
constexpr std::size_t kObjectRows = 12;
constexpr std::size_t kLeastNameWidth = 16;
constexpr std::size_t kShapeWidth = 24;

void header(const Checkpoint& checkpoint, Page& page) {
  const rendering::Totals totals = rendering::totals(checkpoint);
  const std::string version = checkpoint.format_version().empty() ? "" : " " + safe(checkpoint.format_version());
  const std::string producer = checkpoint.producer() ? ", written by " + safe(*checkpoint.producer()) : "";
  page.paragraph(safe(checkpoint.file()) + ": ",
                 fmt::format("{}{}{}", format_name(checkpoint.format()), version, producer), 2, Ink::Bold);
  page.paragraph("  ",
                 fmt::format("{}, {}, {} of values, {} on disk", base::plural(totals.tensors, "tensor"),
                             base::plural(totals.parameters, "parameter"), base::bytes_text(totals.bytes),
                             base::bytes_text(checkpoint.file_bytes())),
                 2);
}

/// The state dicts where there is more than the top one; an optimizer has one for each parameter, so the list is cut.
void state_dicts(const Checkpoint& checkpoint, Page& page) {
  const auto dicts = rendering::state_dicts(checkpoint);
  if (dicts.size() < 2 && (dicts.empty() || dicts[0].path.empty())) return;
  std::vector<std::string> lines;
  for (const rendering::StateDict& dict : dicts)
    lines.push_back(
        fmt::format("{}  {}", dict.path.empty() ? "(top)" : safe(dict.path), base::plural(dict.tensors, "tensor")));
  page.line(page.paint(Ink::Bold, base::plural(dicts.size(), "state dict") + ":"));
  page.list(lines, "  ");
}

struct Row {
  std::string name, dtype, shape, bytes, extra;
};

std::string digest_text(const Checkpoint& checkpoint, std::size_t index) {
  try {
    return sha256(checkpoint.tensor(index)).substr(0, 23);  // "sha256:" and 16 digits; --json has all 64
  } catch (const Error& error) {
    if (error.code == Code::Unsupported || error.code == Code::Limit) return "no digest";
    throw;
  }
}

std::string statistics_text(const Checkpoint& checkpoint, std::size_t index) {
  if (checkpoint.tensors()[index].dtype == DType::Unknown) return "no real numbers";
  const auto found = verification::statistics(checkpoint.tensor(index));
  if (!found) return "no real numbers";
  const std::string odd =
      found->nan + found->infinite == 0
          ? ""
          : fmt::format("  {} NaN, {} infinite", base::count_text(found->nan), base::count_text(found->infinite));
  if (!found->mean) return "no finite value" + odd;
  return fmt::format("min {:.4g}  max {:.4g}  mean {:.4g}  std {:.4g}{}", *found->min, *found->max, *found->mean,
                     *found->deviation, odd);
}

Row row_of(const Checkpoint& checkpoint, std::size_t index, const InspectOptions& options) {
  const TensorInfo& info = checkpoint.tensors()[index];
  Row row{
      .name = info.name.empty() ? "(the file itself)" : safe(info.name),
      .dtype = std::string(dtype_name(info.dtype)),
      .shape = base::shape_text(info.shape),
      .bytes = info.storage == kNoStorage ? "no bytes" : base::bytes_text(rendering::tensor_bytes(checkpoint, info)),
      .extra = {}};
  if (info.storage == kNoStorage) return row;
  if (options.digest) row.extra = digest_text(checkpoint, index);
  if (options.stats) row.extra += (row.extra.empty() ? "" : "  ") + statistics_text(checkpoint, index);
  return row;
}

std::size_t widest(const std::vector<Row>& rows, std::string Row::*cell) {
  std::size_t width = 0;
  for (const Row& row : rows) width = std::max(width, base::display_width(row.*cell));
  return width;
}

/// Names get what the other columns leave and are cut in the middle; digests and statistics stand on a line of their
/// own.
void print_rows(const std::vector<Row>& rows, Page& page) {
  const std::size_t dtype = widest(rows, &Row::dtype), bytes = widest(rows, &Row::bytes);
  const std::size_t shape = std::min(widest(rows, &Row::shape), kShapeWidth);
  const std::size_t taken = 2 + 3 * 2 + dtype + shape + bytes;
  const std::size_t room = page.style().width > taken ? page.style().width - taken : 0;
  const std::size_t name = std::min(widest(rows, &Row::name), std::max(room, kLeastNameWidth));
  for (const Row& row : rows) {
    page.line(fmt::format("  {}  {}  {}  {}",
                          rendering::pad_right(rendering::cut_middle(row.name, name, page.style()), name),
                          rendering::pad_right(row.dtype, dtype),
                          rendering::pad_right(rendering::cut_middle(row.shape, shape, page.style()), shape),
                          rendering::pad_left(row.bytes, bytes)));
    if (!row.extra.empty()) page.line("    " + page.paint(Ink::Dim, row.extra));
  }
}

std::size_t shown_of(std::size_t count, std::size_t most, const Page& page) {
  return page.style().all ? count : std::min(count, most);
}

void more(std::size_t left_out, Page& page) {
  if (left_out > 0) page.line(fmt::format("  ... and {} more (--all)", base::count_text(left_out)));
}

void tensors(const Checkpoint& checkpoint, const InspectOptions& options, Page& page) {
  const std::size_t count = checkpoint.tensors().size();
  if (count == 0) return;
  std::vector<Row> rows{{"tensor", "dtype", "shape", "bytes", ""}};
  const std::size_t shown = shown_of(count, kTableRows, page);
  base::Meter meter(options.progress, rendering::bytes_of(checkpoint, shown));
  for (std::size_t i = 0; i < shown; ++i) {
    rows.push_back(row_of(checkpoint, i, options));
    meter.add(rendering::tensor_bytes(checkpoint, checkpoint.tensors()[i]));
  }
  page.line();
  print_rows(rows, page);
  more(count - shown, page);
}

/// A record's value without its class, which has a column of its own.
std::string value_text(const Value& value) {
  rendering::Json json = rendering::json_of(value);
  if (std::holds_alternative<Record>(value.is)) json.erase("type");
  return safe(json.dump());
}

/// In the order of the file; attributes that Python hides by `_` (hooks of a pickled module) only when all is asked
/// for.
std::vector<const Object*> shown_objects(const Checkpoint& checkpoint, const Page& page) {
  std::vector<const Object*> shown;
  for (const Object& object : checkpoint.objects()) {
    const bool is_hidden =
        object.key().starts_with("_") && checkpoint.containers()[object.container].kind == ContainerKind::Module;
    if (page.style().all || (!is_hidden && shown.size() < kObjectRows)) shown.push_back(&object);
  }
  return shown;
}

/// Each value on one line, cut: --json has it whole.
void objects(const Checkpoint& checkpoint, Page& page) {
  if (checkpoint.objects().empty()) return;
  page.line();
  page.line(page.paint(Ink::Bold, base::plural(checkpoint.objects().size(), "object") + " beside the tensors:"));
  const std::vector<const Object*> shown = shown_objects(checkpoint, page);
  std::size_t name = 0, type = 0;
  for (const Object* object : shown) {
    name = std::max(name, std::min(kShapeWidth, base::display_width(safe(object->name))));
    type = std::max(type, std::min(kShapeWidth, base::display_width(safe(type_name(object->value)))));
  }
  for (const Object* object : shown) {
    const auto cell = [&](const std::string& text, std::size_t width) {
      return rendering::pad_right(rendering::cut_middle(safe(text), width, page.style()), width);
    };
    const std::string line = fmt::format("  {}  {}  {}", cell(object->name, name), cell(type_name(object->value), type),
                                         value_text(object->value));
    page.line(page.style().all ? line : rendering::cut_end(line, page.style().width, page.style()));
  }
  more(checkpoint.objects().size() - shown.size(), page);
}

void metadata(const Checkpoint& checkpoint, Page& page) {
  const auto all = checkpoint.metadata();
  if (all.empty()) return;
  page.line();
  page.line(page.paint(Ink::Bold, "metadata of the format:"));
  const std::size_t shown = shown_of(all.size(), kObjectRows, page);
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string line = fmt::format("  {}  {}", safe(all[i].first), safe(all[i].second));
    page.line(page.style().all ? line : rendering::cut_end(line, page.style().width, page.style()));
  }
  more(all.size() - shown, page);
}

void remarks(const Checkpoint& checkpoint, Page& page) {
  const std::uint64_t sharing = rendering::sharing_tensors(checkpoint);
  const bool has_blueprint = !checkpoint.blueprint_json().empty();
  if (sharing == 0 && !has_blueprint && checkpoint.warnings().empty()) return;
  page.line();
  if (sharing > 0)
    page.paragraph("note: ", base::plural(sharing, "tensor") + " share their storage with another one", 2);
  if (has_blueprint) page.paragraph("note: ", "the checkpoint has a blueprint (--json shows it)", 2);
  for (const std::string& warning : checkpoint.warnings()) page.paragraph("warning: ", safe(warning), 2, Ink::Yellow);
}

}  // namespace

std::string render_text(const Checkpoint& checkpoint, const InspectOptions& options, const TextStyle& style) {
  Page page(style);
  header(checkpoint, page);
  state_dicts(checkpoint, page);
  tensors(checkpoint, options, page);
  objects(checkpoint, page);
  metadata(checkpoint, page);
  remarks(checkpoint, page);
  return page.take();
}

}  // namespace tenon
