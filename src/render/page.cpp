#include "render/page.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::rendering {

namespace {

constexpr std::size_t kListedItems = 3;

std::string_view code_of(Ink ink) {
  switch (ink) {
    case Ink::Plain: return "";
    case Ink::Bold: return "1";
    case Ink::Dim: return "2";
    case Ink::Red: return "1;31";
    case Ink::Yellow: return "1;33";
    case Ink::Green: return "1;32";
    case Ink::Cyan: return "36";
  }
  throw Bug("unknown Ink");
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

/// The longest start of well-formed `text` that takes at most `width` columns.
std::string_view head_of(std::string_view text, std::size_t width) {
  std::size_t end = 0, taken = 0;
  while (end < text.size()) {
    std::size_t next = end + 1;
    while (next < text.size() && is_continuation(text[next])) ++next;
    taken += base::display_width(text.substr(end, next - end));
    if (taken > width) break;
    end = next;
  }
  return text.substr(0, end);
}

/// The longest end of well-formed `text` that takes at most `width` columns.
std::string_view tail_of(std::string_view text, std::size_t width) {
  std::size_t begin = text.size(), taken = 0;
  while (begin > 0) {
    std::size_t next = begin - 1;
    while (next > 0 && is_continuation(text[next])) --next;
    taken += base::display_width(text.substr(next, begin - next));
    if (taken > width) break;
    begin = next;
  }
  return text.substr(begin);
}

}  // namespace

std::string safe(std::string_view text) { return base::escape_for_terminal(text); }

std::vector<std::string> safe(const std::vector<std::string>& texts) {
  std::vector<std::string> result;
  for (const std::string& text : texts) result.push_back(safe(text));
  return result;
}

std::string cut_middle(std::string_view text, std::size_t width, const TextStyle& style) {
  if (base::display_width(text) <= width) return std::string(text);
  const std::string_view dots = style.unicode ? "…" : "...";
  const std::size_t dots_width = style.unicode ? 1 : 3;
  if (width <= dots_width) return std::string(head_of(text, width));
  const std::size_t tail = (width - dots_width) / 2;  // rounded down: the odd column goes to the head
  return fmt::format("{}{}{}", head_of(text, width - dots_width - tail), dots, tail_of(text, tail));
}

std::string cut_end(std::string_view text, std::size_t width, const TextStyle& style) {
  if (base::display_width(text) <= width) return std::string(text);
  const std::string_view dots = style.unicode ? "…" : "...";
  const std::size_t dots_width = style.unicode ? 1 : 3;
  return fmt::format("{}{}", head_of(text, width > dots_width ? width - dots_width : 0), dots);
}

std::string pad_right(std::string_view text, std::size_t width) {
  const std::size_t taken = base::display_width(text);
  return std::string(text) + std::string(width > taken ? width - taken : 0, ' ');
}

std::string pad_left(std::string_view text, std::size_t width) {
  const std::size_t taken = base::display_width(text);
  return std::string(width > taken ? width - taken : 0, ' ') + std::string(text);
}

std::vector<std::string> wrap(std::string_view text, std::size_t first_width, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t line_width = 0;
  while (!text.empty()) {
    const std::size_t end = text.find(' ', 1);  // from 1: a run of blanks is kept within a line
    const std::string_view word = text.substr(0, end);
    const std::size_t word_width = base::display_width(word);
    if (!line.empty() && line_width + word_width > (lines.empty() ? first_width : width)) {
      lines.push_back(std::move(line));
      line = word.substr(std::min(word.find_first_not_of(' '), word.size()));
      line_width = base::display_width(line);
    } else {
      line += word;
      line_width += word_width;
    }
    text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  }
  lines.push_back(std::move(line));
  return lines;
}

std::string Page::paint(Ink ink, std::string_view text) const {
  if (!style_.colour || ink == Ink::Plain) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code_of(ink), text);
}

void Page::line(std::string_view text) {
  text_ += text.substr(0, text.find_last_not_of(' ') + 1);
  text_ += '\n';
}

void Page::paragraph(std::string_view head, std::string_view text, std::size_t indent, Ink ink) {
  const std::string whole = fmt::format("{}{}", head, text);
  const std::size_t width = std::max<std::size_t>(style_.width, indent + 20);
  const std::vector<std::string> lines = wrap(whole, width, width - indent);
  const bool has_head = lines[0].starts_with(head);  // else the head itself was broken, and is not painted
  line(has_head ? paint(ink, head) + lines[0].substr(head.size()) : lines[0]);
  for (std::size_t i = 1; i < lines.size(); ++i) line(std::string(indent, ' ') + lines[i]);
}

void Page::list(const std::vector<std::string>& items, std::string_view indent) {
  const std::size_t shown = style_.all ? items.size() : std::min(items.size(), kListedItems);
  for (std::size_t i = 0; i < shown; ++i)
    line(fmt::format("{}{}", indent,
                     cut_middle(items[i], std::max<std::size_t>(style_.width, 30) - indent.size(), style_)));
  if (shown < items.size())
    line(fmt::format("{}... and {} more (--all)", indent, base::count_text(items.size() - shown)));
}

}  // namespace tenon::rendering

namespace tenon {

std::string shell_quoted(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  if (rendering::safe(text) !=
      text) {  // control characters and broken UTF-8 would act on the terminal: as bash spells them
    std::string spelled = "$'";
    for (const char c : text) {
      const bool is_plain = c >= 0x20 && c < 0x7F;
      if (is_plain && (c == '\'' || c == '\\')) spelled += '\\';
      spelled += is_plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return spelled + "'";
  }
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace tenon
