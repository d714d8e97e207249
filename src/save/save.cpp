// The durable save: check the request, lay the output out, then write it through an AtomicFile.
#include <tenon/save.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "formats/safetensors.hpp"
#include "formats/torch_zip_writer.hpp"
#include "formats/writer.hpp"
#include "io/atomic_file.hpp"

namespace tenon {

namespace {

/// A weight of no elements is what a sharded or lazy parameter leaves behind: ZeRO-3 shows shape [0], a lazy module
/// too.
bool is_empty_parameter(const SnapshotTensor& tensor) {
  const std::string_view name = tensor.name;
  const bool parameter = name == "weight" || name == "bias" || name.ends_with(".weight") || name.ends_with(".bias");
  return parameter && element_count(tensor.shape) == 0;
}

void refuse_nonsense(const Snapshot& snapshot, const std::string& path) {
  if (snapshot.tensors.empty())
    throw Error(Code::Refused, Where{path, {}, {}, {}}, "there is no tensor to save", "at least one tensor", "none",
                "a module that keeps its layers in a plain list or vector registers nothing: register them");
  std::vector<std::string> placeholders, empty;
  for (const SnapshotTensor& tensor : snapshot.tensors) {
    if (tensor.placeholder)
      placeholders.push_back(tensor.name);
    else if (is_empty_parameter(tensor))
      empty.push_back(tensor.name + " " + base::shape_text(tensor.shape));
  }
  formats::refuse_if_any(path, placeholders, "these tensors have a shape and no bytes (meta tensors)",
                         "load their values first, then save");
  formats::refuse_if_any(path, empty,
                         "these parameters have no elements: placeholders of a sharded (ZeRO-3) or lazy model",
                         "gather the full parameters, or run the model once, then save");
}

formats::Layout lay_out(const formats::WriteRequest& request, Format format) {
  if (format == Format::Safetensors) return formats::lay_out_safetensors(request);
  if (format == Format::PytorchZip) return formats::lay_out_torch_zip(request);
  throw Error(Code::Invalid, Where{request.file, {}, {}, {}}, "tenon does not write this format",
              "safetensors or pytorch-zip", std::string(format_name(format)));
}

}  // namespace

SaveReport save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
  refuse_nonsense(snapshot, path);
  formats::Layout layout = lay_out({snapshot, path, options.objects}, options.format);
  io::AtomicFile file(path, options.existing, layout.file_bytes);
  layout.write([&](std::span<const std::byte> bytes) { file.write(bytes); });
  TENON_ASSERT(file.written() == layout.file_bytes);
  file.commit(options.durability);
  return {layout.file_bytes, std::move(layout.notes)};
}

std::optional<Format> format_from_suffix(std::string_view path) {
  constexpr std::array<std::string_view, 6> kTorch{".pt", ".pth", ".bin", ".ckpt", ".th", ".model"};
  if (path.ends_with(".safetensors")) return Format::Safetensors;
  const bool torch = std::any_of(kTorch.begin(), kTorch.end(), [&](std::string_view s) { return path.ends_with(s); });
  return torch ? std::optional(Format::PytorchZip) : std::nullopt;
}

}  // namespace tenon
