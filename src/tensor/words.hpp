// Clauses that several rooms say of casts and of memory layouts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::tensor {

/// "40 of 40 values change, largest relative error 5.9e-08, largest absolute error 3.1e-09, 0 overflow, 0 underflow".
std::string loss_text(const CastLoss& loss);

/// Adds what another tensor loses.
void add(CastLoss& total, const CastLoss& loss);

/// True when every value comes back.
bool is_lossless(const CastLoss& loss);

/// Whether elements stand alike; axes of extent 1 decide nothing. Both strides have the shape's rank.
bool same_layout(const Shape& shape, const Stride& a, const Stride& b);

/// "another memory layout: `w` and 3 more (channels_last in the file, row-major in the model); harmless: ...". `from`
/// and `to` name the sides. Empty for no change.
std::string layout_text(const std::vector<LayoutChange>& changes, std::string_view from, std::string_view to);

}  // namespace tenon::tensor
