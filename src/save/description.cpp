// Description: what a type says of its tensors, options and children, checked as it comes.
#include <algorithm>

#include <tenon/describe.hpp>
#include <tenon/error.hpp>

namespace tenon {
namespace {

[[noreturn]] void refuse(std::string name, std::string what, std::string expected, std::string found) {
  throw Error(Code::Invalid, {{}, {}, std::move(name), {}}, std::move(what), std::move(expected), std::move(found),
              "correct the type's describe()");
}

/// Elements from the first to the last one, both included; 0 for a tensor without elements.
std::uint64_t reach(const DescribedTensor& tensor) {
  if (element_count(tensor.shape) == 0) return 0;
  std::uint64_t last = 0;
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    if (tensor.stride[axis] < 0) refuse(tensor.name, "a stride is negative", "0 or more", {});
    std::uint64_t step = 0;
    if (__builtin_mul_overflow(static_cast<std::uint64_t>(tensor.shape[axis] - 1),
                               static_cast<std::uint64_t>(tensor.stride[axis]), &step) ||
        __builtin_add_overflow(last, step, &last))
      refuse(tensor.name, "strides pass 2^64 elements", {}, {});
  }
  return last + 1;
}

}  // namespace

Description::Description() {
  modules_.push_back({{}, "Module", true, {}, {}});
  open_.push_back(0);
}

Description& Description::type(std::string_view name) {
  modules_[open_.back()].type = name;
  return *this;
}

std::string Description::joined(std::string_view name) const {
  const std::string& path = modules_[open_.back()].path;
  if (name.empty() || name.find('.') != std::string_view::npos)
    refuse(path, "a name is empty or has a dot", "a name of its own for each part", std::string(name));
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

Description& Description::add_tensor(std::string_view name, DescribedTensor tensor) {
  tensor.name = joined(name);
  for (const DescribedTensor& other : tensors_)
    if (other.name == tensor.name) refuse(tensor.name, "two tensors have one name", "a name of its own", tensor.name);
  const bool is_dense = tensor.stride.empty();
  if (is_dense) tensor.stride = dense_stride(tensor.shape);
  if (tensor.stride.size() != tensor.shape.size())
    refuse(tensor.name, "a stride for each axis is needed", std::to_string(tensor.shape.size()),
           std::to_string(tensor.stride.size()));
  const std::uint64_t held = tensor.bytes.size() / static_cast<std::uint64_t>(dtype_bits(tensor.dtype) / 8);
  const std::uint64_t wanted = reach(tensor);
  if (is_dense ? held != wanted : held < wanted)
    refuse(tensor.name, "the shape does not suit the memory", std::to_string(wanted) + " elements",
           std::to_string(held));
  tensors_.push_back(std::move(tensor));
  return *this;
}

Description& Description::add_option(std::string_view name, std::string json) {
  auto& options = modules_[open_.back()].options;
  options.emplace_back(std::string(name), std::move(json));
  std::sort(options.begin(), options.end());
  return *this;
}

void Description::enter(std::string_view name) {
  modules_.push_back({joined(name), "Module", true, {}, {}});
  open_.push_back(modules_.size() - 1);
}

void Description::leave() { open_.pop_back(); }

}  // namespace tenon
