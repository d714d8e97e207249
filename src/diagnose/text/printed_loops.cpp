#include "diagnose/text/printed_loops.hpp"

#include <algorithm>

#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kLongestLine = 1'000;
constexpr std::size_t kLongLoop = 3;

struct Word {
  std::size_t begin = 0;
  std::string_view text;
};

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '/' || c == '*' || c == '[' || c == ']';
}

/// The words of a line without the marks around them.
std::vector<Word> words_of(std::string_view line) {
  constexpr std::string_view kMarks = "'\"`(){}<>,;:!?=-.";
  std::vector<Word> words;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    std::size_t begin = at, last = end;
    while (begin < last && kMarks.find(line[begin]) != std::string_view::npos) ++begin;
    while (last > begin && kMarks.find(line[last - 1]) != std::string_view::npos) --last;
    // a logger's marks stand before the first word: `INFO:root:dec.ups.4.bias`
    const auto colon = line.substr(0, last).rfind(':');
    if (colon != std::string_view::npos && colon > begin) begin = colon + 1;
    if (last > begin) words.push_back({begin, line.substr(begin, last - begin)});
    at = end + 1;
  }
  return words;
}

template <class Words>
bool is_among(const std::string& word, const Words& words) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// Words between a name and what is said of it.
bool is_link(std::string_view word) {
  constexpr std::string_view kLinks[] = {"is",   "was",     "are",   "were",  "does", "do",  "did", "has",   "have",
                                         "had",  "could",   "can",   "be",    "been", "it",  "its", "that",  "which",
                                         "but",  "because", "since", "as",    "and",  "the", "a",   "of",    "from",
                                         "will", "so",      "due",   "found", "to",   "for", "in",  "loaded"};
  return is_among(lowered(word), kLinks);
}

bool is_noun(std::string_view word) {
  constexpr std::string_view kNouns[] = {"key",    "keys",   "parameter", "parameters", "param",  "params",
                                         "tensor", "weight", "weights",   "variable",   "buffer", "variables",
                                         "layer",  "name",   "named",     "module"};
  return is_among(lowered(word), kNouns);
}

bool is_name(std::string_view word) {
  const bool has_letter =
      std::any_of(word.begin(), word.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
  return has_letter && std::all_of(word.begin(), word.end(), is_name_char);
}

/// The word that the first cue of a line speaks of: the nearest one before it, or else the nearest behind.
std::optional<std::size_t> subject_of(const std::vector<Word>& words, std::size_t cue) {
  std::size_t at = 0;
  while (at < words.size() && words[at].begin < cue) ++at;
  for (std::size_t before = at; before > 0; --before) {
    const std::string_view word = words[before - 1].text;
    if (is_link(word)) continue;
    if (is_name(word) && !is_noun(word)) return before - 1;
    break;
  }
  for (std::size_t behind = at + 1; behind < words.size(); ++behind) {
    const std::string_view word = words[behind].text;
    if (is_link(word) || is_noun(word)) continue;
    return is_name(word) ? std::optional(behind) : std::nullopt;
  }
  return std::nullopt;
}

/// A line without its name; numbers stand for any number, as those of its time.
std::string frame_of(std::string_view line, const Word& name) {
  std::string frame(line.substr(0, name.begin));
  frame += '\n';
  frame += line.substr(name.begin + name.text.size());
  std::replace_if(
      frame.begin(), frame.end(), [](char c) { return c >= '0' && c <= '9'; }, '0');
  return frame;
}

/// `Key v1_5 not found`, `norm_coeffs not found in model`: what stands before or behind says that it is a name, and no
/// word of a language has such letters.
bool is_announced(std::string_view line, const std::vector<Word>& words, std::size_t at) {
  constexpr std::string_view kPlaces[] = {"model", "checkpoint", "ckpt", "state_dict", "weights", "pretrained"};
  const std::string_view word = words[at].text;
  if (at > 0 && is_noun(words[at - 1].text)) return word.find_first_of("._/0123456789") != std::string_view::npos;
  return word.find('_') != std::string_view::npos && word.find('/') == std::string_view::npos &&
         has_any(lowered(line.substr(words[at].begin + word.size())), kPlaces);
}

}  // namespace

PrintedLoops::PrintedLoops(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.size() > kLongestLine) continue;
    const auto cues = cues_in(lowered(line));
    if (cues.empty()) continue;
    const auto words = words_of(line);
    const auto subject = subject_of(words, cues.front().at);
    if (subject) words_[frame_of(line, words[*subject])].insert(std::string(words[*subject].text));
  }
}

bool PrintedLoops::has_long() const {
  return std::any_of(words_.begin(), words_.end(), [](const auto& line) { return line.second.size() >= kLongLoop; });
}

std::optional<std::string> PrintedLoops::name_in(std::string_view line, const std::vector<CuePlace>& cues) const {
  if (line.size() > kLongestLine) return std::nullopt;
  const auto words = words_of(line);
  const auto subject = subject_of(words, cues.front().at);
  if (!subject) return std::nullopt;
  const auto found = words_.find(frame_of(line, words[*subject]));
  const bool is_loop = found != words_.end() && found->second.size() > 1;
  if (!is_loop && !is_announced(line, words, *subject)) return std::nullopt;
  return std::string(words[*subject].text);
}

}  // namespace tenon::diagnosis
