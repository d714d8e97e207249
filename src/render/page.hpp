// Page: lines of text of a given width, with or without colour. Everything that comes from a file passes through
// escape_for_terminal before it gets here: see `safe`.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/render.hpp>

namespace tenon::rendering {

enum class Ink { Plain, Bold, Dim, Red, Yellow, Green, Cyan };

/// Text from a file, made safe for a terminal.
std::string safe(std::string_view text);
std::vector<std::string> safe(const std::vector<std::string>& texts);

/// Cuts the middle out of a text that is wider than `width` columns: `encoder.la...weight`. What stands at the ends of
/// a key tells more than its middle.
std::string cut_middle(std::string_view text, std::size_t width, const TextStyle& style);

/// Cuts the end off: for values, whose beginning tells most.
std::string cut_end(std::string_view text, std::size_t width, const TextStyle& style);

/// Fills up with blanks.
std::string pad_right(std::string_view text, std::size_t width);
std::string pad_left(std::string_view text, std::size_t width);

/// Breaks at blanks; a word that is wider than the line keeps its line, so that paths can still be copied.
std::vector<std::string> wrap(std::string_view text, std::size_t first_width, std::size_t width);

class Page {
 public:
  explicit Page(const TextStyle& style) : style_(style) {}

  std::string paint(Ink ink, std::string_view text) const;

  void line(std::string_view text = {});
  /// `head` (`painted` on a terminal) and `text`, wrapped; further lines are indented by `indent`.
  void paragraph(std::string_view head, std::string_view text, std::size_t indent, Ink ink = Ink::Plain);
  /// Indented lines, at most three unless everything was asked for, then how many were left out.
  void list(const std::vector<std::string>& items, std::string_view indent);

  const TextStyle& style() const { return style_; }
  std::string take() { return std::move(text_); }

 private:
  TextStyle style_;
  std::string text_;
};

}  // namespace tenon::rendering
