// Source: torch/_weights_only_unpickler.py, _get_allowed_globals (what PyTorch's own restricted loader takes),
// torch/_utils.py, numpy/_core/multiarray.py; CPython's pickles of its own types. A row here says: whatever arguments a
// file gives it, it makes a value and does nothing else.
#include "scan/allowed_globals.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace tenon::scanning {

namespace {

struct Row {
  std::string_view module;
  Use use;
  std::string_view names;  ///< separated by spaces
};

constexpr Row kAllowed[] = {
    {"torch._utils", Use::Rebuild,
     "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state "
     "_rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_nested_tensor "
     "_rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass _rebuild_device_tensor_from_numpy "
     "_rebuild_device_tensor_from_cpu_tensor _rebuild_xla_tensor"},
    {"torch._tensor", Use::FromType, "_rebuild_from_type_v2"},
    {"torch.tensor", Use::FromType, "_rebuild_from_type_v2"},
    {"torch", Use::Value,
     "ByteStorage CharStorage ShortStorage IntStorage LongStorage HalfStorage FloatStorage DoubleStorage BoolStorage "
     "BFloat16Storage ComplexFloatStorage ComplexDoubleStorage QInt8Storage QUInt8Storage QInt32Storage "
     "QUInt4x2Storage QUInt2x4Storage"},
    {"torch.cuda", Use::Value,
     "ByteStorage CharStorage ShortStorage IntStorage LongStorage HalfStorage FloatStorage DoubleStorage BoolStorage "
     "BFloat16Storage ComplexFloatStorage ComplexDoubleStorage"},
    {"torch.storage", Use::Value, "TypedStorage UntypedStorage _TypedStorage _UntypedStorage"},
    {"torch", Use::Value, "Size device Tensor"},
    {"torch", Use::Value,
     "ByteTensor CharTensor ShortTensor IntTensor LongTensor HalfTensor FloatTensor DoubleTensor BoolTensor "
     "BFloat16Tensor"},
    {"torch.cuda", Use::Value,
     "ByteTensor CharTensor ShortTensor IntTensor LongTensor HalfTensor FloatTensor DoubleTensor BoolTensor "
     "BFloat16Tensor"},
    {"torch", Use::Value,
     "float64 float32 float16 bfloat16 double float half float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz "
     "float8_e8m0fnu float4_e2m1fn_x2 int64 int32 int16 int8 uint64 uint32 uint16 uint8 long int short bool complex128 "
     "complex64 complex32 cdouble cfloat chalf qint8 quint8 qint32 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 "
     "bits16 int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7"},
    {"torch", Use::Value,
     "per_tensor_affine per_channel_affine per_channel_affine_float_qparams per_tensor_symmetric per_channel_symmetric "
     "strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc contiguous_format channels_last channels_last_3d "
     "preserve_format"},
    {"torch.serialization", Use::Value, "_get_layout"},
    {"torch.nn.parameter", Use::Value, "Parameter Buffer"},
    {"torch.nn", Use::Value, "Parameter Buffer"},
    {"numpy", Use::Value, "dtype ndarray"},
    {"numpy.core.multiarray", Use::Value, "_reconstruct scalar"},
    {"numpy._core.multiarray", Use::Value, "_reconstruct scalar"},
    {"numpy.core.numeric", Use::Value, "_frombuffer"},
    {"numpy._core.numeric", Use::Value, "_frombuffer"},
    {"numpy.dtypes", Use::Value,
     "BoolDType Int8DType UInt8DType Int16DType UInt16DType Int32DType UInt32DType Int64DType UInt64DType ByteDType "
     "UByteDType ShortDType UShortDType IntDType UIntDType LongDType ULongDType LongLongDType ULongLongDType "
     "Float16DType Float32DType Float64DType LongDoubleDType Complex64DType Complex128DType CLongDoubleDType "
     "ObjectDType BytesDType StrDType StringDType VoidDType DateTime64DType TimeDelta64DType"},
    {"collections", Use::Value, "OrderedDict Counter deque"},
    {"collections", Use::DefaultDict, "defaultdict"},
    {"builtins", Use::Type,
     "set frozenset bytearray complex range xrange slice dict list tuple int long float bool str unicode bytes object"},
    {"builtins", Use::Value, "Ellipsis NotImplemented"},  // constants
    {"_codecs", Use::Encode, "encode"},
    {"copyreg", Use::Reconstructor, "_reconstructor"},
    {"decimal", Use::Value, "Decimal"},
    {"fractions", Use::Value, "Fraction"},
    {"datetime", Use::Value, "date time datetime timedelta timezone"},
    {"pathlib", Use::Value, "PurePosixPath PureWindowsPath PosixPath WindowsPath"},
    {"pathlib._local", Use::Value, "PurePosixPath PureWindowsPath PosixPath WindowsPath"},
    {"uuid", Use::Value, "UUID"},
    {"argparse", Use::Value, "Namespace"},
    {"types", Use::Value, "SimpleNamespace"},
};

constexpr std::string_view kScriptCalls[] = {"build_intlist",    "build_doublelist",     "build_boollist",
                                             "build_tensorlist", "build_tensor_from_id", "restore_type_tag"};

using ByName = std::unordered_map<std::string_view, Use>;

/// The names of each module, taken apart once.
const std::unordered_map<std::string_view, ByName>& table() {
  static const auto made = [] {
    std::unordered_map<std::string_view, ByName> modules;
    for (const Row& row : kAllowed)
      for (std::size_t at = 0; at < row.names.size();) {
        const std::size_t end = std::min(row.names.find(' ', at), row.names.size());
        modules[row.module].emplace(row.names.substr(at, end - at), row.use);
        at = end + 1;
      }
    return modules;
  }();
  return made;
}

}  // namespace

std::optional<Use> allowed_use(std::string_view module, std::string_view name) {
  const auto names = table().find(module);
  if (names == table().end()) return std::nullopt;
  const auto found = names->second.find(name);
  return found == names->second.end() ? std::nullopt : std::optional(found->second);
}

bool is_allowed_in_bare_script(std::string_view module, std::string_view name) {
  if (module == "torch.jit._pickle")
    return std::find(std::begin(kScriptCalls), std::end(kScriptCalls), name) != std::end(kScriptCalls);
  return (module == "__torch__" || module.starts_with("__torch__.")) && name.find('.') == std::string_view::npos;
}

}  // namespace tenon::scanning
