#include "model/folder_listing.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>
#include <tenon/save.hpp>

#include "base/text.hpp"
#include "io/mapped_file.hpp"
#include "model/config_blueprint.hpp"

namespace tenon::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfig = "config.json";

/// Names that libraries give a folder's weights, the preferred one first.
constexpr std::string_view kWeights[] = {"model.safetensors", "diffusion_pytorch_model.safetensors",
                                         "pytorch_model.bin", "diffusion_pytorch_model.bin"};
/// What stands beside weights and is none: names that begin so.
constexpr std::string_view kNoWeights[] = {"optimizer", "scheduler", "rng_state", "training_args", "scaler"};

std::string in(const std::string& folder, std::string_view name) { return (fs::path(folder) / name).string(); }

bool is_file(const std::string& path) { return io::path_kind(path) == io::PathKind::File; }

std::vector<std::string> checkpoint_files(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(folder, failed); !failed && entry != fs::directory_iterator();
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    const bool is_other = std::any_of(std::begin(kNoWeights), std::end(kNoWeights),
                                      [&](std::string_view other) { return name.starts_with(other); });
    if (format_from_suffix(name) && !is_other) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The folder's only file of weights.
std::string weights_of(const std::string& folder) {
  for (const std::string_view name : kWeights)
    if (is_file(in(folder, name))) return in(folder, name);
  std::vector<std::string> names = checkpoint_files(folder);
  if (names.size() == 1) return in(folder, names.front());
  const std::size_t count = names.size();
  names.resize(std::min<std::size_t>(count, 3));
  throw Error(Code::Unsupported, Where{folder, {}, {}, {}}, "the folder has no single file of weights",
              "model.safetensors, pytorch_model.bin, or one checkpoint file",
              count == 0 ? "none" : base::plural(count, "file") + ": " + base::join(names, ", "),
              "name one of its files");
}

}  // namespace

bool has_config(const std::string& folder) { return is_file(in(folder, kConfig)); }

Listing list_folder(const std::string& folder, const OpenOptions& options) {
  Listing listing = list(open(weights_of(folder), options));
  if (listing.blueprint || !listing.blueprint_problem.empty()) return listing;
  const std::string config = in(folder, kConfig);
  try {
    Blueprint blueprint =
        config_blueprint(io::read_text(config, options.limits.json_file_bytes), config, options.limits);
    blueprint.tensors = listing.tensors;
    listing.class_name = blueprint.class_name;
    listing.blueprint = std::make_shared<const Blueprint>(std::move(blueprint));
  } catch (const Error& error) {
    listing.warnings.push_back(std::string(kConfig) + " is not used: " + error.what_happened);
    listing.blueprint_problem = std::string(kConfig) + ": " + error.what_happened;
  }
  return listing;
}

}  // namespace tenon::model
