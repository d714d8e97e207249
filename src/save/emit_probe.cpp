// emit_probe: a probe for other runtimes, as NPZ: a zip of NPY arrays.
//
// Source of the format: "A simple file format for NumPy arrays", numpy/lib/format.py, version 1.0.
#include <tenon/emit_probe.hpp>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <tenon/error.hpp>

#include "container/zip_writer.hpp"
#include "io/atomic_file.hpp"

namespace tenon {
namespace {

constexpr std::uint64_t kMostElements = std::uint64_t{1} << 28;

/// NumPy's name of an element type; "" for those that it does not have.
std::string_view descr(DType dtype) {
  constexpr std::pair<DType, std::string_view> kNames[] = {
      {DType::Float16, "<f2"},     {DType::Float32, "<f4"}, {DType::Float64, "<f8"}, {DType::Complex64, "<c8"},
      {DType::Complex128, "<c16"}, {DType::Bool, "|b1"},    {DType::UInt8, "|u1"},   {DType::Int8, "|i1"},
      {DType::Int16, "<i2"},       {DType::Int32, "<i4"},   {DType::Int64, "<i8"}};
  for (const auto& [known, name] : kNames)
    if (known == dtype) return name;
  return {};
}

/// Magic, version 1.0, length, a Python dict in ASCII, padded so that the data begin at a multiple of 64.
std::string npy(DType dtype, const Shape& shape, std::span<const std::byte> data) {
  std::string extents;
  for (const std::int64_t extent : shape) extents += std::to_string(extent) + ",";
  std::string dict =
      "{'descr': '" + std::string(descr(dtype)) + "', 'fortran_order': False, 'shape': (" + extents + "), }";
  while ((10 + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\x00';
  bytes += static_cast<char>(dict.size() & 0xff);
  bytes += static_cast<char>(dict.size() >> 8);
  bytes += dict;
  bytes.append(reinterpret_cast<const char*>(data.data()), data.size());
  return bytes;
}

template <class T>
std::string npy_of(DType dtype, const Shape& shape, const std::vector<T>& values) {
  return npy(dtype, shape, std::as_bytes(std::span(values)));
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

void add_input(container::ZipWriter& zip, const ProbeTensor& input, const std::vector<double>& values,
               const std::string& name) {
  std::vector<std::byte> bytes(values.size() * sizeof(double));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const bool is_complex = dtype_kind(input.dtype) == DTypeKind::Complex;
  const Tensor wide = make_tensor(is_complex ? DType::Complex128 : DType::Float64, input.shape, std::move(bytes));
  const DType dtype = descr(input.dtype).empty() ? DType::Float32 : input.dtype;  // bfloat16: exact in float32
  const Tensor narrow = cast(wide, dtype);
  std::vector<std::byte> dense(static_cast<std::size_t>(byte_size(narrow.shape, dtype)));
  copy_dense(narrow, dense);
  zip.add(name + ".npy", npy(dtype, input.shape, dense));
}

/// Elements floor(i * n / k): where the samples were taken.
std::vector<std::int64_t> places(const ProbeTensor& output) {
  const std::int64_t count = element_count(output.shape), k = std::min<std::int64_t>(count, 64);
  std::vector<std::int64_t> flat(static_cast<std::size_t>(k));
  for (std::int64_t i = 0; i < k; ++i) flat[static_cast<std::size_t>(i)] = i * (count / k) + i * (count % k) / k;
  return flat;
}

void add_output(container::ZipWriter& zip, const ProbeTensor& output, const std::string& name) {
  const bool is_complex = dtype_kind(output.dtype) == DTypeKind::Complex;
  const auto samples = static_cast<std::int64_t>(output.sample.size());
  const Shape shape = {is_complex ? samples / 2 : samples};
  zip.add(name + "_sample.npy", npy_of(is_complex ? DType::Complex128 : DType::Float64, shape, output.sample));
  const auto index = places(output);
  zip.add(name + "_index.npy", npy_of(DType::Int64, {static_cast<std::int64_t>(index.size())}, index));
  zip.add(name + "_shape.npy", npy_of(DType::Int64, {static_cast<std::int64_t>(output.shape.size())}, output.shape));
  const std::vector<double> tolerance = {output.tolerance.value_or(probe_tolerance(output.dtype, output.scale))};
  zip.add(name + "_tolerance.npy", npy_of(DType::Float64, {}, tolerance));
}

}  // namespace

void emit_probe(const Blueprint& blueprint, const std::string& file, const std::string& path, Existing existing) {
  if (!blueprint.probe || blueprint.probe->inputs.empty())
    refuse(file, "there is no probe to emit", "a blueprint without inputs",
           "take one with inputs: tenon_blueprint.write(model, path, inputs=...)");
  const Probe& probe = *blueprint.probe;
  container::ZipWriter zip;
  std::uint64_t position = 0;
  for (std::size_t i = 0; i < probe.inputs.size(); ++i) {
    add_input(zip, probe.inputs[i], values_of(probe.inputs[i], probe.seed, position, file),
              "input_" + std::to_string(i));
    position += static_cast<std::uint64_t>(element_count(probe.inputs[i].shape));
  }
  for (std::size_t i = 0; i < probe.outputs.size(); ++i)
    add_output(zip, probe.outputs[i], "output_" + std::to_string(i));
  io::AtomicFile out(path, existing, zip.file_bytes());
  zip.write([&out](std::span<const std::byte> piece) { out.write(piece); });
  out.commit(Durability::Fsync);
}

}  // namespace tenon
