#include "diagnose/coverage.hpp"

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMostRows = 256;

struct Share {
  double wanted = 0, found = 0;

  void add(double weight, bool is_found) {
    wanted += weight;
    if (is_found) found += weight;
  }
  double ratio() const { return wanted > 0 ? found / wanted : 1; }
  bool is_partial() const { return found > 0 && found < wanted; }
};

double parameters(const TensorSpec& spec) {
  double product = 1;
  if (spec.shape)
    for (const std::int64_t extent : *spec.shape) product *= static_cast<double>(extent);
  return product;
}

/// Tensors of the model below one path.
struct Subtree {
  std::string_view path;
  std::vector<std::size_t> tensors;
  Share values;
};

class Counter {
 public:
  explicit Counter(const Case& facts) : facts_(facts), is_found_(facts.target.tensors.size(), false) {
    for (const Pair& pair : facts.gap.matched) is_found_[pair.target] = true;
  }

  Coverage count() {
    std::vector<std::size_t> all;
    Share tensors, values;
    for (std::size_t i = 0; i < is_found_.size(); ++i) {
      tensors.add(1, is_found_[i]);
      values.add(parameters(facts_.want(i)), is_found_[i]);
      all.push_back(i);
    }
    add_rows(parts_of(all, 0));
    return {tensors.ratio(), values.ratio(), std::move(rows_)};
  }

 private:
  /// By the part of the name that begins at `at`, in order of appearance.
  std::vector<Subtree> parts_of(const std::vector<std::size_t>& tensors, std::size_t at) const {
    std::vector<Subtree> parts;
    std::unordered_map<std::string_view, std::size_t> known;
    for (const std::size_t index : tensors) {
      const std::string_view name = facts_.want(index).name;
      const std::string_view path = name.substr(0, name.find('.', at));
      const auto [found, is_new] = known.try_emplace(path, parts.size());
      if (is_new) parts.push_back({path, {}, {}});
      Subtree& part = parts[found->second];
      part.tensors.push_back(index);
      part.values.add(parameters(facts_.want(index)), is_found_[index]);
    }
    return parts;
  }

  void add_rows(const std::vector<Subtree>& parts) {
    for (const Subtree& part : parts) {
      if (rows_.size() == kMostRows) return;
      rows_.push_back({std::string(part.path), part.values.ratio()});
      if (part.values.is_partial()) add_rows(parts_of(part.tensors, part.path.size() + 1));
    }
  }

  const Case& facts_;
  std::vector<bool> is_found_;
  std::vector<ModuleCoverage> rows_;
};

}  // namespace

Coverage coverage_of(const Case& facts) { return Counter(facts).count(); }

}  // namespace tenon::diagnosis
