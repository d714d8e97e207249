// Rules about what a function is called with: which uses make a dangerous one harmless, and which make an allowed one
// doubtful.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "container/pickle_tree.hpp"
#include "scan/judge.hpp"

namespace tenon::scanning {

/// Functions whose danger lies in their arguments.
enum class Condition : std::uint8_t {
  None,
  GetAttr,        ///< builtins.getattr: of a class and a plain name is how Python writes the members of an enum
  Partial,        ///< functools.partial of a class by name: calls nothing while loading
  TypeOf,         ///< builtins.type with one argument returns a class; with three it makes one
  LoadFromBytes,  ///< torch.storage._load_from_bytes: harmless as far as its bytes are
};

Condition condition_of(std::string_view module, std::string_view name);

/// Of a node that is a Global; nullptr for all others.
using JudgementOf = std::function<const Judgement*(container::NodeId)>;

bool is_harmless_call(const container::PickleTree& tree, const container::PickleCall& call, Condition condition,
                      const JudgementOf& judgement_of);

/// What a function is when all its calls were harmless.
Judgement harmless_judgement(Condition condition);

/// Why an allowed function is called in a way that is not; nothing when the call is as it should be.
std::optional<std::string> misuse(const container::PickleTree& tree, const container::PickleCall& call, Use use,
                                  const JudgementOf& judgement_of);

}  // namespace tenon::scanning
