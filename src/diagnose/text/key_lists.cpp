// Lists of names as other libraries print them, behind a heading.
//
//   mmcv, mmengine   unexpected key in source state_dict: queue, encoder_q.0.conv1.weight      (bare, one line)
//                    missing keys in source state_dict: conv1.weight, bn1.weight
//   transformers     Some weights of the model checkpoint at P were not used when initializing C: ['a', 'b']
//                    Some weights of C were not initialized from the model checkpoint at P and are newly initialized:
//                    ['a']
//   diffusers        Cannot load <class ...> from P because the following keys are missing: a, b.
//                    Incompatible keys detected: a, b
//   fvcore           The checkpoint state_dict contains keys that are not used by the model:   (one a line)
//                      proposal_generator.anchor_generator.cell_anchors.{0, 1, 2}
//   many programs    Missing keys: ['a', 'b']   missing keys: a, b   unexpected keys = {'a'}
//   any program      Some model parameters are not in the checkpoint:                          (one a line)
//                      backbone.fpn_lateral2.{bias, weight}
//
// The last row is read by its grammar: a heading that says of tensors that they are missing or not wanted, and names
// behind it, on its line or on the lines below. Only a side of which no known heading told is read so.
//
// Source: the named libraries' loaders.
#include <algorithm>
#include <array>

#include "diagnose/names.hpp"
#include "diagnose/text/cues.hpp"
#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxHeadingBytes = 300;
constexpr std::size_t kMaxNameBytes = 2'000;

enum class Side : std::uint8_t { Missing, Unexpected };

struct Heading {
  std::string_view words;
  Side side;
  bool has_more_words = false;  ///< the heading goes on to the next ": "
};
constexpr Heading kHeadings[] = {
    {"issing keys in source state_dict", Side::Missing},
    {"issing key in source state_dict", Side::Missing},
    {"issing key(s) in source state_dict", Side::Missing},
    {"issing key(s): ", Side::Missing},
    {"issing keys", Side::Missing},
    {"issing key in checkpoint", Side::Missing},
    {"issing 1 parameters", Side::Missing},
    {"issing tensor: ", Side::Missing},
    {"issing_keys:", Side::Missing},
    {"issing parameters:", Side::Missing},
    {"issing params:", Side::Missing},
    {"issing in state_dict", Side::Missing},
    {"following keys are missing", Side::Missing},
    {"missing required keys", Side::Missing},
    {"and are newly initialized", Side::Missing, true},
    {"are not found in the checkpoint", Side::Missing},
    {"not found in the checkpoint", Side::Missing},
    {"keys not found in checkpoint", Side::Missing},
    {"nexpected keys in source state_dict", Side::Unexpected},
    {"nexpected key in source state_dict", Side::Unexpected},
    {"nexpected key(s) in source state_dict", Side::Unexpected},
    {"nexpected key(s): ", Side::Unexpected},
    {"nexpected keys", Side::Unexpected},
    {"nexpected_keys:", Side::Unexpected},
    {"nexpected parameters:", Side::Unexpected},
    {"nexpected params:", Side::Unexpected},
    {"ncompatible keys detected", Side::Unexpected},
    {"were not used when initializing", Side::Unexpected, true},
    {"were not used when loading", Side::Unexpected, true},
    {"keys that are not used by the model", Side::Unexpected},
    {"contains keys that are not in the model", Side::Unexpected},
    {"unused keys", Side::Unexpected},
    {"Unused keys", Side::Unexpected},
    {"xtra keys in", Side::Unexpected, true},
    {"parameters not in model", Side::Unexpected},
    {"issing key in checkpoint state_dict", Side::Missing},
    {"keys not found in the model", Side::Unexpected},
    {"not in the model:", Side::Unexpected},
    {"no module or parameter named ", Side::Unexpected},
    {"Not found: Key ", Side::Missing},
    {"ot initialized from", Side::Missing, true},
    {"keys in the checkpoint but not in the model", Side::Unexpected},
};

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '/' || c == '[' || c == ']' || c == '*' || c == '|' || c == '{' || c == '}' || c == ':';
}

/// `a.{b, c}` as `a.b` and `a.c`.
void append_group(const std::string& name, std::vector<std::string>& names) {
  const auto open = name.find('{');
  const auto close = name.find('}');
  if (open == std::string::npos || close == std::string::npos || close < open) {
    names.push_back(name);
    return;
  }
  const std::string front = name.substr(0, open);
  std::size_t at = open + 1;
  while (at < close) {
    const std::size_t end = std::min(name.find(',', at), close);
    std::string part = name.substr(at, end - at);
    part.erase(std::remove(part.begin(), part.end(), ' '), part.end());
    if (!part.empty()) names.push_back(front + part);
    at = end + 1;
  }
}

/// The end of the name that begins at `at`: blanks count only inside braces.
std::size_t end_of_name(std::string_view text, std::size_t at) {
  bool is_group = false;
  const std::size_t limit = std::min(text.size(), at + kMaxNameBytes);
  for (; at < limit; ++at) {
    const char c = text[at];
    if (c == '{') is_group = true;
    if (c == '}') is_group = false;
    if (is_name_char(c) || (is_group && (c == ',' || c == ' '))) continue;
    break;
  }
  return at;
}

/// A word of a sentence is no name: names have a dot or an underscore, or stand alone between commas or line ends.
bool looks_like_name(std::string_view name) {
  if (name.empty() || name.size() > 500 || name == "..." || name.ends_with(':')) return false;
  const bool has_letter =
      std::any_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
  return has_letter && name.front() != '.' && name.front() != '-' && name.find("://") == std::string_view::npos;
}

/// Where a name may begin: behind blanks, line ends and the mark of a list.
std::size_t behind_bullet(std::string_view text, std::size_t at) {
  const auto pass_blanks = [&] {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n')) ++at;
  };
  pass_blanks();
  if (text.substr(at, 2) == "- " || text.substr(at, 2) == "* ") at += 2;
  pass_blanks();
  return at;
}

/// `layers.0.weight`: a dot within it, which no word of a sentence has.
bool has_inner_dot(std::string_view word) {
  const auto dot = word.find('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < word.size();
}

/// Names without quotes between commas and line ends, or between blanks where each has a dot. A sentence's full stop
/// ends the list.
std::vector<std::string> bare_list(std::string_view text, std::size_t& at, bool& is_cut) {
  std::vector<std::string> names;
  while (at < text.size()) {
    at = behind_bullet(text, at);
    const std::size_t end = end_of_name(text, at);
    std::string name(text.substr(at, end - at));
    if (name.ends_with("...")) is_cut = true;
    const bool is_stop = name.ends_with('.');
    while (name.ends_with('.')) name.pop_back();
    const char next = end < text.size() ? text[end] : '\n';
    const bool is_alone = next == ',' || next == '\n' || next == ' ' || next == ';' || next == ')';
    const bool is_dotted = name.find_first_of("._") != std::string::npos;
    const bool is_line = next == '\n' && (at == 0 || text[at - 1] == '\n' || text.substr(0, at).ends_with("\n "));
    if (!looks_like_name(name) || !is_alone || ((next == ' ' || next == '\n') && !is_dotted && !is_line)) break;
    append_group(name, names);
    at = end;
    if (is_stop || is_cut) break;
    while (at < text.size() && text[at] == ' ') ++at;
    const bool is_parted = at < text.size() && (text[at] == ',' || text[at] == '\n');
    if (!is_parted && !(has_inner_dot(name) && has_inner_dot(text.substr(at, end_of_name(text, at) - at)))) break;
    at += is_parted ? 1 : 0;
  }
  return names;
}

/// `Missing keys in the checkpoint: [`: what a heading says further, if nothing but words comes before the list.
void pass_words(Scanner& in) {
  constexpr std::size_t kFewWords = 40;
  const std::size_t start = in.position();
  const auto words = in.until(":", kFewWords);
  const auto is_of_words = [](char c) {  // a count may stand among them: `(24)`
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '(' ||
           c == ')';
  };
  if (words && !std::all_of(words->begin(), words->end(), is_of_words)) in.move_to(start);
}

void read_heading(std::string_view text, const Heading& heading, TextFacts& facts) {
  auto& to = heading.side == Side::Missing ? facts.missing : facts.unexpected;
  for (Scanner in(text); in.find(heading.words);) {
    if (heading.has_more_words && !in.until(": ", kMaxHeadingBytes) && !in.until(":\n", kMaxHeadingBytes)) continue;
    if (!in.accept(":") && !in.accept("=")) pass_words(in);
    const bool is_bracketed = in.accept("[") || in.accept("{") || in.accept("(");
    auto names = in.quoted_list(facts.is_cut);
    if (names.empty() && !is_bracketed) {
      std::size_t end = in.position();
      names = bare_list(text, end, facts.is_cut);
      in.move_to(end);  // a name may hold a heading's words: its list is not read again from there
    }
    const bool is_plural = heading.words.find("keys") != std::string_view::npos || heading.words.ends_with(")");
    if (!is_plural && !is_bracketed && names.size() == 1 && !facts.tells_keys()) facts.is_first_only = true;
    std::move(names.begin(), names.end(), std::back_inserter(to));
  }
}

// Headings in any words.

/// A heading speaks of tensors.
bool names_tensors(std::string_view plain) {
  constexpr std::string_view kSubjects[] = {
      "key",      "keys",    "keys(s)", "key(s)",       "parameter", "parameters", "params",    "param",
      "weight",   "weights", "tensor",  "tensors",      "buffer",    "buffers",    "layers",    "variables",
      "variable", "entries", "modules", "parameter(s)", "names",     "state_dict", "tensor(s)", "weight(s)"};
  for (std::size_t at = 0; at < plain.size();) {
    const std::size_t end = std::min(plain.find_first_of(" ,:=", at), plain.size());
    const std::string_view word = plain.substr(at, end - at);
    if (std::find(std::begin(kSubjects), std::end(kSubjects), word) != std::end(kSubjects)) return true;
    at = end + 1;
  }
  return false;
}

/// Paths of files and classes of Python are no tensors.
bool is_file_or_code(std::string_view name) {
  constexpr std::string_view kEnds[] = {"py", "pt",   "pth", "bin",  "json", "cpp",  "so",  "ckpt", "safetensors",
                                        "h5", "onnx", "txt", "yaml", "pkl",  "gguf", "npz", "tar",  "zip"};
  return name.starts_with("/") || name.starts_with("torch.") || name.find(":") != std::string_view::npos ||
         std::find(std::begin(kEnds), std::end(kEnds), leaf_of(name)) != std::end(kEnds);
}

/// A column of a table: `a.bias,parameter,missing`.
bool is_kind(std::string_view name) { return name != "weight" && names_tensors(name); }

struct NameList {
  std::vector<std::string> names;
  std::size_t end = 0;  ///< in the text
};

/// The names behind a heading; none where they do not look like a list of tensors.
NameList names_behind(std::string_view text, std::size_t at, bool& is_cut) {
  Scanner in(text);
  in.move_to(at);
  in.accept("[") || in.accept("{") || in.accept("(") || in.accept("- ");
  bool cut = false;
  auto names = in.quoted_list(cut);
  std::size_t end = in.position();
  if (names.empty()) names = bare_list(text, end, cut);
  std::erase_if(names, [](const std::string& name) { return is_file_or_code(name) || is_kind(name); });
  const bool has_levels = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.find_first_of("._/") != std::string::npos;
  });
  if (!has_levels) return {{}, end};
  is_cut = is_cut || cut;
  return {std::move(names), end};
}

/// Reads the headings of a text; a side that a known heading told of already is left alone.
class AnyHeadings {
 public:
  AnyHeadings(std::string_view text, TextFacts& facts)
      : text_(text), facts_(facts), is_told_{!facts.missing.empty(), !facts.unexpected.empty()} {}

  void read() {
    for (std::size_t begin = 0; begin < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', begin), text_.size());
      read_line(begin, end);
      begin = std::max(end + 1, begin_of_line(list_end_));
    }
  }

 private:
  /// A line of a list may hold a heading's words: only the one that ends the list is read again.
  std::size_t begin_of_line(std::size_t at) const {
    const auto before = at == 0 ? std::string_view::npos : text_.rfind('\n', at - 1);
    return before == std::string_view::npos ? 0 : before + 1;
  }

  /// A heading ends at a colon, an equals sign, or with its line.
  void read_line(std::size_t begin, std::size_t end) {
    constexpr std::size_t kMostMarks = 8;
    const std::string plain = lowered(text_.substr(begin, std::min(end - begin, kMaxHeadingBytes)));
    const auto cues = cues_in(plain);
    std::size_t marks = 0;
    for (std::size_t at = cues.empty() ? plain.size() + 1 : cues.front().at; at <= plain.size(); ++at) {
      if (!ends_heading(plain, at, begin + at == end)) continue;
      if (++marks > kMostMarks || read_behind(plain, at, begin, cues)) return;
    }
  }

  static bool ends_heading(std::string_view plain, std::size_t at, bool is_line_end) {
    return at == plain.size() ? is_line_end : plain[at] == ':' || plain[at] == '=';
  }

  bool read_behind(const std::string& plain, std::size_t at, std::size_t begin, const std::vector<CuePlace>& cues) {
    if (!names_tensors(std::string_view(plain).substr(0, at))) return false;
    const auto last = std::find_if(cues.rbegin(), cues.rend(), [&](const CuePlace& cue) { return cue.at < at; });
    if (last == cues.rend() || is_told_[last->is_unwanted ? 1 : 0]) return false;
    const std::size_t start = begin + at + (at < plain.size() ? 1 : 0);
    if (start < barren_end_) return false;  // the end of a list without tensors has none, either
    auto [names, end] = names_behind(text_, start, facts_.is_cut);
    (names.empty() ? barren_end_ : list_end_) = end;
    if (names.empty()) return false;
    auto& to = last->is_unwanted ? facts_.unexpected : facts_.missing;
    std::move(names.begin(), names.end(), std::back_inserter(to));
    return true;
  }

  std::string_view text_;
  TextFacts& facts_;
  std::array<bool, 2> is_told_;
  std::size_t list_end_ = 0, barren_end_ = 0;  ///< of the last list with tensors, and of the last one without
};

/// transformers names the model's class before the list: `were not used when initializing BertModel: [...]`.
void read_class(std::string_view text, TextFacts& facts) {
  constexpr std::size_t kMaxClassBytes = 100;
  Scanner in(text);
  if (!facts.target_class.empty() || !in.find("not used when initializing ")) return;
  if (const auto name = in.until(":", kMaxClassBytes)) facts.target_class = *name;
}

/// Gluon stops at the first name, and shows a few of the file's: `Parameter 'a' is missing in file 'f', which contains
/// parameters: 'b', 'c', ..., 'd'`.
void read_gluon(std::string_view text, TextFacts& facts) {
  constexpr std::size_t kMaxFileBytes = 300;
  for (Scanner in(text); in.find("Parameter ");) {
    auto name = in.quoted();
    if (!name) name = in.until(" ", kMaxNameBytes);
    if (!name || !in.accept("is missing in file")) continue;
    facts.missing.push_back(*name);
    if (!in.until("contains parameters:", kMaxFileBytes)) {
      facts.is_first_only = true;
      continue;
    }
    auto names = in.quoted_list(facts.is_cut);
    std::move(names.begin(), names.end(), std::back_inserter(facts.unexpected));
  }
}

}  // namespace

void recognise_key_lists(const PlainText& text, TextFacts& facts) {
  read_class(text.flat, facts);
  read_gluon(text.flat, facts);
  for (const Heading& heading : kHeadings) read_heading(text.lined, heading, facts);
  AnyHeadings(text.lined, facts).read();
}

}  // namespace tenon::diagnosis
