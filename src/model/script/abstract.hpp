// What is known of a value in the code without running it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tenon/blueprint.hpp>

namespace tenon::model::script {

struct Abstract {
  enum class Kind : std::uint8_t {
    Plain,     ///< `text` is its JSON
    Symbol,    ///< a value that is no tensor and not known: `text` is how it is computed, `size(0)`
    Tensor,    ///< `operand`; `text` is the JSON of a constant
    Sequence,  ///< list or tuple of `items`
    Module,    ///< the module at path `text`
    Name,      ///< a function, class or name space called `text`
  };
  Kind kind = Kind::Plain;
  std::string text = "null";
  Operand operand;
  std::vector<Abstract> items;

  bool is(Kind wanted) const { return kind == wanted; }
  friend bool operator==(const Abstract&, const Abstract&) = default;
};

inline Abstract plain(std::string json) { return {Abstract::Kind::Plain, std::move(json), {}, {}}; }
inline Abstract tensor(Operand operand) { return {Abstract::Kind::Tensor, {}, std::move(operand), {}}; }
Abstract symbol(std::string text);  ///< cut where it is long

/// A list or tuple. One that is too large or deep (lists of lists double with each line) becomes a Symbol.
Abstract sequence(std::vector<Abstract> items);
/// How many values it holds, itself among them.
std::size_t weight_of(const Abstract& value);

/// A tensor in the value or in what it holds.
bool holds_tensor(const Abstract& value);
/// As short text, for symbols: tensors are left out.
std::string text_of(const Abstract& value);

/// What an operation on plain values gives: arithmetic, comparisons, lengths, `__is__`. A Symbol where it is not known.
Abstract fold(const std::string& op, const std::vector<Abstract>& arguments);

/// True, false, or nothing where it is not known.
enum class Truth : std::uint8_t { Unknown, True, False };
Truth truth_of(const Abstract& value);

}  // namespace tenon::model::script
