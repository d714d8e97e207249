#include "diagnose/roots.hpp"

#include <algorithm>
#include <unordered_map>

#include "diagnose/names.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxRoots = 16;

/// Modules belong to the state dict (or the pickled model) that they stand in; every other container may be a root.
bool may_be_root(std::span<const Container> containers, std::size_t index) {
  const Container& container = containers[index];
  if (container.kind == ContainerKind::TensorParts) return false;
  return container.kind != ContainerKind::Module || containers[container.parent].kind != ContainerKind::Module;
}

struct Tally {
  std::size_t all = 0, direct = 0;
};

/// Tensors of the listing below each container. Parents stand before children, so one walk from behind adds them up.
std::vector<Tally> tally(const Checkpoint& checkpoint) {
  const auto containers = checkpoint.containers();
  std::vector<Tally> tallies(containers.size());
  for (std::size_t i = containers.size(); i-- > 0;) {
    tallies[i].all += containers[i].tensor_count;
    tallies[i].direct += containers[i].tensor_count;
    if (i == 0) break;
    tallies[containers[i].parent].all += tallies[i].all;
    const bool is_part = !may_be_root(containers, i);
    if (is_part) tallies[containers[i].parent].direct += tallies[i].direct;
  }
  return tallies;
}

std::vector<std::size_t> largest(const Checkpoint& checkpoint, const std::vector<Tally>& tallies) {
  std::vector<std::size_t> candidates;
  for (std::size_t i = 1; i < tallies.size(); ++i)
    if (tallies[i].all > 0 && may_be_root(checkpoint.containers(), i)) candidates.push_back(i);
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](std::size_t a, std::size_t b) { return tallies[a].all > tallies[b].all; });
  if (candidates.size() > kMaxRoots) candidates.resize(kMaxRoots);
  return candidates;
}

Root root_at(const Listing& listing, const std::string& path, std::size_t direct) {
  Root root{path, {}, direct};
  const std::string prefix = path.empty() ? "" : path + ".";
  for (const TensorSpec& spec : listing.tensors) {
    if (!spec.name.starts_with(prefix)) continue;
    NamedShape row = named_shape(spec);
    row.name.remove_prefix(prefix.size());
    root.tensors.push_back(row);
  }
  return root;
}

std::size_t levels(const std::string& path) {
  return path.empty() ? 0 : 1 + static_cast<std::size_t>(std::count(path.begin(), path.end(), '.'));
}

}  // namespace

std::vector<Root> roots_of(const Listing& listing) {
  std::vector<Root> roots;
  if (!listing.values || !listing.state_dict.empty()) {
    roots.push_back(root_at(listing, "", listing.tensors.size()));
    return roots;
  }
  const auto tallies = tally(*listing.values);
  roots.push_back(root_at(listing, "", tallies.empty() ? listing.tensors.size() : tallies.front().direct));
  for (const std::size_t index : largest(*listing.values, tallies))
    roots.push_back(root_at(listing, listing.values->containers()[index].path, tallies[index].direct));
  return roots;
}

RootFit fit_of(const std::vector<NamedShape>& root, const std::vector<NamedShape>& want) {
  std::unordered_map<std::string_view, bool> wanted;  // to whether it was found
  wanted.reserve(want.size());
  for (const NamedShape& row : want) wanted.emplace(row.name, false);
  RootFit fit;
  std::vector<NamedShape> unexpected, missing;
  for (const NamedShape& row : root) {
    const auto found = wanted.find(row.name);
    if (found == wanted.end()) {
      unexpected.push_back(row);
    } else if (!found->second) {
      found->second = true;
      ++fit.exact;
    }
  }
  for (const NamedShape& row : want)
    if (!wanted[row.name]) missing.push_back(row);
  fit.keys = fit.exact + best_prefix(unexpected, missing).keys;
  return fit;
}

bool is_better(const ScoredRoot& a, const ScoredRoot& b) {
  if (a.root == nullptr || b.root == nullptr) return a.root != nullptr;
  if (a.fit.keys != b.fit.keys) return a.fit.keys > b.fit.keys;
  if (a.fit.exact != b.fit.exact) return a.fit.exact > b.fit.exact;
  const bool a_copy = is_called_copy(a.root->path), b_copy = is_called_copy(b.root->path);
  if (a_copy != b_copy) return b_copy;
  return levels(a.root->path) > levels(b.root->path);
}

const Root* main_root(const std::vector<Root>& roots) {
  const Root* best = nullptr;
  if (roots.empty() || roots.front().direct > 0) return nullptr;
  for (const Root& root : roots) {
    if (root.path.empty() || root.direct == 0 || is_called_optimizer(root.path)) continue;
    const auto rank = [](const Root& r) {
      return std::make_tuple(!is_called_copy(r.path), is_called_container(r.path), r.direct);
    };
    if (best == nullptr || rank(root) > rank(*best)) best = &root;
  }
  return best;
}

}  // namespace tenon::diagnosis
