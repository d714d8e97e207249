// Any C++ type, without LibTorch: it says which tensors, options and children it has, and gets save, load, check and
// blueprint for it. No macro and no base class:
//
//   struct Dense {
//     std::vector<float> weight, bias;
//     void describe(tenon::Description& d) {
//       d.type("Dense").tensor("weight", weight, {out, in}).tensor("bias", bias, {out}).option("activation", "relu");
//     }
//   };
//   struct Net {
//     Dense first, second;
//     void describe(tenon::Description& d) { d.type("Net").child("first", first).child("second", second); }
//   };
//   tenon::save(tenon::describe(net), "net.safetensors");
//
// For a type that is not yours write a free function `describe(tenon::Description&, Type&)` beside it.
#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/checkpoint.hpp>
#include <tenon/diagnose.hpp>
#include <tenon/dtype.hpp>
#include <tenon/export.hpp>
#include <tenon/listing.hpp>
#include <tenon/plan.hpp>
#include <tenon/save.hpp>
#include <tenon/tensor.hpp>

namespace tenon {

/// Element types that have a dtype.
template <class T>
concept Element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bool> ||
    std::same_as<T, std::complex<float>> || std::same_as<T, std::complex<double>> ||
    (std::integral<T> && sizeof(T) <= 8);

template <Element T>
constexpr DType dtype_for() {
  if constexpr (std::same_as<T, float>)
    return DType::Float32;
  else if constexpr (std::same_as<T, double>)
    return DType::Float64;
  else if constexpr (std::same_as<T, bool>)
    return DType::Bool;
  else if constexpr (std::same_as<T, std::complex<float>>)
    return DType::Complex64;
  else if constexpr (std::same_as<T, std::complex<double>>)
    return DType::Complex128;
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 8 ? DType::Int64 : sizeof(T) == 4 ? DType::Int32 : sizeof(T) == 2 ? DType::Int16 : DType::Int8;
  else
    return sizeof(T) == 8   ? DType::UInt64
           : sizeof(T) == 4 ? DType::UInt32
           : sizeof(T) == 2 ? DType::UInt16
                            : DType::UInt8;
}

/// One tensor of a described model: the model's own memory, borrowed.
struct DescribedTensor {
  std::string name;  ///< `first.weight`
  DType dtype = DType::Float32;
  Shape shape;
  Stride stride;               ///< in elements
  std::span<std::byte> bytes;  ///< from the first element on
  Role role = Role::Parameter;
};

/// What a type says of itself. Borrows the memory of the model, which must outlive it and every Snapshot made of it,
/// and may not move meanwhile.
class Description {
 public:
  /// Class name. Called first; without it the type is called "Module".
  TENON_API Description& type(std::string_view name);

  /// A parameter. `shape` is row-major over `values` (anything with data() and size(): std::vector, std::array,
  /// std::span, Eigen), whose size must be the product of the extents; with `stride`, in elements, it may lie otherwise
  /// (see column_major()). Throws Error Invalid: sizes that do not agree, a stride that leaves the memory, an empty
  /// name or one with a dot, a name given twice.
  template <class Values>
  Description& tensor(std::string_view name, Values& values, Shape shape, Stride stride = {}) {
    return add(name, values, std::move(shape), std::move(stride), Role::Parameter);
  }
  /// A tensor that is saved with the parameters and is not trained.
  template <class Values>
  Description& buffer(std::string_view name, Values& values, Shape shape, Stride stride = {}) {
    return add(name, values, std::move(shape), std::move(stride), Role::Buffer);
  }

  /// What decides the function and is no tensor: a number, a boolean, a text, a list of integers.
  template <class Value>
  Description& option(std::string_view name, const Value& value) {
    if constexpr (std::same_as<Value, bool>)
      return add_option(name, value ? "true" : "false");
    else if constexpr (std::integral<Value>)
      return add_option(name, std::to_string(value));
    else if constexpr (std::floating_point<Value>)
      return add_option(name, as_json(static_cast<double>(value)));
    else if constexpr (std::convertible_to<const Value&, std::string_view>)
      return add_option(name, as_json(std::string_view(value)));
    else
      return add_option(name, as_json(std::vector<std::int64_t>(std::begin(value), std::end(value))));
  }

  /// A part of the model; its names come behind `name` and a dot.
  template <class Child>
  Description& child(std::string_view name, Child& model);

  const std::vector<DescribedTensor>& tensors() const { return tensors_; }
  const std::vector<ModuleSpec>& modules() const { return modules_; }  ///< each before its children

  TENON_API Description();

 private:
  template <class Values>
  Description& add(std::string_view name, Values& values, Shape shape, Stride stride, Role role) {
    using T = std::remove_pointer_t<decltype(values.data())>;
    static_assert(Element<T>, "a tensor's elements are numbers, and not const: load writes to them");
    const auto bytes = std::as_writable_bytes(std::span<T>(values.data(), static_cast<std::size_t>(values.size())));
    return add_tensor(name, {{}, dtype_for<T>(), std::move(shape), std::move(stride), bytes, role});
  }
  TENON_API Description& add_tensor(std::string_view name, DescribedTensor tensor);
  TENON_API Description& add_option(std::string_view name, std::string json);
  TENON_API void enter(std::string_view name);
  TENON_API void leave();
  std::string joined(std::string_view name) const;

  std::vector<DescribedTensor> tensors_;
  std::vector<ModuleSpec> modules_;
  std::vector<std::size_t> open_;  ///< the module that is described, and those around it
};

template <class Model>
Description describe(Model& model) {
  Description description;
  if constexpr (requires { model.describe(description); })
    model.describe(description);
  else
    describe(description, model);
  return description;
}

template <class Child>
Description& Description::child(std::string_view name, Child& model) {
  enter(name);
  if constexpr (requires { model.describe(*this); })
    model.describe(*this);
  else
    describe(*this, model);
  leave();
  return *this;
}

/// Strides of a matrix whose columns lie one after another, as Eigen's do: `d.tensor("w", w, {r, c}, column_major(r))`.
inline Stride column_major(std::int64_t rows) { return {1, rows}; }

/// Names, dtypes, shapes and blueprint of a model, without values.
TENON_API Listing list(const Description& model);

/// Tensors, modules, options. With inputs and outputs of one run, whose first extent is the batch, also a probe.
TENON_API Blueprint blueprint(const Description& model, const std::vector<TensorView>& inputs = {},
                              const std::vector<TensorView>& outputs = {});

/// Saves the tensors with `blueprint`, or with the one without a probe. The suffix of `path` names the format. Tensors
/// in one place share a storage. Throws what save(Snapshot) throws.
TENON_API SaveReport save(const Description& model, const std::string& path, const SaveOptions& options = {});
TENON_API SaveReport save(const Description& model, const std::string& path, const Blueprint& blueprint,
                          const SaveOptions& options = {});

/// Does the checkpoint fit the model, and if not, why? Throws what open() throws.
TENON_API Report check(const Description& model, const std::string& path, const OpenOptions& options = {});

/// Copies a checkpoint's values into the model; returns the number of tensors. Every check comes before the first copy:
/// when it throws, nothing was changed. Throws Error Invalid where names, shapes or modules and options do not fit, or
/// where a dtype change would alter values and `accept.lossy` is not set; and what open() throws.
TENON_API std::size_t load(const Description& model, const std::string& path, const Acceptance& accept = {},
                           const OpenOptions& options = {});

}  // namespace tenon
