#include "model/script/constants.hpp"

#include <cstring>
#include <vector>

#include <tenon/blueprint.hpp>

#include "base/digest.hpp"
#include "base/text.hpp"

namespace tenon::model::script {
namespace {

constexpr std::uint64_t kMaxHashedBytes = 64ULL << 20;

std::optional<std::string> number_of(const Tensor& tensor) {
  const bool is_whole = tensor.dtype == DType::Int64 || tensor.dtype == DType::Int32 || tensor.dtype == DType::Bool;
  const DType wide = is_whole ? DType::Int64 : DType::Float64;
  if (!can_cast(tensor.dtype, wide)) return std::nullopt;
  const Tensor number = cast(tensor, wide);
  std::vector<std::byte> bytes(8);
  copy_dense(number, bytes);
  if (tensor.dtype == DType::Bool) return bytes[0] != std::byte{0} ? "true" : "false";
  std::int64_t whole = 0;
  double real = 0;
  std::memcpy(is_whole ? static_cast<void*>(&whole) : static_cast<void*>(&real), bytes.data(), 8);
  return is_whole ? std::to_string(whole) : as_json(real);
}

}  // namespace

ScriptConstant ScriptConstants::find(std::string_view name) {
  const auto index = constants_ && name.starts_with("c") ? constants_->find(name.substr(1)) : std::nullopt;
  if (!index) return {false, as_json("constant " + std::string(name))};
  const TensorInfo& info = constants_->tensors()[*index];
  const bool has_bytes = info.storage != kNoStorage;
  if (info.shape.empty() && has_bytes)
    if (auto number = number_of(constants_->tensor(*index))) return {true, *number};
  return {false, as_json(describe(info, *index))};
}

std::string ScriptConstants::describe(const TensorInfo& info, std::size_t index) {
  std::string text = std::string(dtype_name(info.dtype)) + " " + base::shape_text(info.shape);
  if (!with_values_ || info.storage == kNoStorage) return text;
  hashed_bytes_ += byte_size(info.shape, info.dtype);
  if (hashed_bytes_ > kMaxHashedBytes) return text;
  base::Sha256 digest;
  for_each_block(constants_->tensor(index), [&](std::span<const std::byte> bytes) { digest.update(bytes); });
  return text + " sha256:" + digest.hex();
}

}  // namespace tenon::model::script
