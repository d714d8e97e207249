// Plan: the list of operations that makes a checkpoint fit a target, as data: made by diagnose(), edited by people,
// kept as JSON, carried out by apply().
//
// Operations run in order; each works on all tensors of the state that the ones before it left.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/dtype.hpp>
#include <tenon/export.hpp>
#include <tenon/listing.hpp>
#include <tenon/snapshot.hpp>

namespace tenon {

/// How far an operation may be trusted.
enum class Applicability : std::uint8_t {
  Exact,     ///< changes no value; done unasked
  Lossy,     ///< changes values
  Guess,     ///< a person decides (`--accept guess`)
  Template,  ///< has a blank that a person fills in
};

// The operations. Patterns are globs over full names: `*` any run of characters, `?` one, all others themselves.
struct StripPrefix {
  std::string prefix;
};  ///< takes `prefix` off every name that starts with it
struct AddPrefix {
  std::string prefix;
};  ///< puts `prefix` before every name
struct Unwrap {
  std::string path;
};  ///< keeps what stands below `path`, under its shorter name
struct Rename {
  std::string from, to;
  bool regex = false;
};  ///< exact names, or ECMAScript with $1 references over whole names
struct Drop {
  std::string pattern;
};  ///< leaves tensors of the checkpoint out
struct KeepTarget {
  std::string pattern;
};  ///< takes tensors from the target; the checkpoint's are left out
struct Cast {
  std::string pattern;
  DType dtype = DType::Float32;
};

using Operation = std::variant<StripPrefix, AddPrefix, Unwrap, Rename, Drop, KeepTarget, Cast>;

struct Op {
  Operation operation;
  Applicability applicability = Applicability::Exact;
};

struct Plan {
  std::vector<Op> ops;
};

TENON_API std::string_view applicability_name(Applicability applicability);
TENON_API std::string_view op_name(const Operation& operation);

/// JSON form of the contract: `{"ops": [{"op": "strip_prefix", "prefix": "module.", "applicability": "exact"}]}`.
TENON_API std::string to_json(const Plan& plan);
TENON_API std::string to_json(const Op& op);

/// Reads the JSON form; unknown members are refused, so that a typing error does not silently do nothing.
/// `file` is for messages only. Throws Error Corrupt (with byte) or Invalid (unknown op, missing member, bad pattern).
TENON_API Plan parse_plan(std::string_view text, const std::string& file = {});

/// What a person allows beside the exact operations.
struct Acceptance {
  bool lossy = false;
  bool guess = false;
};

/// The part of a plan that may be carried out. Templates never are: their blanks come first.
TENON_API Plan accepted(const Plan& plan, const Acceptance& acceptance = {});

/// Where a tensor of the planned state comes from.
struct Planned {
  TensorSpec spec;         ///< name, dtype and shape after all operations
  std::size_t source = 0;  ///< index into the checkpoint's listing
};

/// What a plan makes of a listing, without touching a value.
struct Rehearsal {
  std::vector<Planned> tensors;            ///< in the order of the checkpoint
  std::vector<std::size_t> dropped;        ///< indexes into the checkpoint's listing
  std::vector<std::string> kept_patterns;  ///< of KeepTarget, in order
};

/// Carries out the names, shapes and dtypes of a plan. Throws Error Invalid when two tensors end under one name, or an
/// operation matches nothing (KeepTarget may: what it keeps need not be in the checkpoint).
TENON_API Rehearsal rehearse(const Plan& plan, const Listing& checkpoint);

struct ApplyResult {
  Snapshot snapshot;  ///< tensors in the target's order; bytes are produced when they are saved
  std::vector<std::string> filled_from_target;
  std::vector<std::string> dropped;   ///< names in the checkpoint that are not in the result
  std::vector<std::string> unfilled;  ///< wanted, but neither side holds values
};

/// Carries out a plan on values: lazy, tensor by tensor; memory does not grow with the checkpoint.
/// The result holds every target tensor that can be filled, in the target's order. Both listings may be destroyed
/// afterwards.
TENON_API ApplyResult apply(const Plan& plan, const Listing& checkpoint, const Listing& target);

}  // namespace tenon
