#include "plan/grids.hpp"

#include "base/whole_root.hpp"

namespace tenon::plan {
namespace {

/// [g, g] for g * g positions, g > 0.
std::optional<Shape> square(std::int64_t positions) {
  const auto side = base::whole_root(positions);
  if (side.value_or(0) < 1) return std::nullopt;
  return Shape{*side, *side};
}

bool fills(const Shape& grid, std::int64_t positions) {
  std::int64_t product = 0;
  return grid.size() == 2 && grid[0] > 0 && grid[1] > 0 && !__builtin_mul_overflow(grid[0], grid[1], &product) &&
         product == positions;
}

/// The grids of both sides with this many tokens; false where there are none.
bool set_grids(Interpolate& step, std::int64_t from, std::int64_t to, std::int64_t tokens, const Resize& op) {
  if (tokens < 0 || tokens > from || tokens > to) return false;
  const auto a = op.from_grid.empty() ? square(from - tokens) : std::optional(op.from_grid);
  const auto b = op.to_grid.empty() ? square(to - tokens) : std::optional(op.to_grid);
  if (!a || !b || !fills(*a, from - tokens) || !fills(*b, to - tokens)) return false;
  step.tokens = tokens;
  step.from_grid = *a;
  step.to_grid = *b;
  return true;
}

std::optional<Interpolate> flattened(Interpolate step, std::int64_t from, std::int64_t to, const Resize& op) {
  step.tokens_at_end = op.tokens_at_end;
  if (op.tokens) return set_grids(step, from, to, *op.tokens, op) ? std::optional(step) : std::nullopt;
  for (std::int64_t tokens = 0; tokens <= 3; ++tokens) {
    step.tokens_at_end = op.tokens_at_end || tokens == 3;
    if (set_grids(step, from, to, tokens, op)) return step;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Interpolate> interpolation(const Shape& from, const Shape& to, const Resize& op) {
  Interpolate step;
  step.mode = op.mode;
  std::size_t first = from.size(), count = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i] == to[i]) continue;
    if (from[i] < 1 || to[i] < 1) return std::nullopt;
    first = count == 0 ? i : first;
    step.axes = i - first + 1;
    ++count;
  }
  step.dim = first;
  if (op.mode == ResizeMode::Linear) {
    if (count != 1) return std::nullopt;
    step.from_grid = {from[first]};
    step.to_grid = {to[first]};
    return step;
  }
  if (count == 1) return flattened(step, from[first], to[first], op);
  if (count != 2 || step.axes != 2) return std::nullopt;
  step.from_grid = {from[first], from[first + 1]};
  step.to_grid = {to[first], to[first + 1]};
  return step;
}

}  // namespace tenon::plan
