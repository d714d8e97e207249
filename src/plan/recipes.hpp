// Recipes: makes the nodes of recipe trees. Each function checks that the step fits the shape it works on, as far as it
// is known, and that the result stays within plan/limits.hpp; what is unknown stays unknown.
//
// All functions throw Error Invalid (the step does not fit) or Limit, with the tensor's name.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/plan.hpp>
#include <tenon/recipe.hpp>

namespace tenon::plan {

class Recipes {
 public:
  /// `name` is the tensor's, for messages; `most_bytes` what a computed tensor may have.
  Recipes(std::string name, std::uint64_t most_bytes) : name_(std::move(name)), most_bytes_(most_bytes) {}

  static Recipe of_target(std::optional<Shape> shape, std::optional<DType> dtype);

  /// `dims` name each axis once; also refused where the tensor's shape is not known.
  Recipe permuted(const Recipe& input, const std::vector<std::int64_t>& dims) const;
  Recipe viewed(const Recipe& input, const Shape& shape) const;  ///< 0 keeps, -1 is what is left
  Recipe reordered(const Recipe& input, const Reorder& op) const;
  Recipe converted(const Recipe& input, const Cast& op, Applicability applicability) const;

  std::vector<Recipe> split(const Recipe& input, const Split& op) const;
  Recipe fused(const std::vector<Recipe>& inputs, const Fuse& op) const;

  Recipe resized(const Recipe& input, const Resize& op) const;
  Recipe with_rows(const Recipe& input, const ResizeRows& op) const;
  Recipe with_channels(const Recipe& input, const InflateChannels& op) const;
  Recipe dequantized(const Recipe& input) const;

  /// `base` null: the target's tensor. `alpha` null: none.
  Recipe merged(const Recipe& base, const Recipe& down, const Recipe& up, const Recipe& alpha,
                const MergeLora& op) const;

  /// Parts of a layer and the batch norm behind it; null where there are none.
  struct NormFold {
    Recipe weight, bias, gamma, beta, mean, variance;
  };
  std::pair<Recipe, Recipe> folded(const NormFold& parts, const FoldBatchNorm& op) const;  ///< weight, bias
  Recipe norm_multiplied(const Recipe& g, const Recipe& v) const;
  Recipe norm_taken(const Recipe& weight, std::int64_t dim) const;

 private:
  Error wrong(std::string what, std::string expected, std::string found, std::string next = {}) const;
  Recipe make(RecipeStep step, std::vector<Recipe> inputs, std::optional<Shape> shape,
              std::optional<DType> dtype) const;
  std::size_t axis(std::int64_t dim, const Shape& shape) const;
  void require_whole_bytes(const Recipe& input) const;
  void require_permutation(const std::vector<std::int64_t>& dims) const;
  void require_numbers(const Recipe& input) const;
  void require_counts(std::size_t parts, std::int64_t groups) const;
  Recipe viewed_exactly(const Recipe& input, Shape shape) const;
  Recipe sliced(const Recipe& input, std::size_t dim, std::int64_t first, std::int64_t length) const;

  std::string name_;
  std::uint64_t most_bytes_;
};

}  // namespace tenon::plan
