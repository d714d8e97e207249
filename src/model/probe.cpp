// tenon's generator of probe inputs, and how far two runs of one function may differ.
#include <algorithm>
#include <cmath>

#include <tenon/blueprint.hpp>
#include <tenon/probe.hpp>

namespace tenon {
namespace {

/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014), with Vigna's constants.
std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// Distance from 1 to the next larger number; 0 for types that count exactly.
double epsilon(DType dtype) {
  if (dtype == DType::BFloat16) return 0x1p-7;
  const DTypeKind kind = dtype_kind(dtype);
  if (kind != DTypeKind::Float && kind != DTypeKind::Complex) return 0;
  switch (dtype_bits(dtype) / (kind == DTypeKind::Complex ? 2 : 1)) {
    case 64: return 0x1p-52;
    case 32: return 0x1p-23;
    case 16: return 0x1p-10;
    default: return 0x1p-2;  // float8: two or three bits
  }
}

}  // namespace

double probe_tolerance(DType dtype, double scale, double inner) {
  const double eps = epsilon(dtype), half_of_the_digits = std::sqrt(eps);
  return std::max(half_of_the_digits * scale, std::min(0x1p8 * eps, half_of_the_digits / 2) * inner);
}

double probe_inner_scale(const Probe& probe, const ProbeTensor& row, std::size_t before) {
  constexpr int kRows = 4;
  double inner = 0;
  int counted = 0;
  const std::vector<double>* last = &row.sample;
  for (std::size_t i = std::min(before, probe.modules.size()); i-- > 0 && counted < kRows;) {
    const ProbeTensor& module = probe.modules[i];
    const bool says_the_same = module.sample == row.sample || module.sample == *last;  // a container, an identity
    if (says_the_same || epsilon(module.dtype) == 0) continue;
    inner = std::max(inner, module.scale);
    last = &module.sample;
    ++counted;
  }
  if (counted == kRows) return inner;
  for (const ProbeTensor& input : probe.inputs)
    if (epsilon(input.dtype) > 0) inner = std::max(inner, input.scale);
  return inner;
}

void set_tolerances(Probe& probe) {
  for (ProbeTensor& output : probe.outputs)
    output.tolerance =
        probe_tolerance(output.dtype, output.scale, probe_inner_scale(probe, output, probe.modules.size()));
}

std::vector<double> probe_values(std::uint64_t seed, std::uint64_t count) {
  std::vector<double> values(count);
  for (std::uint64_t i = 0; i < count; ++i) values[i] = static_cast<double>(splitmix64(seed + i) >> 56) / 64 - 2;
  return values;
}

std::vector<std::int64_t> probe_integers(std::uint64_t seed, std::uint64_t count, std::int64_t below) {
  std::vector<std::int64_t> values(count);
  for (std::uint64_t i = 0; i < count; ++i)
    values[i] = static_cast<std::int64_t>((splitmix64(seed + i) >> 33) % static_cast<std::uint64_t>(below));
  return values;
}

}  // namespace tenon
