// The code of a TorchScript archive as trees: classes with their declarations, functions with their statements.
//
//   class Linear(Module):                       a class: what it declares, its methods
//     __parameters__ = ["weight", ]
//     weight : Tensor
//     in_features : Final[int] = 3
//     def forward(self: ..., input: Tensor) -> Tensor:
//       weight = self.weight
//       return torch.linear(input, weight)
//
// Nothing here knows what an operation does; src/model/script/walk.cpp follows what the trees say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/script/tokens.hpp"

namespace tenon::model::script {

struct Expr {
  enum class Kind : std::uint8_t {
    Name,         ///< `text`
    Literal,      ///< `text` is JSON
    Sequence,     ///< list or tuple: its `items`
    Dict,         ///< key, value, key, value
    Attribute,    ///< of items[0], called `text`
    Subscript,    ///< of items[0]; the index is items[1]
    Call,         ///< of items[0] with the other items; `keywords` stands beside those, "" for positional ones
    Operator,     ///< `text` of one or two items, under the name of the function that does the same: `add`
    Conditional,  ///< items: the condition, the value, the other value
  };
  Kind kind = Kind::Literal;
  std::string text = "null";
  std::vector<Expr> items;
  std::vector<std::string> keywords;
};

struct Statement {
  enum class Kind : std::uint8_t { Nothing, Assign, Evaluate, Return, If, For, While };
  Kind kind = Kind::Nothing;
  Expr target;  ///< Assign, For
  Expr value;   ///< what is assigned, evaluated, returned; the condition; what is gone through
  std::vector<Statement> body, otherwise;
};

struct Parameter {
  std::string name;
  std::string type;  ///< its first word: `Tensor`, `Optional`, `int`; "" where none is written
  std::optional<Expr> initial;
};

struct Function {
  std::string name;
  std::vector<Parameter> parameters;
  std::vector<Statement> body;
};

struct ClassCode {
  std::string base;                                     ///< `Module`, `NamedTuple`, ...; "" for none
  std::vector<std::string> parameters, buffers;         ///< names that are declared as such
  std::vector<std::string> attributes;                  ///< all names that are declared, in order
  std::vector<std::pair<std::string, Expr>> constants;  ///< `x : Final[int] = 3`
  std::map<std::string, Function, std::less<>> methods;

  bool is_module() const { return base == "Module"; }
};

/// By qualified name: `__torch__.torch.nn.modules.linear.Linear`.
struct Program {
  std::map<std::string, ClassCode, std::less<>> classes;
  std::map<std::string, Function, std::less<>> functions;
};

/// Adds what `source` defines to `program`. `module` is the first part of its names:
/// `__torch__.torch.nn.modules.linear`. Throws Error: Corrupt (not the language that PyTorch prints; with the byte),
/// Limit (nested too deeply).
void parse_source(std::string_view source, const std::string& module, const Place& place, Program& program);

}  // namespace tenon::model::script
