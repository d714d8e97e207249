#include "match/name.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace tenon::match {
namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return is_lower(c) || is_upper(c) || static_cast<unsigned char>(c) >= 0x80; }

/// Where the run of letters that starts at `at` ends: before a digit or sign, before the capital of a next word.
std::size_t word_end(std::string_view name, std::size_t at) {
  std::size_t end = at + 1;
  for (; end < name.size() && is_letter(name[end]); ++end) {
    if (!is_upper(name[end])) continue;
    const bool after_lower = !is_upper(name[end - 1]);
    const bool before_lower = end + 1 < name.size() && is_lower(name[end + 1]);
    if (after_lower || before_lower) break;
  }
  return end;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  return result;
}

constexpr std::int64_t kMaxNumber = 1'000'000'000;

std::int64_t number_at(std::string_view name, std::size_t& at) {
  std::int64_t number = 0;
  for (; at < name.size() && is_digit(name[at]); ++at) number = std::min(kMaxNumber, number * 10 + (name[at] - '0'));
  return number;
}

/// `block1a`, `res2d`: a letter that counts on after a number. `conv2d`, `norm1d`, `4h` and `1x1` are none.
bool is_counting_letter(std::string_view name, std::size_t at) {
  if (at >= name.size() || !is_lower(name[at]) || name[at] == 'h' || name[at] == 'x') return false;
  const std::string_view before = name.substr(0, at - 1);
  if (name[at] == 'd' && (before.ends_with("onv") || before.ends_with("orm") || before.ends_with("ool"))) return false;
  return at + 1 == name.size() || !(is_letter(name[at + 1]) || is_digit(name[at + 1]));
}

/// `1x1`, `3x3x3`: extents of a kernel are a word. Returns where it ends, `at` where there is none.
std::size_t kernel_end(std::string_view name, std::size_t at) {
  const auto digits = [&](std::size_t from) {
    while (from < name.size() && is_digit(name[from])) ++from;
    return from;
  };
  std::size_t end = digits(at);
  bool is_kernel = false;
  for (; end + 1 < name.size() && name[end] == 'x' && is_digit(name[end + 1]); is_kernel = true) end = digits(end + 1);
  const bool goes_on = end < name.size() && is_letter(name[end]);
  return is_kernel && !goes_on ? end : at;
}

/// `f.a.0`, `branch.b.conv`: a letter of its own that counts; the last word is none (`b` is a bias).
bool is_counting_word(std::string_view name, std::size_t at) {
  const auto is_sign = [](char c) { return !is_letter(c) && !is_digit(c); };
  return name[at] >= 'a' && name[at] <= 'd' && at > 0 && is_sign(name[at - 1]) && at + 2 < name.size() &&
         name[at + 1] == '.';
}

std::vector<Token> tokens_of(std::string_view name, Words& words) {
  std::vector<Token> tokens;
  std::size_t at = 0;
  while (at < name.size()) {
    if (const std::size_t kernel = kernel_end(name, at); kernel > at) {
      tokens.push_back({words.id(name.substr(at, kernel - at)), -1});
      at = kernel;
    } else if (is_digit(name[at])) {
      tokens.push_back({0, number_at(name, at)});
      if (is_counting_letter(name, at)) tokens.push_back({0, name[at++] - 'a'});
    } else if (is_letter(name[at]) && is_counting_word(name, at)) {
      tokens.push_back({0, name[at++] - 'a'});
    } else if (is_letter(name[at])) {
      const std::size_t end = word_end(name, at);
      tokens.push_back({words.id(lower(name.substr(at, end - at))), -1});
      at = end;
    } else {
      ++at;
    }
  }
  return tokens;
}

struct LeafWords {
  std::array<std::string_view, 3> words;  ///< the last words of the name, "" for none
  Leaf leaf;
};

constexpr LeafWords kLeaves[] = {
    {{"num", "batches", "tracked"}, Leaf::Counter},
    {{"", "running", "mean"}, Leaf::Mean},
    {{"", "moving", "mean"}, Leaf::Mean},
    {{"", "running", "var"}, Leaf::Variance},
    {{"", "running", "variance"}, Leaf::Variance},
    {{"", "moving", "var"}, Leaf::Variance},
    {{"", "moving", "variance"}, Leaf::Variance},
    {{"", "weight", "g"}, Leaf::Gain},
    {{"", "weight", "v"}, Leaf::Direction},
    {{"", "", "mean"}, Leaf::Mean},
    {{"", "", "variance"}, Leaf::Variance},
    {{"", "", "var"}, Leaf::Variance},
    {{"", "", "weight"}, Leaf::Weight},
    {{"", "", "weights"}, Leaf::Weight},
    {{"", "", "kernel"}, Leaf::Weight},
    {{"", "", "w"}, Leaf::Weight},
    {{"", "", "bias"}, Leaf::Bias},
    {{"", "", "biases"}, Leaf::Bias},
    {{"", "", "beta"}, Leaf::Bias},
    {{"", "", "offset"}, Leaf::Bias},
    {{"", "", "b"}, Leaf::Bias},
    {{"", "", "gamma"}, Leaf::Scale},
    {{"", "", "scale"}, Leaf::Scale},
    {{"", "", "g"}, Leaf::Scale},
};

/// Short for a leaf where others of a norm stand beside it; elsewhere words of their own.
constexpr LeafWords kLeavesInCompany[] = {
    {{"", "", "shift"}, Leaf::Bias},     {{"", "", "s"}, Leaf::Scale},     {{"", "", "mu"}, Leaf::Mean},
    {{"", "", "rm"}, Leaf::Mean},        {{"", "", "rv"}, Leaf::Variance}, {{"", "", "riv"}, Leaf::Variance},
    {{"", "", "sigma"}, Leaf::Variance},
};

/// How many of the last tokens are the leaf's words; 0 when they are other words.
std::size_t leaf_length(const std::vector<Token>& tokens, const LeafWords& leaf, const Words& words) {
  std::size_t length = 0;
  for (std::size_t i = 3; i-- > 0 && !leaf.words[i].empty(); ++length) {
    if (length >= tokens.size()) return 0;
    const Token& token = tokens[tokens.size() - 1 - length];
    if (token.is_number() || words.text(token.word) != leaf.words[i]) return 0;
  }
  return length;
}

bool is_word(const Token& token, const Words& words, std::string_view text) {
  return !token.is_number() && words.text(token.word) == text;
}

/// `weight_ih_l0`, `bias_hh_l1_reverse`: the leaf stands before the place. It is put last.
void move_recurrent_leaf(std::vector<Token>& tokens, const Words& words) {
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    const bool is_place = is_word(tokens[i + 1], words, "ih") || is_word(tokens[i + 1], words, "hh");
    if (!is_place || !(is_word(tokens[i], words, "weight") || is_word(tokens[i], words, "bias"))) continue;
    std::rotate(tokens.begin() + static_cast<std::ptrdiff_t>(i), tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                tokens.end());
    return;
  }
}

/// `parametrizations.weight.original0`: torch's newer form of weight_g (0) and weight_v (1).
bool take_parametrization(ParsedName& parsed, const Words& words) {
  auto& tokens = parsed.tokens;
  if (tokens.size() < 4 || !tokens.back().is_number()) return false;
  const std::size_t at = tokens.size() - 4;
  if (!is_word(tokens[at + 2], words, "original") || !is_word(tokens[at], words, "parametrizations")) return false;
  parsed.leaf = tokens.back().number == 0 ? Leaf::Gain : Leaf::Direction;
  tokens.resize(at);
  return true;
}

/// Moves the words of a leaf from the end of the tokens to the leaf.
bool take_leaf(ParsedName& parsed, std::span<const LeafWords> leaves, const Words& words) {
  for (const LeafWords& leaf : leaves) {
    const std::size_t length = leaf_length(parsed.tokens, leaf, words);
    if (length == 0) continue;
    const auto begin = parsed.tokens.end() - static_cast<std::ptrdiff_t>(length);
    const std::string& last = words.text(parsed.tokens.back().word);
    parsed.is_kernel = last == "kernel" || last == "w";
    parsed.leaf_own.assign(begin, parsed.tokens.end());
    parsed.tokens.erase(begin, parsed.tokens.end());
    parsed.leaf = leaf.leaf;
    return true;
  }
  return false;
}

/// `Wq` and `bq`, `W1` and `b1`: leaf and part in one word. The part stays, as the weight's is called.
bool take_glued_leaf(ParsedName& parsed, Words& words) {
  auto& tokens = parsed.tokens;
  if (tokens.size() < 2) return false;
  const bool has_number = tokens.back().is_number();
  Token& token = tokens[tokens.size() - (has_number ? 2 : 1)];
  if (token.is_number()) return false;
  const std::string text = words.text(token.word);
  const std::string_view part = std::string_view(text).substr(1);
  const bool is_part = has_number ? part.empty() : part == "q" || part == "k" || part == "v" || part == "o";
  if (!is_part || (text[0] != 'w' && text[0] != 'b')) return false;
  parsed.leaf = text[0] == 'w' ? Leaf::Weight : Leaf::Bias;
  parsed.is_kernel = text[0] == 'w';
  token.word = words.id("w" + std::string(part));
  return true;
}

struct Short {
  std::string_view word, stem;
};
constexpr Short kShort[] = {
    {"projection", "proj"},
    {"projector", "proj"},
    {"convolution", "conv"},
    {"embedding", "emb"},
    {"embed", "emb"},
    {"embedder", "emb"},
    {"normalization", "norm"},
    {"attention", "attn"},
    {"encoder", "enc"},
    {"decoder", "dec"},
    {"position", "pos"},
    {"positional", "pos"},
    {"linear", "lin"},
    {"image", "img"},
    {"visual", "vision"},
    {"text", "txt"},
    {"context", "txt"},
    {"add", "txt"},
    {"added", "txt"},
    {"query", "q"},
    {"key", "k"},
    {"value", "v"},
    {"output", "out"},
    {"input", "in"},
    {"relative", "rel"},
    {"residual", "res"},
    {"temporal", "time"},
    {"middle", "mid"},
    {"previous", "prev"},
    {"reduction", "reduce"},
    {"expansion", "expand"},
    {"upsampler", "upsample"},
    {"downsampler", "downsample"},
    {"upsampling", "upsample"},
    {"downsampling", "downsample"},
    {"convolutional", "conv"},
    {"bottleneck", "neck"},
};

/// Without the plural's s, and short where the field has a short form.
std::string_view stem_of(std::string_view word) {
  if (word.size() > 3 && word.ends_with("s") && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is"))
    word.remove_suffix(1);
  const auto found =
      std::find_if(std::begin(kShort), std::end(kShort), [&](const Short& row) { return row.word == word; });
  return found == std::end(kShort) ? word : found->stem;
}

/// Collections that Flax and Haiku put before every name of a kind, and TensorFlow's `:0` behind it.
std::string_view without_collection(std::string_view name) {
  for (const std::string_view first : {"params", "batch_stats"})
    if (name.starts_with(first) && name.size() > first.size() &&
        (name[first.size()] == '.' || name[first.size()] == '/'))
      name.remove_prefix(first.size() + 1);
  if (name.ends_with(":0")) name.remove_suffix(2);
  return name;
}

}  // namespace

Words::Words() : texts_{""}, stems_{0} {}

WordId Words::id(std::string_view word) {
  const auto [at, is_new] = ids_.try_emplace(std::string(word), static_cast<WordId>(texts_.size()));
  if (!is_new) return at->second;
  const WordId made = at->second;
  texts_.push_back(at->first);
  stems_.push_back(made);
  if (const std::string_view stem = stem_of(word); stem != word) stems_[made] = stems_[id(stem)];
  return made;
}

ParsedName parse_name(std::string_view name, Words& words) {
  ParsedName parsed;
  parsed.tokens = tokens_of(without_collection(name), words);
  if (take_parametrization(parsed, words)) return parsed;
  move_recurrent_leaf(parsed.tokens, words);
  if (take_leaf(parsed, kLeaves, words)) return parsed;
  parsed.needs_company = take_leaf(parsed, kLeavesInCompany, words);
  if (!parsed.needs_company) take_glued_leaf(parsed, words);
  return parsed;
}

}  // namespace tenon::match
