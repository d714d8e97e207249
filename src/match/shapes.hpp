// Shapes of two tensors that may hold the same values: equal, axes permuted, axes of extent 1 left out, flattened.
#pragma once

#include <cstdint>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::match {

enum class Relation : std::uint8_t { None, Equal, Squeezed, Permuted, Reshaped };

/// How the elements of a tensor of shape `a` can be those of one of shape `b`; None where they cannot.
/// Permuted also covers permuted and squeezed.
Relation relation_between(const Shape& a, const Shape& b);

/// The shape without its axes of extent 1.
Shape squeezed(const Shape& shape);

}  // namespace tenon::match
