#include "model/folder_listing.hpp"

#include <filesystem>
#include <memory>
#include <utility>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>

#include "io/mapped_file.hpp"
#include "model/config_blueprint.hpp"

namespace tenon::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfig = "config.json";

std::string in(const std::string& folder, std::string_view name) { return (fs::path(folder) / name).string(); }

bool is_file(const std::string& path) { return io::path_kind(path) == io::PathKind::File; }

}  // namespace

bool has_config(const std::string& folder) { return is_file(in(folder, kConfig)); }

Listing list_folder(const std::string& folder, const OpenOptions& options) {
  Listing listing = list(open(folder, options));
  if (listing.blueprint || !listing.blueprint_problem.empty()) return listing;
  const std::string config = in(folder, kConfig);
  try {
    Blueprint blueprint = config_blueprint(io::read_text(config, options.limits), config, options.limits);
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
