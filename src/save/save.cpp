// The durable save: check the request, lay the output out, then write it through an AtomicFile.
#include <tenon/save.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "formats/npz.hpp"
#include "formats/safetensors.hpp"
#include "formats/torch_zip_writer.hpp"
#include "formats/writer.hpp"
#include "io/atomic_file.hpp"
#include "io/mapped_file.hpp"

namespace tenon {

namespace {

/// A parameter of shape [0] is what ZeRO-3 leaves on every rank but the owner's, and what a lazy module has before its
/// first run. Other shapes without elements exist for good reasons ([0, 4] of a layer for no classes), and so do empty
/// buffers.
bool is_empty_parameter(const SnapshotTensor& tensor) {
  const std::string_view name = tensor.name;
  const bool parameter = name == "weight" || name == "bias" || name.ends_with(".weight") || name.ends_with(".bias");
  return parameter && tensor.shape == Shape{0};
}

void refuse_no_tensors(const Snapshot& snapshot, const std::string& path) {
  if (snapshot.tensors.empty())
    throw Error(Code::Refused, Where{path, {}, {}, {}}, "there is no tensor to save", "at least one tensor", "none",
                "a module that keeps its layers in a plain list or vector registers nothing: register them");
}

void refuse_placeholders(const Snapshot& snapshot, const std::string& path) {
  std::vector<std::string> placeholders, empty;
  bool all_empty = true;
  for (const SnapshotTensor& tensor : snapshot.tensors) {
    if (tensor.placeholder) placeholders.push_back(tensor.name);
    if (is_empty_parameter(tensor)) empty.push_back(tensor.name + " " + base::shape_text(tensor.shape));
    all_empty = all_empty && element_count(tensor.shape) == 0;
  }
  constexpr const char* kGather = "gather the full parameters, or run the model once, then save";
  formats::refuse_if_any(path, placeholders, "these tensors have a shape and no bytes (meta tensors)",
                         "load their values first, then save");
  formats::refuse_if_any(
      path, empty, "these parameters have no elements: placeholders of a sharded (ZeRO-3) or lazy model", kGather);
  if (all_empty)
    throw Error(Code::Refused, Where{path, {}, {}, {}},
                "no tensor has an element: placeholders of a sharded (ZeRO-3) or lazy model", "at least one element",
                base::plural(snapshot.tensors.size(), "empty tensor"), kGather);
}

formats::Layout lay_out(const formats::WriteRequest& request, Format format) {
  if (format == Format::Safetensors) return formats::lay_out_safetensors(request);
  if (format == Format::PytorchZip) return formats::lay_out_torch_zip(request);
  if (format == Format::Npz) return formats::lay_out_npz(request);
  throw Error(Code::Invalid, Where{request.file, {}, {}, {}}, "tenon does not write this format",
              "safetensors, pytorch-zip or npz", std::string(format_name(format)));
}

/// Arrays of text stand among the tensors of some formats and have a place in none that tenon writes: they are refused
/// by their type, or dropped like objects. Empty where there are none.
std::optional<Snapshot> without_text(const Snapshot& snapshot, const SaveOptions& options) {
  const auto is_text = [](const SnapshotTensor& tensor) { return tensor.dtype == DType::String; };
  const auto& all = snapshot.tensors;
  if (options.objects == Objects::Keep || std::none_of(all.begin(), all.end(), is_text)) return std::nullopt;
  Snapshot kept = snapshot;
  for (const SnapshotTensor& tensor : all)
    if (is_text(tensor)) --kept.containers[tensor.container].tensor_count;
  std::erase_if(kept.tensors, is_text);
  return kept;
}

std::vector<std::string> notes_of(formats::Layout& layout, const Snapshot& whole, const Snapshot& written) {
  std::vector<std::string> notes = std::move(layout.notes);
  if (const std::size_t left_out = whole.tensors.size() - written.tensors.size(); left_out > 0)
    notes.push_back(base::plural(left_out, "array") + " of text left out");
  return notes;
}

/// Everything that can be refused is refused here.
formats::Layout checked_layout(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
  refuse_no_tensors(snapshot, path);
  refuse_placeholders(snapshot, path);
  return lay_out({snapshot, path, options.objects}, options.format);
}

}  // namespace

SaveReport rehearse_save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
  const auto kept = without_text(snapshot, options);
  const Snapshot& written = kept ? *kept : snapshot;
  formats::Layout layout = checked_layout(written, path, options);
  if (options.existing == Existing::Refuse && io::path_kind(path) != io::PathKind::Missing)
    throw Error(Code::Exists, Where{path, {}, {}, {}}, "the output exists already", "a new name", {},
                "choose another name, or --force to replace it");
  return {layout.file_bytes, notes_of(layout, snapshot, written)};
}

SaveReport save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
  const auto kept = without_text(snapshot, options);
  const Snapshot& written = kept ? *kept : snapshot;
  formats::Layout layout = checked_layout(written, path, options);
  io::AtomicFile file(path, options.existing, layout.file_bytes);
  layout.write([&](std::span<const std::byte> bytes) { file.write(bytes); });
  TENON_ASSERT(file.written() == layout.file_bytes);
  file.commit(options.durability);
  return {layout.file_bytes, notes_of(layout, snapshot, written)};
}

std::optional<Format> format_from_suffix(std::string_view path) {
  constexpr std::array<std::string_view, 6> kTorch{".pt", ".pth", ".bin", ".ckpt", ".th", ".model"};
  if (path.ends_with(".safetensors")) return Format::Safetensors;
  if (path.ends_with(".npz")) return Format::Npz;
  const bool torch = std::any_of(kTorch.begin(), kTorch.end(), [&](std::string_view s) { return path.ends_with(s); });
  return torch ? std::optional(Format::PytorchZip) : std::nullopt;
}

}  // namespace tenon
