#include "formats/writer.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include <tenon/error.hpp>
#include <tenon/save.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::formats {

void write_tensor(const SnapshotTensor& tensor, const Sink& sink) {
  const Tensor loaded = tensor.load();
  TENON_ASSERT(loaded.dtype == tensor.dtype && loaded.shape == tensor.shape);
  for_each_block(loaded, sink);
}

void refuse_if_any(const std::string& file, const std::vector<std::string>& refused, std::string what,
                   std::string next) {
  if (refused.empty()) return;
  constexpr std::size_t kShown = 10;
  const auto shown = std::span(refused).first(std::min(refused.size(), kShown));
  std::string found = base::join(shown, "; ");
  if (refused.size() > kShown) found += "; and " + base::count_text(refused.size() - kShown) + " more";
  throw Error(Code::Refused, Where{file, {}, {}, {}}, std::move(what), {}, std::move(found), std::move(next));
}

std::string next_for_types(const Snapshot& snapshot, std::string otherwise) {
  const auto& tensors = snapshot.tensors;
  const auto is_quantised = [](const SnapshotTensor& tensor) {
    return dtype_kind(tensor.dtype) == DTypeKind::Quantized && !is_block_dtype(tensor.dtype);
  };
  const auto is_block = [](const SnapshotTensor& tensor) { return is_block_dtype(tensor.dtype); };
  const auto is_computed = [](const SnapshotTensor& tensor) { return can_dequantize(tensor.dtype); };
  if (std::any_of(tensors.begin(), tensors.end(), is_quantised))
    return "no format that tenon writes holds quantised tensors: dequantise them in PyTorch (`tensor.dequantize()`), "
           "then save again";
  if (std::none_of(tensors.begin(), tensors.end(), is_block)) return otherwise;
  if (std::none_of(tensors.begin(), tensors.end(), is_computed))
    return "tenon does not compute the values of these block types: convert the file with llama.cpp first";
  return "`tenon convert --dequantize` writes Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K as float32";
}

bool is_state_dict_metadata(const Object& object) {
  return object.key() == "_metadata" && std::holds_alternative<Mapping>(object.value.is);
}

std::string leave_out_objects(const WriteRequest& request, const std::vector<std::string>& names,
                              std::string_view format) {
  if (names.empty()) return {};
  if (request.objects == Objects::Keep)
    refuse_if_any(request.file, names, std::string(format) + " cannot hold these objects",
                  "--drop-objects leaves them out; the tensors are complete without them");
  return base::plural(names.size(), "object") + " left out: " + names.front() + (names.size() > 1 ? ", ..." : "") +
         "; every tensor is kept";
}

std::vector<std::string> objects_to_leave_out(const Snapshot& snapshot) {
  std::vector<std::string> names;
  for (const Object& object : snapshot.objects)
    if (!is_state_dict_metadata(object)) names.push_back(object.name + " (" + type_name(object.value) + ")");
  return names;
}

std::string sharing_note(const Snapshot& snapshot, std::string_view format) {
  std::vector<std::uint64_t> storages;
  for (const SnapshotTensor& tensor : snapshot.tensors)
    if (tensor.storage) storages.push_back(*tensor.storage);
  std::sort(storages.begin(), storages.end());
  std::uint64_t sharing = 0;
  for (std::size_t i = 1; i < storages.size(); ++i) sharing += storages[i] == storages[i - 1] ? 1 : 0;
  if (sharing == 0) return {};
  return base::plural(sharing, "tensor") + " shared bytes with another: written out, because " + std::string(format) +
         " knows no sharing";
}

std::vector<std::string> names_that_stand_twice(const Snapshot& snapshot) {
  std::vector<std::string_view> names;
  for (const SnapshotTensor& tensor : snapshot.tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  std::vector<std::string> twice;
  for (auto at = names.begin(); (at = std::adjacent_find(at, names.end())) != names.end(); ++at)
    twice.emplace_back(*at);
  return twice;
}

}  // namespace tenon::formats

namespace tenon {

std::optional<Format> format_from_suffix(std::string_view path) {
  constexpr std::array<std::string_view, 6> kTorch{".pt", ".pth", ".bin", ".ckpt", ".th", ".model"};
  if (path.ends_with(".safetensors")) return Format::Safetensors;
  if (path.ends_with(".npz")) return Format::Npz;
  const bool torch = std::any_of(kTorch.begin(), kTorch.end(), [&](std::string_view s) { return path.ends_with(s); });
  return torch ? std::optional(Format::PytorchZip) : std::nullopt;
}

}  // namespace tenon
