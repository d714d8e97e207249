// Two shapes of a tensor that a message does not name: what their extents alone tell of the layer.
#pragma once

#include <string_view>

#include "diagnose/text/text_facts.hpp"

namespace tenon::diagnosis {

/// Keras and TensorFlow keep a kernel's window in front and its outputs last; PyTorch the reverse. Said as PyTorch
/// would: [kh, kw, in, out] becomes [out, in, kh, kw]; what is no such kernel stays.
Shape with_outputs_first(const Shape& shape);

/// Widths of layers are multiples of 8; classes, characters and a detector's scales mostly are not.
bool is_width(std::int64_t extent);

/// Adds what two shapes tell of a layer without a name.
void note_nameless_shapes(std::string_view line, const Shape& a, const Shape& b, TextFacts& facts);

/// Adds what one shape tells that the rest of a file has too few numbers for: a file of bare numbers (Darknet) first
/// runs short where a layer before had other outputs.
void note_unfilled_shape(std::string_view line, const Shape& shape, TextFacts& facts);

}  // namespace tenon::diagnosis
