// Tables of keys, one row a line.
//
//   mmcv               | key                | expected shape          | loaded shape             |     (model first)
//                      | fc_cls.weight      | torch.Size([21, 1024])  | torch.Size([81, 1024])   |
//   transformers 5     Key                | Status     | Details
//                      classifier.weight  | MISMATCH   | Reinit due to size mismatch ckpt: torch.Size([2, 768]) vs
//                                                        model: torch.Size([3, 768])
//                      cls.weight         | UNEXPECTED |
//
// Source: mmcv/runner/checkpoint.py, transformers/utils/loading_report.py.
#include <algorithm>

#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxCells = 16;

enum class Kind : std::uint8_t { None, Shapes, Status };

std::string_view trimmed(std::string_view cell) {
  while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
  while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
  return cell;
}

/// Cells between `|` or the line drawing character; empty ones at either end are left out.
std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  while (cells.size() < kMaxCells) {
    const auto bar = line.find('|');
    cells.push_back(trimmed(line.substr(0, bar)));
    if (bar == std::string_view::npos) break;
    line.remove_prefix(bar + 1);
  }
  if (!cells.empty() && cells.front().empty()) cells.erase(cells.begin());
  return cells;
}

Kind kind_of_header(const std::vector<std::string_view>& cells) {
  if (cells.size() < 2 || (cells[0] != "key" && cells[0] != "Key")) return Kind::None;
  if (cells[1].starts_with("expected")) return Kind::Shapes;
  return cells[1] == "Status" ? Kind::Status : Kind::None;
}

void read_shapes_row(const std::vector<std::string_view>& cells, TextFacts& facts) {
  if (cells.size() < 3) return;
  const auto wanted = Scanner(cells[1]).shape(), saved = Scanner(cells[2]).shape();
  if (wanted && saved && *wanted != *saved) facts.mismatched.push_back({std::string(cells[0]), *saved, *wanted});
}

void read_mismatch(std::string_view key, std::string_view details, TextFacts& facts) {
  Scanner in(details);
  if (!in.find("ckpt:")) return;
  const auto saved = in.shape();
  if (!saved || !in.find("model:")) return;
  const auto wanted = in.shape();
  if (wanted && *wanted != *saved) facts.mismatched.push_back({std::string(key), *saved, *wanted});
}

void read_status_row(const std::vector<std::string_view>& cells, TextFacts& facts) {
  if (cells.size() < 2 || cells[0].empty()) return;
  if (cells[1].starts_with("MISSING")) facts.missing.emplace_back(cells[0]);
  if (cells[1].starts_with("UNEXPECTED")) facts.unexpected.emplace_back(cells[0]);
  if (cells[1].starts_with("MISMATCH") && cells.size() > 2) read_mismatch(cells[0], cells[2], facts);
}

}  // namespace

void recognise_tables(const PlainText& text, TextFacts& facts) {
  Kind kind = Kind::None;
  std::string_view rest = text.lined;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find('|') == std::string_view::npos) continue;
    const auto cells = cells_of(line);
    if (const Kind header = kind_of_header(cells); header != Kind::None)
      kind = header;
    else if (kind == Kind::Shapes)
      read_shapes_row(cells, facts);
    else if (kind == Kind::Status)
      read_status_row(cells, facts);
  }
}

}  // namespace tenon::diagnosis
