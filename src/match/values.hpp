// Values: what names and shapes leave open, settled by the numbers themselves where both sides hold them.
//
// Two tensors hold the same values when a sum over their elements that no order changes agrees, and then when the bytes
// agree in order, or under a permutation of axes: an ONNX export (`onnx::MatMul_214`) finds its source.
#pragma once

#include <vector>

#include "match/match.hpp"

namespace tenon::match {

/// Replaces or adds matches for targets whose match is not applied or goes by another name. Only tensors that no other
/// match uses are read, and only where both sides have ones of that size and dtype; beyond 2 GiB of renamed tensors only
/// what is not applied. Values that several tensors share (zeros, ones) tell nothing.
void settle_by_values(const Listing& source, const Listing& target, std::vector<Match>& matches);

}  // namespace tenon::match
