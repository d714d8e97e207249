// Case: everything that a rule may look at, and Finding: what a rule says. The nouns between the engine and the causes.
//
// The engine (engine.cpp) solves by rewriting: it asks the rules in the order of the table (rules.hpp); a rule that
// recognises its cause returns operations; the engine runs them on the state, and the next rule sees the state that
// they left.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/diagnose.hpp>
#include <tenon/error.hpp>
#include <tenon/listing.hpp>

#include "diagnose/file_kind.hpp"
#include "diagnose/gap.hpp"
#include "diagnose/text/text_facts.hpp"
#include "plan/state.hpp"

namespace tenon::diagnosis {

enum class Knowledge : std::uint8_t {
  Whole,    ///< both listings are complete
  Partial,  ///< they hold what an error text shows: only what differs, perhaps cut, without dtypes
};

/// A file that could not be opened.
struct UnreadableFile {
  std::string path;
  FileKind kind;
  std::optional<Error> error;
};

struct FunctionDifference;
struct Origins;

/// What findings without operations have explained so far: rules behind them look at the rest.
struct Told {
  std::vector<bool> want;  ///< beside the target's tensors
  std::vector<bool> have;  ///< beside the checkpoint's tensors (Planned::source)
};

struct Case {
  const Listing& checkpoint;  ///< as given
  const Listing& target;      ///< the model within what was given
  Knowledge knowledge = Knowledge::Whole;
  const TextFacts* text = nullptr;  ///< the error text, if there is one
  const UnreadableFile* unreadable = nullptr;
  plan::State state;  ///< the checkpoint after the operations so far
  Gap gap;            ///< between `state` and `target`
  Told told = {};
  /// Where the tensors come from that no name tells, found when names had been unwrapped and prefixes taken off; null
  /// before, or where only a text is known.
  std::shared_ptr<const Origins> origins = nullptr;
  /// What the blueprints tell; null before the names were settled, or where a side has none.
  std::shared_ptr<const FunctionDifference> function = nullptr;

  const TensorSpec& have(std::size_t index) const { return state.tensors()[index].spec; }
  const TensorSpec& want(std::size_t index) const { return target.tensors[index]; }
  /// The name that a tensor of the state has in the file.
  const std::string& original(std::size_t index) const {
    return checkpoint.tensors[state.tensors()[index].source].name;
  }
};

struct Finding {
  Cause cause;                             ///< `ops` is filled in by the engine
  std::vector<Op> ops;                     ///< tried by the engine: a finding whose operations do not help is not given
  std::vector<DTypeChange> dtype_changes;  ///< for the report's difference
  std::vector<std::size_t> told_want;      ///< indexes into the target's tensors that it explains
  std::vector<std::size_t> told_have;      ///< indexes into the state's tensors that it explains
};

/// A rule: recognises one cause in a case, or says nothing. Pure: it reads the case (and tensor values where it must),
/// no more.
using Find = std::optional<Finding> (*)(const Case& facts);

}  // namespace tenon::diagnosis
