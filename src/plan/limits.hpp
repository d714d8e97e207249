// What a plan may ask for: it is a file like any other, and a stranger may have written it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenon::plan {

inline constexpr std::size_t kMaxOps = 100'000;
/// Operations times the tensors they are tried on: a minute of work at most.
inline constexpr std::uint64_t kMaxSteps = 4'000'000'000;
inline constexpr std::uint64_t kStepsOfExpression = 200;       ///< what one regular expression costs, in globs
inline constexpr std::size_t kMaxTensors = 10'000'000;         ///< after any operation
inline constexpr std::size_t kMaxParts = 10'000;               ///< of one split or fuse
inline constexpr std::size_t kMaxNameBytes = 65'536;           ///< of a name that a plan makes
inline constexpr std::uint64_t kMaxNewNameBytes = 1ULL << 30;  ///< that a plan adds to all names together
inline constexpr std::size_t kMaxRecipeDepth = 200;            ///< steps one upon the other: evaluation recurses
inline constexpr std::uint64_t kMaxRecipeLeaves = 100'000;
/// Bytes of one tensor that a plan computes: this, or kMaxGrowth times the checkpoint where that is more.
inline constexpr std::uint64_t kMadeTensorBytes = 1ULL << 30;
inline constexpr std::uint64_t kMaxGrowth = 64;

}  // namespace tenon::plan
