// verify and diff: is a file whole, and do two files hold the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/export.hpp>
#include <tenon/progress.hpp>

namespace tenon {

struct Problem {
  std::string where;  ///< member, key or byte range
  std::string what;
};

struct VerifiedFile {
  std::string file;
  bool ok = false;
  std::uint64_t checked_bytes = 0;
  std::vector<Problem> problems;
  std::vector<std::string> notes;  ///< what could not be checked: "no checksums in this format"
};

enum class Finite : std::uint8_t { Ignore, Require };
struct VerifyOptions {
  Finite finite = Finite::Ignore;  ///< Require: NaN and infinities are problems
  Limits limits = {};
  Progress progress = {};  ///< of each file of a checkpoint anew; called from two threads, one at a time
};

/// Reads every byte: archive checksums, header consistency, holes and overlaps, every tensor within its storage.
/// A damaged file is an answer. Throws Error only where nothing can be said: NotFound, Read.
TENON_API VerifiedFile verify(const std::string& path, const VerifyOptions& options = {});

struct TensorChange {
  std::string key;
  Shape shape_a, shape_b;
  DType dtype_a = DType::Float32, dtype_b = DType::Float32;
  std::optional<double> max_abs, rel_l2, cosine;  ///< where shapes agree and both types convert to float64
  std::optional<std::uint64_t> changed_elements;
};

/// A tensor that has another name in b.
struct RenamedTensor {
  std::string a, b;
};

struct DiffReport {
  bool same = false;
  std::vector<std::string> only_a, only_b;
  std::vector<TensorChange> changed;
  std::uint64_t identical = 0;
  std::vector<LayoutChange> layout_changes;  ///< harmless: does not make them different
  std::vector<RenamedTensor> renamed;        ///< with DiffNames::Matched: what was compared under two names
};

enum class DiffNames : std::uint8_t {
  Equal,    ///< tensors of one name are compared
  Matched,  ///< names may differ: tensors of one shape are compared where only one partner is likely
};

/// Compares tensors by name, bit for bit; layout (stride, sharing) does not count, and other strides are named. Changes
/// bear the names of `a`.
/// `progress` counts the bytes of `a` that were compared; it is called from two threads, one at a time.
TENON_API DiffReport diff(const Checkpoint& a, const Checkpoint& b, DiffNames names = DiffNames::Equal,
                          const Progress& progress = {});

/// `sha256:` + hex of the contiguous, row-major, little-endian bytes.
TENON_API std::string sha256(const TensorView& view);

}  // namespace tenon
