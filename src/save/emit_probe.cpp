// emit_probe: a probe for other runtimes, as NPZ.
#include <tenon/emit_probe.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include <tenon/error.hpp>

#include "formats/npy_header.hpp"
#include "formats/npz.hpp"
#include "io/atomic_file.hpp"

namespace tenon {
namespace {

constexpr std::uint64_t kMostElements = std::uint64_t{1} << 28;

template <class T>
void add_values(Snapshot& probe, const std::string& name, DType dtype, const Shape& shape,
                const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  add_tensor(probe, name, make_tensor(dtype, shape, {bytes.begin(), bytes.end()}));
}

[[noreturn]] void refuse(const std::string& file, std::string what, std::string found, std::string next) {
  throw Error(Code::Invalid, {file, {}, {}, {}}, std::move(what), {}, std::move(found), std::move(next));
}

/// All values of an input, as float64 (complex: two for each): kept whole, or made again from the seed.
std::vector<double> values_of(const ProbeTensor& input, std::optional<std::uint64_t> seed, std::uint64_t position,
                              const std::string& file) {
  const auto count = static_cast<std::uint64_t>(element_count(input.shape));
  const bool is_complex = dtype_kind(input.dtype) == DTypeKind::Complex;
  if (input.values.size() == (is_complex ? 2 * count : count)) return input.values;
  if (seed && dtype_kind(input.dtype) == DTypeKind::Float && count <= kMostElements)
    return probe_values(*seed + position, count);
  refuse(file, "an input of the probe cannot be made again",
         "input " + input.name + ": " + std::to_string(count) + " elements, of which the blueprint keeps a digest",
         "take the probe on inputs of tenon's generator (example_inputs), or on at most 4096 elements");
}

void add_input(Snapshot& arrays, const ProbeTensor& input, const std::vector<double>& values, const std::string& name) {
  std::vector<std::byte> bytes(values.size() * sizeof(double));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const bool is_complex = dtype_kind(input.dtype) == DTypeKind::Complex;
  const Tensor wide = make_tensor(is_complex ? DType::Complex128 : DType::Float64, input.shape, std::move(bytes));
  // bfloat16, which NumPy does not have, is exact in float32
  add_tensor(arrays, name, cast(wide, formats::npy_descr(input.dtype).empty() ? DType::Float32 : input.dtype));
}

/// Elements floor(i * n / k): where the samples were taken.
std::vector<std::int64_t> places(const ProbeTensor& output) {
  const std::int64_t count = element_count(output.shape), k = std::min<std::int64_t>(count, 64);
  std::vector<std::int64_t> flat(static_cast<std::size_t>(k));
  for (std::int64_t i = 0; i < k; ++i) flat[static_cast<std::size_t>(i)] = i * (count / k) + i * (count % k) / k;
  return flat;
}

void add_output(Snapshot& arrays, const ProbeTensor& output, const std::string& name) {
  const bool is_complex = dtype_kind(output.dtype) == DTypeKind::Complex;
  const auto samples = static_cast<std::int64_t>(output.sample.size());
  const Shape shape = {is_complex ? samples / 2 : samples};
  add_values(arrays, name + "_sample", is_complex ? DType::Complex128 : DType::Float64, shape, output.sample);
  const auto index = places(output);
  add_values(arrays, name + "_index", DType::Int64, {static_cast<std::int64_t>(index.size())}, index);
  add_values(arrays, name + "_shape", DType::Int64, {static_cast<std::int64_t>(output.shape.size())}, output.shape);
  const std::vector<double> tolerance = {output.tolerance.value_or(probe_tolerance(output.dtype, output.scale))};
  add_values(arrays, name + "_tolerance", DType::Float64, {}, tolerance);
}

}  // namespace

void emit_probe(const Blueprint& blueprint, const std::string& file, const std::string& path, Existing existing) {
  if (!blueprint.probe || blueprint.probe->inputs.empty())
    refuse(file, "there is no probe to emit", "a blueprint without inputs",
           "take one with inputs: tenon_blueprint.write(model, path, inputs=...)");
  const Probe& probe = *blueprint.probe;
  Snapshot arrays;
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < probe.inputs.size(); ++i) {
    add_input(arrays, probe.inputs[i], values_of(probe.inputs[i], probe.seed, position, file),
              "input_" + std::to_string(i));
    position += static_cast<std::uint64_t>(element_count(probe.inputs[i].shape));
  }
  for (std::size_t i = 0; i < probe.outputs.size(); ++i)
    add_output(arrays, probe.outputs[i], "output_" + std::to_string(i));
  const formats::Layout layout = formats::lay_out_npz({arrays, path, Objects::Keep});
  io::AtomicFile out(path, existing, layout.file_bytes);
  layout.write([&out](std::span<const std::byte> piece) { out.write(piece); });
  out.commit(Durability::Fsync);
}

}  // namespace tenon
