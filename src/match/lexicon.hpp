// Lexicon: what the field's words say of a module's part in a network: `wq`, `query` and `q_proj` are one thing.
//
// Words of roles only, as papers and textbooks use them; no names of models, no lists of their keys. What a word means
// depends on the words beside it: `proj` in an attention is its output, in a feed-forward network the way down.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "match/name.hpp"

namespace tenon::match {

using Tags = std::uint64_t;

namespace tag {
// Parts of an attention or a feed-forward network. A fused tensor has several.
inline constexpr Tags kQuery = 1U << 0, kKey = 1U << 1, kValue = 1U << 2, kOut = 1U << 3, kUp = 1U << 4,
                      kGate = 1U << 5, kDown = 1U << 6;
inline constexpr Tags kParts = (1U << 7) - 1;
// The unit a part belongs to.
inline constexpr Tags kAttention = 1U << 8, kCross = 1U << 9, kFeedForward = 1U << 10;
inline constexpr Tags kUnits = kAttention | kCross | kFeedForward;
// Where in the whole.
inline constexpr Tags kVision = 1U << 12, kText = 1U << 13, kEncoder = 1U << 14, kDecoder = 1U << 15,
                      kMiddle = 1U << 16;
inline constexpr Tags kTowers = kVision | kText | kEncoder | kDecoder | kMiddle;
// What it is.
inline constexpr Tags kNorm = 1U << 18, kTokens = 1U << 19, kPositions = 1U << 20, kTypes = 1U << 21,
                      kClassToken = 1U << 22, kDistilled = 1U << 23, kMaskToken = 1U << 24, kPatch = 1U << 25,
                      kHead = 1U << 26, kPooler = 1U << 27, kRelative = 1U << 28, kLayerScale = 1U << 29,
                      kRouter = 1U << 30, kShortcut = Tags{1} << 31, kDepthwise = Tags{1} << 32,
                      kPointwise = Tags{1} << 33, kReduce = Tags{1} << 34, kExpand = Tags{1} << 35,
                      kTime = Tags{1} << 36, kLogitScale = Tags{1} << 37, kStem = Tags{1} << 38,
                      kProjection = Tags{1} << 39, kIndexTable = Tags{1} << 40, kExpert = Tags{1} << 41;
// Runs behind the self attention: so in torch's own decoder layer, whose names fix the order.
inline constexpr Tags kSecond = Tags{1} << 42;
// Called an attention to itself: one without that word beside it looks elsewhere.
inline constexpr Tags kSelf = Tags{1} << 43;
inline constexpr Tags kThings = kTokens | kPositions | kTypes | kClassToken | kDistilled | kMaskToken | kPatch | kHead |
                                kPooler | kRelative | kLayerScale | kRouter | kShortcut | kDepthwise | kPointwise |
                                kReduce | kExpand | kTime | kLogitScale | kStem | kIndexTable;
}  // namespace tag

/// What a path of words says.
struct Meaning {
  static constexpr double kNoPlace = 5.5;  ///< of a norm whose name tells none

  Tags tags = 0;
  double place = 0;  ///< order of execution that words or numbers tell; comparable within one side only
  bool has_place = false;
  bool has_norm_word = false;
  bool is_behind = false;   ///< `post`, `after`: the unit that it names is the one before it
  bool is_counted = false;  ///< the place is a number behind the word: `norm2`

  Tags parts() const { return tags & tag::kParts; }
  Tags units() const { return tags & tag::kUnits; }
  Tags things() const { return tags & tag::kThings; }
  Tags towers() const { return tags & tag::kTowers; }
};

/// Where norms stand that belong to an attention of whatever kind.
inline bool is_place_of_attention(double place) { return place >= 1 && place < 4; }

/// What is known of a module beside its name.
struct Kind {
  std::size_t axes = 2;      ///< of its main tensor, not counting those of one element; 1: a norm, a scale
  bool is_alone = false;     ///< a parameter of its own, not a module's weight
  bool has_third_w = false;  ///< `w3` stands beside it: then `w1` is the gate
  bool has_bias = false;     ///< then it is no table of tokens
};

/// Where the norm of one unit stands among a block's; Meaning::kNoPlace for none or several.
double place_of_unit(Tags units);

/// Whether a word tells one part of a unit from the others: `q`, `value`, `gate`, `w` before a number.
bool names_part(const std::string& word);

/// O(tokens). `path` is the path within the block, or the whole one for modules outside of blocks.
Meaning meaning_of(std::span<const Token> path, const Words& words, const Kind& kind);

}  // namespace tenon::match
