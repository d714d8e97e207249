// The folder's files in order of their names -> those that open -> those with most of the target's shapes -> a plan for
// each -> the ones that fill nearly all of the target.
#include "neighbours.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <tenon/error.hpp>

namespace tenon::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 4'096;    // of the folder
constexpr std::size_t kMostFiles = 64;         // opened
constexpr std::size_t kMostTensors = 400'000;  // listed, in all of them
constexpr std::size_t kMostPlans = 4;          // tried
constexpr std::size_t kMostNamed = 3;
constexpr double kIsTheModels = 0.9;   // share of the target's parameters from which on a neighbour is named
constexpr double kIsAnothers = 0.5;    // share up to which the given file is not the model's
constexpr double kLeastShapes = 0.75;  // share of the target's tensors with a counterpart of their shape

/// A neighbour costs what its metadata costs, and of that a share of what a file costs that was asked for.
Limits limits() {
  Limits small;
  small.pickle_bytes = 64ULL << 20;
  small.pickle_opcodes = 10'000'000;
  small.pickle_nodes = 2'000'000;
  small.walked_paths = 500'000;
  small.object_values = 100'000;
  small.zip_entries = 200'000;
  small.inflated_record_bytes = 64ULL << 20;
  small.safetensors_header_bytes = 32'000'000;
  small.json_file_bytes = 32ULL << 20;
  return small;
}

fs::path folder_of(const std::string& file) {
  std::error_code failed;
  const fs::path path(file);
  if (fs::is_directory(path, failed)) return path;
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Regular files of the folder but these two, by name. A link may lead anywhere: it is none.
std::vector<fs::path> files_beside(const std::string& file, const std::string& target_file) {
  const fs::path folder = folder_of(file);
  std::vector<fs::path> files;
  std::error_code failed;
  std::size_t entries = 0;
  for (auto entry = fs::directory_iterator(folder, failed);
       !failed && entry != fs::directory_iterator() && entries < kMostEntries; entry.increment(failed), ++entries) {
    std::error_code ignored;
    const bool is_given =
        fs::equivalent(entry->path(), file, ignored) || fs::equivalent(entry->path(), target_file, ignored);
    if (!is_given && fs::is_regular_file(entry->symlink_status(ignored)))
      files.push_back(folder == "." ? entry->path().filename() : entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Names and shapes only: where no dtype is known, no value is read to compare two.
void forget_types(Listing& listing) {
  for (TensorSpec& spec : listing.tensors) spec.dtype.reset();
  listing.blueprint.reset();
}

std::optional<Listing> names_in(const fs::path& file) {
  try {
    Listing listing = read_listing(file.string(), {.mode = ReadMode::Map, .salvage = Salvage::No, .limits = limits()});
    forget_types(listing);
    if (listing.values) return listing;  // a blueprint loads into nothing
  } catch (const Error&) {               // not a checkpoint, or not a whole one: not what is looked for
  }
  return std::nullopt;
}

/// Share of the target's tensors that find one of their shape, each taken once: no plan of names does better.
double shape_share(const Listing& checkpoint, const Listing& target) {
  std::map<Shape, std::size_t> offered;
  for (const TensorSpec& spec : checkpoint.tensors)
    if (spec.shape) ++offered[*spec.shape];
  std::size_t found = 0;
  for (const TensorSpec& spec : target.tensors) {
    const auto at = spec.shape ? offered.find(*spec.shape) : offered.end();
    if (at == offered.end() || at->second == 0) continue;
    --at->second;
    ++found;
  }
  return target.tensors.empty() ? 0 : static_cast<double>(found) / static_cast<double>(target.tensors.size());
}

struct Candidate {
  std::string file;
  Listing listing, model;  ///< the target's part that is its model depends on who asks
  double shapes = 0;
  std::size_t names = 0;  ///< the model's that it has as they are: of two that fit, the one that needs no plan is first
};

std::size_t common_names(const Listing& checkpoint, const Listing& model) {
  std::unordered_set<std::string_view> names;
  for (const TensorSpec& spec : checkpoint.tensors) names.insert(spec.name);
  return static_cast<std::size_t>(std::count_if(model.tensors.begin(), model.tensors.end(),
                                                [&](const TensorSpec& spec) { return names.count(spec.name) > 0; }));
}

Candidate candidate_of(const fs::path& file, Listing listing, const Listing& target) {
  Listing model = target_model(listing, target);
  forget_types(model);
  model.values.reset();
  model.value_names.clear();
  const double shapes = shape_share(listing, model);
  const std::size_t names = common_names(listing, model);
  return {file.string(), std::move(listing), std::move(model), shapes, names};
}

std::vector<Candidate> candidates(const std::vector<fs::path>& files, const Listing& target) {
  std::vector<Candidate> found;
  std::size_t tensors = 0;
  for (std::size_t i = 0; i < std::min(files.size(), kMostFiles) && tensors < kMostTensors; ++i) {
    auto listing = names_in(files[i]);
    if (!listing) continue;
    tensors += listing->tensors.size();
    Candidate candidate = candidate_of(files[i], std::move(*listing), target);
    if (candidate.shapes >= kLeastShapes) found.push_back(std::move(candidate));
  }
  std::stable_sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    return std::pair(a.shapes, a.names) > std::pair(b.shapes, b.names);
  });
  if (found.size() > kMostPlans) found.resize(kMostPlans);
  return found;
}

std::optional<Neighbour> as_neighbour(const Candidate& candidate) {
  const Report report = diagnose(candidate.listing, candidate.model);
  if (!report.coverage || report.coverage->parameters < kIsTheModels) return std::nullopt;
  return Neighbour{candidate.file, report.coverage->tensors, report.coverage->parameters};
}

/// A plan that leaves nothing open speaks for the file, however much of the model stays as it is.
bool is_anothers(const Report& report) {
  const bool is_solved = !report.plan.ops.empty() && report.leaves.missing + report.leaves.mismatched == 0;
  if (report.fits == std::optional(true) || is_solved) return false;
  return !report.coverage || report.coverage->parameters <= kIsAnothers;
}

}  // namespace

void name_neighbours(const std::string& file, const std::string& target_file, const Listing& target, Report& report) {
  if (!is_anothers(report) || target.tensors.empty()) return;
  for (const Candidate& candidate : candidates(files_beside(file, target_file), target))
    if (auto neighbour = as_neighbour(candidate)) report.neighbours.push_back(std::move(*neighbour));
  std::stable_sort(report.neighbours.begin(), report.neighbours.end(), [](const Neighbour& a, const Neighbour& b) {
    return std::pair(a.parameters, a.tensors) > std::pair(b.parameters, b.tensors);
  });
  if (report.neighbours.size() > kMostNamed) report.neighbours.resize(kMostNamed);
}

}  // namespace tenon::cli
