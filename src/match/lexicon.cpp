#include "match/lexicon.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tenon::match {
namespace {

using namespace tag;

struct Entry {
  std::string_view words;  ///< one word or several with single spaces; numbers as they are
  Tags tags;
};

constexpr Tags kQkv = kQuery | kKey | kValue;

constexpr Entry kEntries[] = {
    // attention
    {"q", kQuery},
    {"query", kQuery},
    {"wq", kQuery},
    {"queries", kQuery},
    {"k", kKey},
    {"key", kKey},
    {"wk", kKey},
    {"keys", kKey},
    {"v", kValue},
    {"value", kValue},
    {"wv", kValue},
    {"values", kValue},
    {"qkv", kQkv},
    {"wqkv", kQkv},
    {"query key value", kQkv},
    {"c attn", kQkv},
    {"in proj", kQkv},
    {"w pack", kQkv},
    {"qkvs", kQkv},
    {"kv", kKey | kValue},
    {"key value", kKey | kValue},
    {"wkv", kKey | kValue},
    {"qk", kQuery | kKey},
    {"out proj", kOut},
    {"o proj", kOut},
    {"wo", kOut},
    {"o", kOut},
    {"to out", kOut},
    {"proj out", kOut},
    {"attn", kAttention},
    {"att", kAttention},
    {"attention", kAttention},
    {"attentions", kAttention},
    {"selfattention", kAttention | kSelf},
    {"selfattn", kAttention | kSelf},
    {"self attn", kAttention | kSelf},
    {"self attention", kAttention | kSelf},
    {"mha", kAttention},
    {"sa", kAttention},
    {"msa", kAttention},
    {"attn 1", kAttention},
    {"multi head attention", kAttention},
    {"multi head dot product attention", kAttention},
    {"multi head dot product attention 0", kAttention},
    {"cross attn", kCross},
    {"cross attention", kCross},
    {"crossattention", kCross},
    {"encoder attn", kCross},
    {"encoder attention", kCross},
    {"enc dec attention", kCross},
    {"encoder decoder attention", kCross},
    {"multihead attn", kCross | kSecond},
    {"src attn", kCross},
    {"context attn", kCross},
    {"ca", kCross},
    {"cross", kCross},
    {"attn 2", kCross},
    {"xattn", kCross},
    {"inter attention", kCross},
    {"cross attn attn", kCross},
    // feed-forward
    {"mlp", kFeedForward},
    {"ffn", kFeedForward},
    {"ff", kFeedForward},
    {"ffw", kFeedForward},
    {"ffwd", kFeedForward},
    {"feedforward", kFeedForward},
    {"feed forward", kFeedForward},
    {"dense relu dense", kFeedForward},
    {"intermediate", kFeedForward | kUp},
    {"mlps", kFeedForward},
    {"up proj", kUp},
    {"c fc", kFeedForward | kUp},
    {"fc in", kFeedForward | kUp},
    {"fc out", kFeedForward | kDown},
    {"fc 1", kFeedForward | kUp},
    {"fc 2", kFeedForward | kDown},
    {"lin 1", kFeedForward | kUp},
    {"lin 2", kFeedForward | kDown},
    {"linear 1", kFeedForward | kUp},
    {"linear 2", kFeedForward | kDown},
    {"linear fc 1", kFeedForward | kUp},
    {"linear fc 2", kFeedForward | kDown},
    {"dense h to 4 h", kFeedForward | kUp},
    {"dense 4 h to h", kFeedForward | kDown},
    {"wi", kFeedForward | kUp},
    {"wi 0", kFeedForward | kGate},
    {"wi 1", kFeedForward | kUp},
    {"fc 1 g", kFeedForward | kGate},
    {"fc 1 x", kFeedForward | kUp},
    {"w 12", kFeedForward | kUp | kGate},
    {"gate up", kFeedForward | kUp | kGate},
    {"up gate", kFeedForward | kUp | kGate},
    {"gate up proj", kFeedForward | kUp | kGate},
    {"gate", kGate},
    {"gate proj", kFeedForward | kGate},
    {"down proj", kFeedForward | kDown},
    {"gate exps", kFeedForward | kGate | kExpert},
    {"up exps", kFeedForward | kUp | kExpert},
    {"down exps", kFeedForward | kDown | kExpert},
    {"experts", kExpert},
    {"expert", kExpert},
    {"exps", kExpert},
    {"router", kRouter},
    {"gate inp", kRouter},
    {"w 2", kFeedForward | kDown},
    {"ffn output", kFeedForward | kDown},
    {"dense 0", kFeedForward | kUp},
    {"dense 1", kFeedForward | kDown},
    // norms
    {"norm", kNorm},
    {"norms", kNorm},
    {"ln", kNorm},
    {"layernorm", kNorm},
    {"layer norm", kNorm},
    {"bn", kNorm},
    {"batchnorm", kNorm},
    {"batch norm", kNorm},
    {"groupnorm", kNorm},
    {"group norm", kNorm},
    {"gn", kNorm},
    {"rms norm", kNorm},
    {"rmsnorm", kNorm},
    {"normalization", kNorm},
    {"layrnorm", kNorm},
    {"batch normalization", kNorm},
    {"layer normalization", kNorm},
    // tables and tokens
    {"wte", kTokens},
    {"tok embeddings", kTokens},
    {"token embedding", kTokens},
    {"token embeddings", kTokens},
    {"embed tokens", kTokens},
    {"token embd", kTokens},
    {"word embeddings", kTokens},
    {"word embedding", kTokens},
    {"token embed", kTokens},
    {"embed in", kTokens},
    {"embedder", kTokens},
    {"tokens embed", kTokens},
    {"shared", kTokens},
    {"embedding", kTokens},
    {"embeddings", kTokens},
    {"embed", kTokens},
    {"emb", kTokens},
    {"wpe", kPositions},
    {"pos embed", kPositions},
    {"position embed", kPositions},
    {"position embedding", kPositions},
    {"position embeddings", kPositions},
    {"positional embedding", kPositions},
    {"positional embeddings", kPositions},
    {"embed positions", kPositions},
    {"position embd", kPositions},
    {"pos embedding", kPositions},
    {"pos embeddings", kPositions},
    {"pos emb", kPositions},
    {"positional encoding", kPositions},
    {"positions embed", kPositions},
    {"query pos", kPositions},
    {"posembed input pos embedding", kPositions},
    {"token type embeddings", kTypes},
    {"token type embedding", kTypes},
    {"segment embeddings", kTypes},
    {"token types", kTypes},
    {"type embeddings", kTypes},
    {"cls token", kClassToken},
    {"class token", kClassToken},
    {"class embedding", kClassToken},
    {"cls", kClassToken},
    {"cls embedding", kClassToken},
    {"cls pos embed", kClassToken | kPositions},
    {"dist token", kDistilled},
    {"distillation token", kDistilled},
    {"dist", kDistilled},
    {"head dist", kDistilled | kHead},
    {"distillation classifier", kDistilled | kHead},
    {"distillation", kDistilled},
    {"mask token", kMaskToken},
    {"mask embed", kMaskToken},
    {"mask emb", kMaskToken},
    {"masked spec embed", kMaskToken},
    {"patch embed", kPatch},
    {"patch embedding", kPatch},
    {"patch embeddings", kPatch},
    {"patch embeds", kPatch},
    {"patch embd", kPatch},
    {"patchify", kPatch},
    {"conv proj", kPatch},
    {"stem", kStem},
    {"embedder embedder", kStem},
    {"conv stem", kStem},
    {"root", kStem},
    {"relative position bias table", kRelative},
    {"relative attention bias", kRelative},
    {"rel pos bias", kRelative},
    {"rel bias", kRelative},
    {"relative position bias", kRelative},
    {"relative position index", kIndexTable},
    {"attn rel b", kRelative | kAttention},
    {"relpos bias", kRelative},
    {"position ids", kIndexTable},
    {"relative coords table", kIndexTable},
    {"relative bias", kRelative},
    // heads
    {"lm head", kHead},
    {"classifier", kHead},
    {"head", kHead},
    {"heads", kHead},
    {"logits", kHead},
    {"predictions", kHead},
    {"prediction", kHead},
    {"score", kHead},
    {"embed out", kHead},
    {"output projection", kHead},
    {"cls head", kHead},
    {"pooler", kPooler},
    {"pool", kPooler},
    {"logit scale", kLogitScale},
    // scales
    {"layer scale", kLayerScale},
    {"layerscale", kLayerScale},
    {"ls", kLayerScale},
    {"gamma", kLayerScale},
    {"lambda", kLayerScale},
    {"layer scale parameter", kLayerScale},
    // convolutional networks
    {"downsample", kShortcut},
    {"shortcut", kShortcut},
    {"skip", kShortcut},
    {"identity", kShortcut},
    {"conv shortcut", kShortcut},
    {"skip connection", kShortcut},
    {"nin shortcut", kShortcut},
    {"residual", kShortcut},
    {"dw", kDepthwise},
    {"dwconv", kDepthwise},
    {"depthwise", kDepthwise},
    {"conv dw", kDepthwise},
    {"depthwise conv", kDepthwise},
    {"pw", kPointwise},
    {"pointwise", kPointwise},
    {"pwconv", kPointwise},
    {"pwconv 1", kFeedForward | kUp},
    {"pwconv 2", kFeedForward | kDown},
    {"pointwise conv 1", kFeedForward | kUp},
    {"pointwise conv 2", kFeedForward | kDown},
    {"reduce", kReduce},
    {"conv reduce", kReduce},
    {"squeeze", kReduce},
    {"expand", kExpand},
    {"conv expand", kExpand},
    {"excite", kExpand},
    {"excitation", kExpand},
    // towers
    {"visual", kVision},
    {"vision", kVision},
    {"image", kVision},
    {"img", kVision},
    {"vit", kVision},
    {"pixel", kVision},
    {"text", kText},
    {"txt", kText},
    {"language", kText},
    {"encoder", kEncoder},
    {"enc", kEncoder},
    {"decoder", kDecoder},
    {"dec", kDecoder},
    {"mid", kMiddle},
    {"middle", kMiddle},
    {"bottleneck", kMiddle},
    {"input blocks", kEncoder},
    {"down blocks", kEncoder},
    {"output blocks", kDecoder},
    {"up blocks", kDecoder},
    {"time", kTime},
    {"temb", kTime},
    {"timestep", kTime},
    {"t", kTime},
    {"emb layers", kTime},
    {"time emb", kTime},
    {"time embed", kTime},
    {"time embedding", kTime},
    {"time emb proj", kTime},
};

constexpr std::size_t kLongestPhrase = 6;

const std::unordered_map<std::string_view, Tags>& table() {
  static const auto* made = [] {
    auto* map = new std::unordered_map<std::string_view, Tags>;
    for (const Entry& entry : kEntries) map->emplace(entry.words, entry.tags);
    return map;
  }();
  return *made;
}

/// A path as words; numbers as digits.
std::vector<std::string> spelled(std::span<const Token> path, const Words& words) {
  std::vector<std::string> result;
  for (const Token& token : path)
    result.push_back(token.is_number() ? std::to_string(token.number) : words.text(token.word));
  return result;
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Reads the phrases of a path, the longest first, and keeps what they add up to.
class Reader {
 public:
  Reader(std::vector<std::string> path, const Kind& kind) : path_(std::move(path)), kind_(kind) {}

  Meaning read() {
    for (std::size_t at = 0; at < path_.size();) at += phrase(at);
    meaning_.has_norm_word = has(kNorm);
    if ((kind_.axes < 2) && !kind_.is_alone) meaning_.tags |= kNorm;
    settle_parts();
    settle_things();
    settle_place();
    return meaning_;
  }

 private:
  std::size_t phrase(std::size_t at) {
    std::string text;
    std::size_t length = 0;
    Tags tags = 0;
    for (std::size_t n = 1; n <= kLongestPhrase && at + n <= path_.size(); ++n) {
      text += (n > 1 ? " " : "") + path_[at + n - 1];
      const auto found = table().find(text);
      if (found == table().end()) continue;
      length = n;
      tags = found->second;
    }
    if (length == 0) {
      other(path_[at], at > 0 && path_[at - 1] == "0");
      return 1;
    }
    // `token_and_position_embedding/token_embedding`: the phrase nearer to the tensor names the table.
    if (tags == kTokens && length > 1) meaning_.tags &= ~(kPositions | kTypes);
    add(tags);
    return length;
  }

  /// Later words stand nearer to the tensor: what they say of the unit replaces what came before.
  void add(Tags tags) {
    if ((tags & kUnits) != 0) meaning_.tags &= ~kUnits;
    if ((tags & kUnits) != 0 && (tags & kParts) == 0) meaning_.tags &= ~kParts;
    meaning_.tags |= tags;
    last_ = tags;
  }

  void other(const std::string& word, bool is_first) {
    if (word == "up" && has(kFeedForward)) meaning_.tags |= kUp;  // elsewhere it is a direction: `bottom_up`
    if (word == "down" && has(kFeedForward)) meaning_.tags |= kDown;
    if (is_one_of(word, {"post", "after"})) is_post_ = true;
    if (is_one_of(word, {"pre", "before", "input", "in"})) is_pre_ = true;
    if (is_one_of(word, {"final", "last", "f", "output", "out"})) is_final_ = true;
    // `net.0.proj` opens a sequence, whatever its word says.
    if (is_one_of(word, {"proj", "projection", "out", "output", "dense", "lin", "fc"}) && !is_first) is_closing_ = true;
    if (is_one_of(word, {"proj", "projection"})) meaning_.tags |= kProjection;
  }

  bool has(Tags tags) const { return (meaning_.tags & tags) != 0; }
  const std::string& word(std::size_t from_end) const {
    static const std::string none;
    return path_.size() > from_end ? path_[path_.size() - 1 - from_end] : none;
  }

  bool is_norm() const { return has(kNorm) && ((kind_.axes < 2) || !has(kParts)); }

  void settle_parts() {
    if (!has(kUnits) && word(1) == "output" && word(0) == "dense") meaning_.tags |= kFeedForward | kDown;
    if (kind_.has_third_w && word(1) == "w" && word(0) == "1") meaning_.tags |= kFeedForward | kGate;
    if (kind_.has_third_w && word(1) == "w" && word(0) == "3") meaning_.tags |= kFeedForward | kUp;
    if (!kind_.has_third_w && word(1) == "w" && word(0) == "1") meaning_.tags |= kFeedForward | kUp;
    if (is_norm()) {
      meaning_.tags &= ~(kOut | kUp | kDown | kGate);
      return;
    }
    const bool in_attention = has(kAttention | kCross);
    const bool closes = is_closing_ || (word(1) == "c" && word(0) == "proj");
    if (closes && !has(kParts)) meaning_.tags |= in_attention ? kOut : has(kFeedForward) ? kDown : 0;
    if (has(kFeedForward) && has(kOut)) meaning_.tags = (meaning_.tags & ~kOut) | kDown;  // `wo` of a feed-forward
    if (in_attention && (meaning_.tags & kParts & (kUp | kDown | kGate)) != 0 && has(kQkv | kOut))
      meaning_.tags &= ~(kUp | kDown | kGate);
  }

  void settle_things() {
    if (kind_.axes != 2 || kind_.has_bias) meaning_.tags &= ~kTokens;
    if (path_.size() == 1 && path_[0] == "output" && !(kind_.axes < 2)) meaning_.tags |= kHead;
    if (has(kPositions | kTypes | kPatch | kClassToken | kDistilled | kMaskToken | kRelative | kTime | kStem))
      meaning_.tags &= ~kTokens;
    if (has(kPatch)) meaning_.tags &= ~kStem;
    if (is_norm()) meaning_.tags &= ~kTokens;
    if (!(kind_.axes < 2) && has(kLayerScale) && has(kParts)) meaning_.tags &= ~kLayerScale;
    if (has(kDistilled) && has(kClassToken)) meaning_.tags &= ~kClassToken;
  }

  /// `norm1`, `ln_2`: the digit right behind the word.
  double number_behind_norm() const {
    for (std::size_t i = 1; i < path_.size(); ++i)
      if (is_one_of(path_[i - 1], {"norm", "ln", "layernorm", "bn", "gn", "ls", "gamma", "lambda"}) &&
          path_[i].find_first_not_of("0123456789") == std::string::npos && path_[i].size() == 1)
        return std::stod(path_[i]);
    return -1;
  }

  bool says_embedding() const {
    return std::any_of(path_.begin(), path_.end(), [](const std::string& word) {
      return is_one_of(word, {"embeddings", "embedding", "embed", "embd", "emb", "patch", "stem", "embedder"});
    });
  }

  void settle_place() {
    if (!has(kNorm | kLayerScale)) return;
    meaning_.has_place = true;
    const double number = number_behind_norm();
    const double post = is_post_ ? 1 : 0;
    if (has(kAttention))
      meaning_.place = 1 + post;
    else if (has(kCross))
      meaning_.place = 3 + post / 2;
    else if (has(kFeedForward))
      meaning_.place = 4 + post;
    else if (number >= 0)
      meaning_.place = number;
    else if (says_embedding())
      meaning_.place = 0;
    else if (is_pre_)
      meaning_.place = 0.5;
    else if (is_post_ || is_final_)
      meaning_.place = 6;
    else
      meaning_.place = Meaning::kNoPlace;
    meaning_.is_behind = is_post_;
    meaning_.is_counted = !has(kUnits) && number >= 0;
    if (is_norm() && is_post_) meaning_.tags &= ~kUnits;  // a norm behind one unit is the one before the next
  }

  std::vector<std::string> path_;
  Kind kind_;
  Meaning meaning_;
  Tags last_ = 0;
  bool is_post_ = false, is_pre_ = false, is_final_ = false, is_closing_ = false;
};

}  // namespace

double place_of_unit(Tags units) {
  switch (units) {
    case kAttention: return 1;
    case kCross: return 3;
    case kFeedForward: return 4;
    default: return Meaning::kNoPlace;
  }
}

bool names_part(const std::string& word) {
  if (is_one_of(word, {"w", "wi", "fc", "lin", "linear"})) return true;
  if (is_one_of(word, {"up", "down"})) return true;
  const auto found = table().find(word);
  return found != table().end() && (found->second & kParts) != 0 && (found->second & kUnits) == 0;
}

Meaning meaning_of(std::span<const Token> path, const Words& words, const Kind& kind) {
  return Reader(spelled(path, words), kind).read();
}

}  // namespace tenon::match
