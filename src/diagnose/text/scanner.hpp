// Scanner: walks a plain text by phrases. Nothing here throws, and every step is linear in what it passes.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::diagnosis {

std::string lowered(std::string_view text);  ///< ASCII letters only
bool has_any(std::string_view text, std::span<const std::string_view> words);

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool find(std::string_view phrase);    ///< moves behind the next `phrase`; false (and no move) if there is none
  bool accept(std::string_view phrase);  ///< moves behind `phrase` if it stands here, after spaces
  void skip_spaces();
  bool at_end() const { return at_ >= text_.size(); }
  std::size_t position() const { return at_; }
  void move_to(std::size_t position) { at_ = position; }
  std::string_view rest() const { return text_.substr(std::min(at_, text_.size())); }

  /// Text up to `end`, which is passed; nothing (and no move) when it does not come within `limit` bytes.
  std::optional<std::string> until(std::string_view end, std::size_t limit);

  /// A name in double or single quotes; spaces in it are line wraps and are taken out.
  std::optional<std::string> quoted();

  /// A name in quotes, or one told level by level: `('decoder', 'norm', 'bias')` is `decoder.norm.bias`.
  std::optional<std::string> name();

  /// Names in quotes between commas. `is_cut` is set when the list ends in "...".
  std::vector<std::string> quoted_list(bool& is_cut);

  /// `torch.Size([64, 3, 7, 7])`, `(64, 3, 7, 7)` or `[64, 3, 7, 7]`.
  std::optional<Shape> shape();

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace tenon::diagnosis
