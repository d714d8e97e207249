// read_text: makes a text plain, then lets every recogniser read it.
#include "diagnose/text/text_facts.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/utf8.hpp"
#include "diagnose/text/recognisers.hpp"

namespace tenon::diagnosis {
namespace {

struct Quote {
  std::string_view from;
  char to;
};
constexpr Quote kQuotes[] = {
    {"\xe2\x80\x9c", '"'}, {"\xe2\x80\x9d", '"'},  {"\xe2\x80\x9e", '"'},  {"\xc2\xab", '"'},
    {"\xc2\xbb", '"'},     {"\xe2\x80\x98", '\''}, {"\xe2\x80\x99", '\''}, {"\xc2\xa0", ' '},
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f'; }

/// Length of a terminal's escape sequence at `at` (ESC [ ... letter), or 0.
std::size_t escape_length(std::string_view text, std::size_t at) {
  if (text[at] != '\x1b') return 0;
  if (at + 1 >= text.size() || text[at + 1] != '[') return 1;
  std::size_t end = at + 2;
  while (end < text.size() && end < at + 32 && (text[end] < '@' || text[end] > '~')) ++end;
  return end < text.size() ? end + 1 - at : end - at;
}

/// The front of a text in valid UTF-8, no longer than `most` bytes.
std::string_view whole_characters(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

const Quote* quote_at(std::string_view text, std::size_t at) {
  if (static_cast<unsigned char>(text[at]) < 0x80) return nullptr;
  for (const Quote& quote : kQuotes)
    if (text.substr(at).starts_with(quote.from)) return &quote;
  return nullptr;
}

enum class LineEnds : std::uint8_t { Blanks, Kept };

void append_space(bool is_line_end, LineEnds line_ends, std::string& result) {
  const bool keeps = is_line_end && line_ends == LineEnds::Kept;
  if (result.empty() || result.back() == '\n') return;
  if (!keeps) {
    if (result.back() != ' ') result += ' ';
    return;
  }
  if (result.back() == ' ') result.pop_back();
  result += '\n';
}

/// One space for every run of white space, straight quotes, no colours.
std::string plain(std::string_view text, LineEnds line_ends) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t length = escape_length(text, at); length > 0) {
      at += length;
    } else if (const Quote* quote = quote_at(text, at)) {
      result += quote->to;
      at += quote->from.size();
    } else if (is_space(text[at])) {
      append_space(text[at] == '\n', line_ends, result);
      ++at;
    } else {
      result += text[at++];
    }
  }
  return result;
}

template <class Row, class Name>
void keep_first(std::vector<Row>& rows, Name name) {
  std::unordered_set<std::string> seen;
  rows.erase(std::remove_if(rows.begin(), rows.end(), [&](const Row& row) { return !seen.insert(name(row)).second; }),
             rows.end());
}

/// A text shows its error twice, or says one thing in two dialects.
void remove_repeats(TextFacts& facts) {
  const auto itself = [](const std::string& name) { return name; };
  keep_first(facts.missing, itself);
  keep_first(facts.unexpected, itself);
  keep_first(facts.mismatched, [](const Mismatch& row) { return row.key; });
}

/// A loader that skips a tensor for its shape lists it as missing, too: it is there.
void remove_skipped(TextFacts& facts) {
  std::unordered_set<std::string_view> shown;
  for (const Mismatch& row : facts.mismatched) shown.insert(row.key);
  const auto is_shown = [&](const std::string& name) { return shown.count(name) > 0; };
  for (auto* names : {&facts.missing, &facts.unexpected})
    names->erase(std::remove_if(names->begin(), names->end(), is_shown), names->end());
}

/// The weight of a linear layer that a framework keeps as [in, out]: the bias beside it has the extents of its last
/// axis. Said as PyTorch would.
void turn_by_bias(TextFacts& facts) {
  constexpr std::string_view kWeight = ".weight", kBias = ".bias";
  std::unordered_map<std::string_view, const Mismatch*> biases;
  for (const Mismatch& row : facts.mismatched)
    if (row.key.ends_with(kBias))
      biases.emplace(std::string_view(row.key).substr(0, row.key.size() - kBias.size()), &row);
  const auto is_turned = [](const Shape& weight, const Shape& bias) {
    return weight.size() == 2 && bias.size() == 1 && weight[0] != bias[0] && weight[1] == bias[0];
  };
  for (Mismatch& row : facts.mismatched) {
    if (!row.key.ends_with(kWeight)) continue;
    const auto bias = biases.find(std::string_view(row.key).substr(0, row.key.size() - kWeight.size()));
    if (bias == biases.end() || !is_turned(row.checkpoint, bias->second->checkpoint) ||
        !is_turned(row.model, bias->second->model))
      continue;
    std::swap(row.checkpoint[0], row.checkpoint[1]);
    std::swap(row.model[0], row.model[1]);
  }
}

}  // namespace

void TextFacts::note(Symptom symptom, std::string_view detail, std::string_view words) {
  constexpr std::size_t kMaxDetailBytes = 200, kMaxExcerptBytes = 120;
  Sighting sighting{symptom, std::string(whole_characters(detail, kMaxDetailBytes)),
                    std::string(whole_characters(words, kMaxExcerptBytes))};
  const auto same =
      std::find_if(sightings.begin(), sightings.end(), [&](const Sighting& other) { return other.symptom == symptom; });
  if (same == sightings.end())
    sightings.push_back(std::move(sighting));
  else if (same->detail.empty() && !sighting.detail.empty())
    *same = std::move(sighting);
}

TextFacts read_text(std::string_view text) {
  const std::string valid = base::to_valid_utf8(text);
  const PlainText readable{plain(valid, LineEnds::Blanks), plain(valid, LineEnds::Kept)};
  TextFacts facts;
  for (const Recognise recognise : kRecognisers) recognise(readable, facts);
  remove_repeats(facts);
  remove_skipped(facts);
  turn_by_bias(facts);
  return facts;
}

Listing checkpoint_shown(const TextFacts& facts) {
  Listing listing;
  listing.label = "the checkpoint in the text";
  for (const std::string& name : facts.unexpected) listing.tensors.push_back({name, {}, {}, Role::Unknown, {}});
  std::unordered_set<std::string_view> known(facts.unexpected.begin(), facts.unexpected.end());
  for (const Mismatch& row : facts.mismatched)
    if (known.insert(row.key).second) listing.tensors.push_back({row.key, {}, row.checkpoint, Role::Unknown, {}});
  return listing;
}

Listing target_shown(const TextFacts& facts) {
  Listing listing;
  listing.label = facts.target_class.empty() ? "the model in the text" : facts.target_class;
  listing.class_name = facts.target_class;
  for (const std::string& name : facts.missing) listing.tensors.push_back({name, {}, {}, Role::Unknown, {}});
  std::unordered_set<std::string_view> known(facts.missing.begin(), facts.missing.end());
  for (const Mismatch& row : facts.mismatched)
    if (known.insert(row.key).second) listing.tensors.push_back({row.key, {}, row.model, Role::Unknown, {}});
  return listing;
}

}  // namespace tenon::diagnosis
