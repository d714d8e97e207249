// Options of modules and arguments of operations: JSON texts, compared by what they mean, written as a person would.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tenon/blueprint.hpp>

namespace tenon::diagnosis {

/// Equal values: 1 and 1.0, 2 and [2, 2] mean the same.
bool same_option(const std::string& a, const std::string& b);

/// Extents of the inputs on both sides, first that of the first input's axis 0: where they differ, numbers that hold
/// them as factors are equal when what is left is.
struct Batches {
  std::int64_t from = 1, to = 1;
  std::vector<std::pair<std::int64_t, std::int64_t>> others = {};
};

/// Which keywords of a call count. Releases add some and pass their defaults along: between two of them only those that
/// both sides have.
enum class Keywords : std::uint8_t { All, Shared };

/// Arguments of one operation on both sides.
bool same_arguments(const std::string& a, const std::string& b, const Batches& batches, Keywords keywords);

/// `MaxPool2d(kernel_size=2, stride=2)`.
std::string describe(const ModuleSpec& module);

/// `[1, "a"]` without the outer brackets and quotes: what stands between an operation's parentheses.
std::string arguments_text(const std::string& args);

}  // namespace tenon::diagnosis
