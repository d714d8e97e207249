// Source of the names: transformers utils/__init__.py, diffusers utils/constants.py (*_WEIGHTS_NAME),
// torch/distributed/checkpoint/filesystem.py.
#include "formats/folder.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include <tenon/save.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "formats/gguf_split.hpp"
#include "formats/open.hpp"
#include "formats/torch_dcp.hpp"
#include "io/fs.hpp"

namespace tenon::formats {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDcpMetadata = ".metadata";
/// Names that libraries give a folder's weights, the preferred one first.
constexpr std::string_view kWeights[] = {"model.safetensors",
                                         "diffusion_pytorch_model.safetensors",
                                         "adapter_model.safetensors",
                                         "model.safetensors.index.json",
                                         "diffusion_pytorch_model.safetensors.index.json",
                                         "pytorch_model.bin",
                                         "diffusion_pytorch_model.bin",
                                         "adapter_model.bin",
                                         "pytorch_model.bin.index.json",
                                         "diffusion_pytorch_model.bin.index.json"};
/// What stands beside weights and is none: names that begin so.
constexpr std::string_view kNoWeights[] = {"optimizer", "scheduler", "rng_state", "training_args", "scaler"};

bool begins_with_any(std::string_view name) {
  return std::any_of(std::begin(kNoWeights), std::end(kNoWeights),
                     [&](std::string_view other) { return name.starts_with(other); });
}

bool is_file(const std::string& path) {
  try {
    return io::path_kind(path) == io::PathKind::File;
  } catch (const Error&) {
    return false;  // a loop of links
  }
}

/// File names in the folder, sorted.
std::vector<std::string> names_in(const std::string& folder) {
  // Not by std::filesystem: where memory ends inside libstdc++'s iterators and joined paths, so does the process.
  std::vector<std::string> names = io::system_fs().list(folder);
  std::erase_if(names, [&](const std::string& name) { return !is_file(io::path_in(folder, name)); });
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> ending_with(const std::vector<std::string>& names, std::string_view suffix) {
  std::vector<std::string> found;
  std::copy_if(names.begin(), names.end(), std::back_inserter(found),
               [&](const std::string& name) { return name.ends_with(suffix); });
  return found;
}

std::vector<std::string> checkpoints_among(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  std::copy_if(names.begin(), names.end(), std::back_inserter(found),
               [](const std::string& name) { return format_from_suffix(name).has_value() && !begins_with_any(name); });
  return found;
}

/// A GGUF model in several files is opened by its first.
std::vector<std::string> without_further_parts(std::vector<std::string> files) {
  const std::vector<std::string> all = files;  // sorted
  std::erase_if(files, [&](const std::string& file) {
    const auto part = parse_gguf_part(file);
    return part && part->number > 1 && std::binary_search(all.begin(), all.end(), part->of(1));
  });
  return files;
}

[[noreturn]] void refuse(const std::string& folder, Code code, std::string what, std::string expected,
                         std::vector<std::string> names, std::string next) {
  constexpr std::size_t kShown = 3;
  const std::size_t count = names.size();
  names.resize(std::min(count, kShown));
  for (std::string& name : names) name = base::escape_for_terminal(name);
  throw Error(code, Where{folder, {}, {}, {}}, std::move(what), std::move(expected),
              count == 0 ? "none" : base::plural(count, "file") + ": " + base::join(names, ", "), std::move(next));
}

/// The file that stands for the folder.
std::string chosen(const std::string& folder, const std::vector<std::string>& names) {
  for (const std::string_view known : kWeights)
    if (std::binary_search(names.begin(), names.end(), known)) return std::string(known);
  for (const std::string_view suffix : {".safetensors.index.json", ".bin.index.json"})
    if (const auto indexes = ending_with(names, suffix); indexes.size() == 1) return indexes.front();
  std::vector<std::string> files = checkpoints_among(names);
  if (files.empty()) files = without_further_parts(ending_with(names, ".gguf"));  // read, never written
  if (files.size() == 1) return files.front();
  if (const auto pieces = ending_with(names, ".distcp"); files.empty() && !pieces.empty())
    refuse(folder, Code::Corrupt, "the folder is an unfinished distributed checkpoint",
           ".metadata, which is written last", pieces, "save it again, or take the last one that was finished");
  refuse(folder, Code::Unsupported, "the folder has no single checkpoint",
         "model.safetensors, an index of shards, .metadata, or one checkpoint file", files, "name one of its files");
}

/// Whole checkpoints, and indexes of such, that stand beside the one that was taken.
void note_passed_over(const std::vector<std::string>& names, const std::string& taken, CheckpointCore& core) {
  std::vector<std::string> others;
  for (const std::string& name : names) {
    const bool is_known = std::find(std::begin(kWeights), std::end(kWeights), name) != std::end(kWeights);
    const bool is_index = name.ends_with(".safetensors.index.json") || name.ends_with(".bin.index.json");
    if (name != taken && (is_known || is_index)) others.push_back("`" + base::escape_for_terminal(name) + "`");
  }
  if (others.empty()) return;
  core.warnings.push_back("the folder holds several checkpoints: `" + base::escape_for_terminal(taken) +
                          "` was read, passed over: " + base::join(others, ", ") + "; name a file to read that one");
}

}  // namespace

std::shared_ptr<CheckpointCore> open_folder(const std::string& folder, const OpenOptions& options) {
  const std::vector<std::string> names = names_in(folder);
  const bool is_dcp = std::binary_search(names.begin(), names.end(), kDcpMetadata);
  const auto path = is_dcp ? std::string(kDcpMetadata) : chosen(folder, names);
  const auto file = io::MappedFile::open_beside(folder, path, options.mode);
  auto core = is_dcp ? open_torch_dcp({folder, file, options}) : open_core({io::path_in(folder, path), file, options});
  core->file = folder;
  note_passed_over(names, path, *core);
  return core;
}

}  // namespace tenon::formats
