// An error for people: what and where in the first line, then expected, found and next, each on its own.
#include <tenon/render.hpp>

#include <fmt/format.h>

#include "base/text.hpp"
#include "render/page.hpp"

namespace tenon {

namespace {

/// "entry archive/data.pkl, key conv1.weight, byte 17"
std::string place_of(const Where& where) {
  std::vector<std::string> parts;
  if (!where.member.empty()) parts.push_back(fmt::format("archive entry `{}`", rendering::safe(where.member)));
  if (!where.key.empty()) parts.push_back(fmt::format("key `{}`", rendering::safe(where.key)));
  if (where.byte) parts.push_back(fmt::format("byte {}", base::count_text(*where.byte)));
  return base::join(parts, ", ");
}

}  // namespace

std::string render_text(const Error& error, const TextStyle& style) {
  constexpr std::size_t kIndent = 12;
  rendering::Page page(style);
  const std::string file = error.where.file.empty() ? "" : rendering::safe(error.where.file) + ": ";
  page.paragraph("tenon: error: ", file + rendering::safe(error.what_happened), 4, rendering::Ink::Red);
  const auto add = [&](std::string_view head, const std::string& text) {
    if (!text.empty()) page.paragraph(head, rendering::safe(text), kIndent, rendering::Ink::Bold);
  };
  add("  where:    ", place_of(error.where));
  add("  expected: ", error.expected);
  add("  found:    ", error.found);
  add("  next:     ", error.next);
  return page.take();
}

}  // namespace tenon
