// Names taken apart: `encoder.layer_3.selfAttn.q_proj.weight` is the words encoder, layer, self, attn, q, proj, the
// number 3, and the leaf Weight.
//
// Dots, slashes, underscores, camelCase and the border between letters and digits all part words; numbers are kept as
// numbers. So schemes that differ in punctuation only are equal here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tenon::match {

using WordId = std::uint32_t;  ///< 0 stands for a number

struct Token {
  WordId word = 0;
  std::int64_t number = -1;

  bool is_number() const { return word == 0; }
  friend bool operator==(const Token&, const Token&) = default;
};

/// The words met so far, both sides in one table.
class Words {
 public:
  Words();
  WordId id(std::string_view word);
  const std::string& text(WordId word) const { return texts_[word]; }
  /// The word that stands for this one in comparisons: singular, and the usual short form (`proj` of `projections`).
  WordId stem(WordId word) const { return stems_[word]; }
  std::size_t size() const { return texts_.size(); }

 private:
  std::unordered_map<std::string, WordId> ids_;
  std::vector<std::string> texts_;
  std::vector<WordId> stems_;
};

/// What a tensor is within its module. `Scale` is the `gamma` or `scale` of a norm, or a parameter of its own.
enum class Leaf : std::uint8_t { Weight, Bias, Mean, Variance, Counter, Gain, Direction, Scale, Alone };

struct ParsedName {
  std::vector<Token> tokens;    ///< all of them, without the leaf's where `leaf` is not Alone
  std::vector<Token> leaf_own;  ///< the leaf's, for a Scale that turns out to stand alone
  Leaf leaf = Leaf::Alone;
  bool is_kernel = false;  ///< called `kernel` or `w`: the input's extents come first there
  bool needs_company =
      false;  ///< `shift`, `s`, `rm`: a leaf only beside others of its size, else a word like any other
};

/// O(length). Any bytes.
ParsedName parse_name(std::string_view name, Words& words);

}  // namespace tenon::match
