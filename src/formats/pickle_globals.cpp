#include "formats/pickle_globals.hpp"

#include <utility>

namespace tenon::formats {

namespace {

using Row = std::pair<std::string_view, Meaning>;

constexpr std::pair<std::string_view, std::string_view> kModules[] = {
    {"__builtin__", "builtins"},
    {"copy_reg", "copyreg"},
    {"torch.tensor", "torch._tensor"},
    {"numpy._core.multiarray", "numpy.core.multiarray"},
    {"numpy._core.numeric", "numpy.core.numeric"},
    {"torch.nn.modules.parameter", "torch.nn.parameter"},
    {"sklearn.externals.joblib.numpy_pickle", "joblib.numpy_pickle"},
};

constexpr Row kMeanings[] = {
    {"torch._utils._rebuild_tensor", Meaning::RebuildTensor},
    {"torch._utils._rebuild_tensor_v2", Meaning::RebuildTensorV2},
    {"torch._utils._rebuild_tensor_v3", Meaning::RebuildTensorV3},
    {"torch._utils._rebuild_qtensor", Meaning::RebuildQuantized},
    {"torch._utils._rebuild_meta_tensor_no_storage", Meaning::RebuildMeta},
    {"torch._utils._rebuild_parameter", Meaning::RebuildParameter},
    {"torch._utils._rebuild_parameter_with_state", Meaning::RebuildParameter},
    {"torch._tensor._rebuild_from_type", Meaning::RebuildFromType},
    {"torch._tensor._rebuild_from_type_v2", Meaning::RebuildFromType},
    {"torch._utils._rebuild_device_tensor_from_numpy", Meaning::RebuildFromNumpy},
    {"torch._utils._rebuild_xla_tensor", Meaning::RebuildFromNumpy},
    {"torch._utils._rebuild_device_tensor_from_cpu_tensor", Meaning::RebuildFromTensor},
    {"torch._utils._rebuild_sparse_tensor", Meaning::RebuildSparse},
    {"torch._utils._rebuild_sparse_csr_tensor", Meaning::RebuildSparseCsr},
    {"torch._utils._rebuild_nested_tensor", Meaning::RebuildNested},
    {"torch.storage._load_from_bytes", Meaning::LoadFromBytes},
    {"torch.nn.parameter.Parameter", Meaning::ParameterClass},
    {"torch.serialization._get_layout", Meaning::Layout},
    {"numpy.core.multiarray._reconstruct", Meaning::NumpyReconstruct},
    {"numpy.core.numeric._frombuffer", Meaning::NumpyFromBuffer},
    {"numpy.core.multiarray.scalar", Meaning::NumpyScalar},
    {"numpy.dtype", Meaning::NumpyDType},
    {"joblib.numpy_pickle.NumpyArrayWrapper", Meaning::JoblibArray},
    {"collections.OrderedDict", Meaning::Mapping},
    {"collections.Counter", Meaning::Mapping},
    {"collections.defaultdict", Meaning::DefaultDict},
    {"builtins.dict", Meaning::Mapping},
    {"builtins.list", Meaning::Sequence},
    {"builtins.tuple", Meaning::Sequence},
    {"builtins.set", Meaning::Set},
    {"builtins.frozenset", Meaning::FrozenSet},
    {"builtins.bytes", Meaning::ByteString},
    {"builtins.bytearray", Meaning::ByteString},
    {"_codecs.encode", Meaning::Encode},
    {"torch.Size", Meaning::Sequence},
    {"torch.jit._pickle.build_intlist", Meaning::Sequence},
    {"torch.jit._pickle.build_doublelist", Meaning::Sequence},
    {"torch.jit._pickle.build_boollist", Meaning::Sequence},
    {"torch.jit._pickle.build_tensorlist", Meaning::Sequence},
    {"torch.jit._pickle.restore_type_tag", Meaning::Transparent},
    {"copyreg._reconstructor", Meaning::Reconstructor},
};

constexpr std::pair<std::string_view, DType> kElementClasses[] = {
    {"Double", DType::Float64},
    {"Float", DType::Float32},
    {"Half", DType::Float16},
    {"BFloat16", DType::BFloat16},
    {"Long", DType::Int64},
    {"Int", DType::Int32},
    {"Short", DType::Int16},
    {"Char", DType::Int8},
    {"Byte", DType::UInt8},
    {"Bool", DType::Bool},
    {"ComplexFloat", DType::Complex64},
    {"ComplexDouble", DType::Complex128},
    {"QInt8", DType::QInt8},
    {"QUInt8", DType::QUInt8},
    {"QInt32", DType::QInt32},
    {"QUInt4x2", DType::QUInt4x2},
    {"QUInt2x4", DType::QUInt2x4},
    {"Untyped", DType::UInt8},
    {"_Untyped", DType::UInt8},
};

constexpr std::pair<std::string_view, DType> kNumpyTypes[] = {
    {"f2", DType::Float16},   {"f4", DType::Float32},     {"f8", DType::Float64}, {"i1", DType::Int8},
    {"i2", DType::Int16},     {"i4", DType::Int32},       {"i8", DType::Int64},   {"u1", DType::UInt8},
    {"u2", DType::UInt16},    {"u4", DType::UInt32},      {"u8", DType::UInt64},  {"b1", DType::Bool},
    {"c8", DType::Complex64}, {"c16", DType::Complex128},
};

/// Element type of `torch.FloatStorage`, `torch.cuda.FloatTensor`, `torch.storage.UntypedStorage`: a module of torch's
/// and a class that is an element's name and `suffix`.
std::optional<DType> element_of_class(std::string_view canonical, std::string_view suffix) {
  if (!canonical.ends_with(suffix)) return std::nullopt;
  canonical.remove_suffix(suffix.size());
  for (const std::string_view module : {"torch.cuda.", "torch.storage.", "torch."}) {
    if (!canonical.starts_with(module)) continue;
    for (const auto& [name, dtype] : kElementClasses)
      if (canonical.substr(module.size()) == name) return dtype;
  }
  return std::nullopt;
}

}  // namespace

std::string canonical_name(std::string_view module, std::string_view name) {
  for (const auto& [written, canonical] : kModules)
    if (module == written) module = canonical;
  std::string joined(module);
  joined += '.';
  joined += name;
  return joined;
}

Meaning meaning_of(std::string_view canonical) {
  for (const auto& [name, meaning] : kMeanings)
    if (name == canonical) return meaning;
  return element_of_class(canonical, "Tensor") ? Meaning::TensorClass : Meaning::Unknown;
}

std::optional<DType> storage_dtype(std::string_view canonical) { return element_of_class(canonical, "Storage"); }

std::optional<DType> numpy_dtype(std::string_view code) {
  for (const auto& [name, dtype] : kNumpyTypes)
    if (name == code) return dtype;
  return std::nullopt;
}

}  // namespace tenon::formats
