#include "diagnose/function/layer_picture.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "diagnose/function/graph_difference.hpp"
#include "diagnose/function/layers.hpp"

namespace tenon::diagnosis {
namespace {

using Kind = ArchitectureChange::Kind;
using Mark = LayerRow::Mark;
using Place = std::optional<std::size_t>;

/// They hand values on in another form: no line of their own in a picture.
constexpr std::string_view kReshaping[] = {"view",      "reshape", "flatten",   "unflatten",  "squeeze",
                                           "unsqueeze", "permute", "transpose", "contiguous", "t"};

bool is_reshaping(const Layer& layer) {
  return layer.node != nullptr &&
         std::find(std::begin(kReshaping), std::end(kReshaping), layer.node->op) != std::end(kReshaping);
}

bool flattens(const Layer& layer) {
  const bool is_flat = layer.shape && layer.shape->size() == 2;
  return is_flat && is_reshaping(layer) && layer.node->op != "permute" && layer.node->op != "transpose";
}

/// One network as a list of layers, and where in it the change is.
struct Side {
  std::vector<Layer> layers;
  Place changed;

  const Layer* at(Place place) const { return place && *place < layers.size() ? &layers[*place] : nullptr; }

  /// The next layer with a line of its own.
  Place after(Place place) const {
    if (!place) return {};
    for (std::size_t i = *place + 1; i < layers.size(); ++i)
      if (!is_reshaping(layers[i])) return i;
    return {};
  }
  Place before(Place place) const {
    for (std::size_t i = place.value_or(0); i-- > 0;)
      if (!is_reshaping(layers[i])) return i;
    return {};
  }

  /// The layer that is `wanted` on the other side, nearest to place `near`.
  Place same_as(const Layer* wanted, std::size_t near) const {
    Place best;
    const auto distance = [&](std::size_t i) { return i > near ? i - near : near - i; };
    for (std::size_t i = 0; wanted != nullptr && i < layers.size(); ++i) {
      const bool is_same = layers[i].name == wanted->name && layers[i].module_path == wanted->module_path;
      if (is_same && (!best || distance(i) < distance(*best))) best = i;
    }
    return best;
  }
};

Place find(const std::vector<Layer>& layers, const ArchitectureChange& change, const Graph* graph,
           std::optional<std::size_t> node) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    if (layer.module != nullptr ? layer.name == change.module && !change.module.empty()
                                : node && graph != nullptr && layer.node == &graph->nodes[*node])
      return i;
  }
  return {};
}

bool is_on(Kind kind, bool from_side) { return kind == Kind::Changed || (kind == Kind::Removed) == from_side; }

struct Sides {
  Side from, to;
  bool is_run = false;
};

/// The runs, where both tell of the changed place; else the trees.
std::optional<Sides> sides_of(const FunctionDifference& function, const ArchitectureChange& change) {
  const NodePlaces nodes = places_of(function.from, function.to, change);
  const Graph* from_graph = function.from.graph ? &*function.from.graph : nullptr;
  const Graph* to_graph = function.to.graph ? &*function.to.graph : nullptr;
  for (const bool is_run : {true, false}) {
    if (is_run && !function.operations_compared) continue;
    Sides sides{{is_run ? layers_of_run(function.from) : layers_of_tree(function.from), {}},
                {is_run ? layers_of_run(function.to) : layers_of_tree(function.to), {}},
                is_run};
    if (is_on(change.kind, true)) sides.from.changed = find(sides.from.layers, change, from_graph, nodes.from);
    if (is_on(change.kind, false)) sides.to.changed = find(sides.to.layers, change, to_graph, nodes.to);
    const bool is_found = sides.from.changed.has_value() == is_on(change.kind, true) &&
                          sides.to.changed.has_value() == is_on(change.kind, false);
    if (is_found) return sides;
  }
  return {};
}

LayerCell cell_of(const Layer* layer) {
  if (layer == nullptr) return {};
  LayerCell cell{layer->name, layer->module != nullptr ? short_text(*layer->module) : call_text(*layer->node), {}};
  if (layer->node != nullptr && !layer->module_path.empty()) cell.name = layer->module_path;
  if (layer->shape) cell.shape = base::shape_text(*layer->shape);
  return cell;
}

Mark mark_of(const LayerRow& row) {
  if (row.checkpoint.name.empty()) return Mark::Added;
  if (row.model.name.empty()) return Mark::Removed;
  return row.checkpoint.layer == row.model.layer ? Mark::Same : Mark::Changed;
}

/// Which axis a layer counts, and how many it was made for.
std::optional<Misfit> demand_of(const Layer& layer) {
  if (layer.module == nullptr) return {};
  constexpr std::pair<std::string_view, std::string_view> kDemands[] = {
      {"in_features", "features"}, {"in_channels", "channels"}, {"num_features", "channels"}};
  for (const auto& [option, what] : kDemands)
    if (const auto wanted = number_option(*layer.module, option))
      return Misfit{layer.name, layer.module->type, std::string(what), *wanted, 0};
  return {};
}

/// What reaches the layer along the axis that it counts. Without a run nobody sees the flattening before a Linear.
std::optional<std::int64_t> given_to(const Misfit& demand, const Shape& shape, bool is_run) {
  if (demand.what == "channels") return shape.size() > 1 ? std::optional(shape[1]) : std::nullopt;
  if (shape.empty()) return std::nullopt;
  return !is_run && shape.size() > 2 ? row_elements(shape) : std::optional(shape.back());
}

/// Follows a shape from the changed layer to the first one that counts what it gets. `rows` becomes the batch's extent.
std::optional<Misfit> misfit_after(const Side& side, std::size_t start, Shape shape, bool is_run) {
  constexpr std::size_t kSteps = 8;
  for (std::size_t i = start; i < std::min(side.layers.size(), start + kSteps); ++i) {
    const Layer& layer = side.layers[i];
    if (auto demand = demand_of(layer)) {
      const auto given = given_to(*demand, shape, is_run);
      if (!given || *given == demand->wanted) return {};
      demand->given = *given;
      return demand;
    }
    if (flattens(layer)) {
      const auto elements = row_elements(shape);
      if (!elements) return {};
      shape = {shape.front(), *elements};
      continue;
    }
    const auto next = layer.module != nullptr && !layer.shape ? shape_after(*layer.module, shape) : layer.shape;
    if (!next) return {};
    shape = *next;
  }
  return {};
}

class Picture {
 public:
  Picture(Sides sides, const ArchitectureChange& change) : sides_(std::move(sides)), change_(change) {
    find_neighbours();
  }

  LayerPicture draw() {
    add_beside(from_before_, to_before_);
    add(sides_.from.changed, sides_.to.changed);
    show_change();
    if (const auto given = shape_given()) {
      if (LayerCell& cell = picture_.rows.back().model; !cell.name.empty()) cell.shape = base::shape_text(*given);
      picture_.misfit = misfit_after(sides_.to, first_after_, *given, sides_.is_run);
      if (picture_.misfit) show_misfit();
    }
    add_beside(from_after_, to_after_);
    if (picture_.misfit) note_misfit();
    return std::move(picture_);
  }

 private:
  void find_neighbours() {
    Side &from = sides_.from, &to = sides_.to;
    if (to.changed) {
      to_before_ = to.before(to.changed);
      to_after_ = to.after(to.changed);
      first_after_ = *to.changed + 1;
    }
    if (from.changed) {
      from_before_ = from.before(from.changed);
      from_after_ = from.after(from.changed);
    }
    if (!from.changed) {
      from_before_ = from.same_as(to.at(to_before_), *to.changed);
      from_after_ = from.same_as(to.at(to_after_), *to.changed);
    } else if (!to.changed) {
      to_before_ = to.same_as(from.at(from_before_), *from.changed);
      to_after_ = to.same_as(from.at(from_after_), *from.changed);
      first_after_ = to_before_ ? *to_before_ + 1 : 0;
    }
  }

  /// Where another change stands right beside this one, the neighbours are two layers.
  void add_beside(Place from, Place to) {
    const Layer *left = sides_.from.at(from), *right = sides_.to.at(to);
    if (left == nullptr || right == nullptr || left->name == right->name) return add(from, to);
    const auto still_there = sides_.to.same_as(left, *to);
    if (left->module == nullptr || !still_there) add(from, {});
    add(sides_.from.same_as(right, *from), to);
  }

  void add(Place from, Place to) {
    LayerRow row{Mark::Same, cell_of(sides_.from.at(from)), cell_of(sides_.to.at(to))};
    if (row.checkpoint.name.empty() && row.model.name.empty()) return;
    row.mark = mark_of(row);
    picture_.rows.push_back(std::move(row));
  }

  /// Of a layer with other options, those say more than what it was built with.
  void show_change() {
    LayerRow& row = picture_.rows.back();
    if (change_.kind != Kind::Changed) return;
    row.mark = Mark::Changed;
    if (!change_.what.starts_with("option")) return;
    row.checkpoint.layer = change_.from;
    row.model.layer = change_.to;
  }

  /// What leaves the changed place on the model's side.
  std::optional<Shape> shape_given() const {
    const Layer* before = sides_.to.at(to_before_);
    const Layer* saved = sides_.from.at(from_before_);
    std::optional<Shape> shape = before != nullptr && before->shape ? before->shape
                                 : saved != nullptr                 ? saved->shape
                                                                    : std::nullopt;
    const Layer* changed = sides_.to.at(sides_.to.changed);
    if (changed == nullptr) return shape;
    if (changed->shape) return changed->shape;
    return shape && changed->module != nullptr ? shape_after(*changed->module, *shape) : std::nullopt;
  }

  /// The layer that is given too much or too little is the one to show after the change.
  void show_misfit() {
    const auto& layers = sides_.to.layers;
    const auto found = std::find_if(layers.begin() + static_cast<std::ptrdiff_t>(first_after_), layers.end(),
                                    [&](const Layer& layer) { return layer.name == picture_.misfit->layer; });
    to_after_ = static_cast<std::size_t>(found - layers.begin());
    from_after_ = sides_.from.same_as(&*found, *to_after_);
  }

  void note_misfit() {
    const Misfit& misfit = *picture_.misfit;
    picture_.rows.back().model.shape = "gets " + std::to_string(misfit.given) + " " + misfit.what;
  }

  Sides sides_;
  const ArchitectureChange& change_;
  Place from_before_, to_before_, from_after_, to_after_;
  std::size_t first_after_ = 0;
  LayerPicture picture_;
};

}  // namespace

LayerPicture layer_picture(const FunctionDifference& function, const ArchitectureChange& change) {
  auto sides = sides_of(function, change);
  return sides ? Picture(std::move(*sides), change).draw() : LayerPicture{};
}

}  // namespace tenon::diagnosis
