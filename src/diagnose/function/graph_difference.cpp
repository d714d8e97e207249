// Two runs as two sequences of operations: the longest common subsequence pairs them; what has no partner was added or
// removed, what has one is compared.
#include "diagnose/function/graph_difference.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "diagnose/function/option_text.hpp"
#include "diagnose/function/release.hpp"

namespace tenon::diagnosis {
namespace {

using Kind = ArchitectureChange::Kind;

/// Longer middles than this are paired by position: the table of the longest common subsequence grows with the product.
constexpr std::size_t kTableCells = 16'000'000;

/// Operations whose arguments are extents, some of them the batch's or a multiple of it. Elsewhere (a window, a factor)
/// a number that grew like the batch is another number.
constexpr std::string_view kTakeExtents[] = {
    "view",   "reshape",      "expand", "unflatten", "repeat",    "tile",     "zeros",     "ones",
    "empty",  "full",         "rand",   "randn",     "new_zeros", "new_ones", "new_empty", "new_full",
    "arange", "broadcast_to", "eye",    "narrow",    "getitem",   "setitem",  "slice",     "interpolate"};

bool is_tensor(const Operand& operand) { return operand.from == Operand::From::Tensor; }

/// Two names of one operation.
constexpr std::pair<std::string_view, std::string_view> kSameOperations[] = {
    {"view", "reshape"}, {"concat", "cat"},   {"concatenate", "cat"},    {"multiply", "mul"},
    {"subtract", "sub"}, {"divide", "div"},   {"true_divide", "div"},    {"truediv", "div"},
    {"absolute", "abs"}, {"negative", "neg"}, {"swapaxes", "transpose"}, {"swapdims", "transpose"},
    {"greater", "gt"},   {"less", "lt"},      {"clip", "clamp"}};

std::string_view canonical(std::string_view op) {
  for (const auto& [name, usual] : kSameOperations)
    if (op == name) return usual;
  return op;
}

bool takes_extents(const GraphNode& node) {
  return std::find(std::begin(kTakeExtents), std::end(kTakeExtents), node.op) != std::end(kTakeExtents);
}

/// The last node says what the run returns.
bool has_output(const Graph& graph) { return !graph.nodes.empty() && graph.nodes.back().op == "output"; }

/// Blueprints of older recorders have no such node; what one side does not say is no difference.
void keep_output_of_both(Graph& a, Graph& b) {
  if (has_output(a) == has_output(b)) return;
  (has_output(a) ? a : b).nodes.pop_back();
}

/// What each node computes, as a number: its operation, module, arguments, and what its operands compute.
std::vector<std::size_t> computations(const Graph& graph) {
  std::vector<std::size_t> keys;
  for (const GraphNode& node : graph.nodes) {
    std::string text = std::string(canonical(node.op)) + '\0' + node.module + '\0' + node.args;
    for (const Operand& operand : node.operands) {
      text += '\0' + std::to_string(static_cast<int>(operand.from)) + ' ' + operand.name + ' ' +
              std::to_string(operand.output) + ' ';
      text += std::to_string(operand.from == Operand::From::Node ? keys[operand.index] : operand.index);
    }
    keys.push_back(std::hash<std::string>{}(text));
  }
  return keys;
}

/// The same operations on the same operands, perhaps in another order: what does not wait for another may run before
/// it.
bool same_computations(const Graph& a, const Graph& b) {
  if (a.nodes.size() != b.nodes.size()) return false;
  std::vector<std::size_t> x = computations(a), y = computations(b);
  std::sort(x.begin(), x.end());
  std::sort(y.begin(), y.end());
  return x == y;
}

std::size_t unknown_count(const Graph& graph) {
  std::size_t count = 0;
  for (const GraphNode& node : graph.nodes)
    for (const Operand& operand : node.operands) count += operand.from == Operand::From::Unknown ? 1 : 0;
  return count;
}

/// What of a graph is compared, and where each of its operations stands in the whole one.
struct Part {
  explicit Part(const Graph& whole) : graph(whole), origins(whole.nodes.size()) {
    std::iota(origins.begin(), origins.end(), std::size_t{0});
  }
  Graph graph;
  std::vector<std::size_t> origins;  ///< at least as long as `graph`
};

/// Takes out what depends on neither inputs nor weights: a table made in `forward`.
Part without_constants(const Part& part) {
  Part rest(Graph{part.graph.recorder, part.graph.batch, {}});
  std::vector<std::optional<std::size_t>> places;
  for (std::size_t i = 0; i < part.graph.nodes.size(); ++i) {
    GraphNode node = part.graph.nodes[i];
    for (Operand& operand : node.operands)
      if (operand.from == Operand::From::Node) {
        const auto place = places[operand.index];
        operand = place ? Operand{Operand::From::Node, *place, {}, operand.output} : Operand{};
      }
    const bool is_constant = std::all_of(node.operands.begin(), node.operands.end(),
                                         [](const Operand& operand) { return operand.from == Operand::From::Unknown; });
    places.push_back(is_constant && node.op != "output" ? std::nullopt : std::optional(rest.graph.nodes.size()));
    if (!places.back()) continue;
    rest.graph.nodes.push_back(std::move(node));
    rest.origins.push_back(part.origins[i]);
  }
  return rest;
}

/// A table that one run made, and the other found made by an earlier one, is a constant on both sides.
void forget_cached_constants(Part& a, Part& b) {
  if (unknown_count(a.graph) == unknown_count(b.graph)) return;
  Part x = without_constants(a), y = without_constants(b);
  if (unknown_count(x.graph) != unknown_count(y.graph)) return;
  a = std::move(x);
  b = std::move(y);
}

/// Shared modules without tensors run under the name that they have on the other side, too.
void use_first_names(const Blueprint& from, const Blueprint& to, Graph& a, Graph& b) {
  const auto names = names_of_shared(from, to);
  if (names.empty()) return;
  for (Graph* graph : {&a, &b})
    for (GraphNode& node : graph->nodes)
      if (const auto found = names.find(node.module); found != names.end()) node.module = found->second;
}

/// A tensor that only one side's state dict has is state beside the state dict on the other, as far as anyone knows.
void forget_tensors_of_one_side(const Blueprint& own, const Blueprint& other, Graph& graph) {
  std::unordered_set<std::string_view> names;
  for (const TensorSpec& spec : own.tensors) names.insert(spec.name);
  for (const TensorSpec& spec : other.tensors) names.erase(spec.name);
  for (GraphNode& node : graph.nodes)
    for (Operand& operand : node.operands)
      if (is_tensor(operand) && names.count(operand.name) > 0) operand = {};
}

/// `view(-1, 4)` is `view([-1, 4])`.
std::string without_brackets(const GraphNode& node) {
  constexpr std::string_view kTakeLists[] = {"view", "reshape", "permute", "expand", "repeat", "tile", "flip"};
  const bool takes_list = std::find(std::begin(kTakeLists), std::end(kTakeLists), node.op) != std::end(kTakeLists);
  return takes_list && node.args.starts_with("[[") && node.args.ends_with("]]") &&
                 node.args.find('[', 2) == std::string::npos
             ? node.args.substr(1, node.args.size() - 2)
             : node.args;
}

Batches extents_of(const Blueprint& from, const Blueprint& to) {
  Batches extents;
  if (from.graph->batch && to.graph->batch) extents = {*from.graph->batch, *to.graph->batch, {}};
  if (!from.probe || !to.probe) return extents;
  const std::size_t inputs = std::min(from.probe->inputs.size(), to.probe->inputs.size());
  constexpr std::size_t kMost = 8;  // each is tried as a factor, or not
  for (std::size_t i = 0; i < inputs; ++i) {
    const Shape &a = from.probe->inputs[i].shape, &b = to.probe->inputs[i].shape;
    for (std::size_t axis = i == 0 ? 1 : 0; axis < std::min(a.size(), b.size()); ++axis) {
      const std::pair change(a[axis], b[axis]);
      const bool is_new = change != std::pair(extents.from, extents.to) &&
                          std::count(extents.others.begin(), extents.others.end(), change) == 0;
      if (change.first != change.second && is_new && extents.others.size() < kMost) extents.others.push_back(change);
    }
  }
  return extents;
}

struct NodePair {
  std::size_t from, to;
};

/// What makes two operations the same one: its name, where it ran, and the weights that it takes.
bool same_node(const GraphNode& a, const GraphNode& b) {
  if (canonical(a.op) != canonical(b.op) || a.module != b.module) return false;
  auto x = a.operands.begin(), y = b.operands.begin();
  while (true) {
    x = std::find_if(x, a.operands.end(), is_tensor);
    y = std::find_if(y, b.operands.end(), is_tensor);
    if (x == a.operands.end() || y == b.operands.end()) return x == a.operands.end() && y == b.operands.end();
    if (x->name != y->name) return false;
    ++x;
    ++y;
  }
}

class Alignment {
 public:
  Alignment(const Graph& from, const Graph& to) : a_(from.nodes), b_(to.nodes) {}

  std::vector<NodePair> pairs() {
    std::size_t head = 0, tail = 0;
    const std::size_t shorter = std::min(a_.size(), b_.size());
    while (head < shorter && same_node(a_[head], b_[head])) pairs_.push_back({head, head}), ++head;
    while (tail < shorter - head && same_node(a_[a_.size() - 1 - tail], b_[b_.size() - 1 - tail])) ++tail;
    pair_middle(head, a_.size() - tail, b_.size() - tail);
    for (; tail > 0; --tail) pairs_.push_back({a_.size() - tail, b_.size() - tail});
    return std::move(pairs_);
  }

 private:
  void pair_middle(std::size_t begin, std::size_t a_end, std::size_t b_end) {
    const std::size_t rows = a_end - begin, columns = b_end - begin;
    if (rows == 0 || columns == 0) return;
    if (rows > kTableCells / columns) return pair_by_position(begin, std::min(a_end, b_end));
    std::vector<std::uint32_t> longest((rows + 1) * (columns + 1), 0);
    const auto cell = [&](std::size_t row, std::size_t column) -> std::uint32_t& {
      return longest[row * (columns + 1) + column];
    };
    for (std::size_t row = rows; row-- > 0;)
      for (std::size_t column = columns; column-- > 0;)
        cell(row, column) = same_node(a_[begin + row], b_[begin + column])
                                ? cell(row + 1, column + 1) + 1
                                : std::max(cell(row + 1, column), cell(row, column + 1));
    for (std::size_t row = 0, column = 0; row < rows && column < columns;) {
      if (same_node(a_[begin + row], b_[begin + column])) {
        pairs_.push_back({begin + row++, begin + column++});
      } else if (cell(row + 1, column) >= cell(row, column + 1)) {
        ++row;
      } else {
        ++column;
      }
    }
  }

  void pair_by_position(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      if (same_node(a_[i], b_[i])) pairs_.push_back({i, i});
  }

  const std::vector<GraphNode>& a_;
  const std::vector<GraphNode>& b_;
  std::vector<NodePair> pairs_;
};

struct PlacedChange {
  ArchitectureChange change;
  NodePlaces places;
};

class GraphComparison {
 public:
  /// Operations of the modules that `explained` names are left out.
  GraphComparison(const Graph& from, const Graph& to, Keywords keywords, Batches extents,
                  const std::vector<ArchitectureChange>& explained)
      : from_(from), to_(to), keywords_(keywords), batches_(std::move(extents)) {
    for (const ArchitectureChange& change : explained) explained_.insert(change.module);
  }

  std::vector<PlacedChange> changes() {
    auto pairs = Alignment(from_, to_).pairs();
    is_whole_ = pairs.size() == from_.nodes.size() && pairs.size() == to_.nodes.size();
    pairs.push_back({from_.nodes.size(), to_.nodes.size()});
    std::size_t a = 0, b = 0;
    for (const NodePair& pair : pairs) {
      gap(a, pair.from, b, pair.to);
      if (pair.from < from_.nodes.size()) compare(pair.from, pair.to);
      a = pair.from + 1;
      b = pair.to + 1;
    }
    return std::move(changes_);
  }

 private:
  bool is_explained(const GraphNode& node) const { return !node.module.empty() && explained_.count(node.module) > 0; }

  /// Operations between two pairs: one against one was changed, the rest was removed or added.
  void gap(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end) {
    while (a < a_end || b < b_end) {
      if (a < a_end && is_explained(from_.nodes[a])) {
        ++a;
      } else if (b < b_end && is_explained(to_.nodes[b])) {
        ++b;
      } else if (a < a_end && b < b_end && from_.nodes[a].module == to_.nodes[b].module) {
        add(Kind::Changed, a++, b++);
      } else if (a < a_end) {
        add(Kind::Removed, a++, {});
      } else {
        add(Kind::Added, {}, b++);
      }
    }
  }

  void compare(std::size_t from, std::size_t to) {
    const GraphNode &a = from_.nodes[from], &b = to_.nodes[to];
    if (is_explained(a)) return;
    if (!same_arguments(without_brackets(a), without_brackets(b), takes_extents(a) ? batches_ : Batches{}, keywords_))
      add(Kind::Changed, from, to);
    else if (is_whole_ && a.operands != b.operands)
      changes_.push_back(
          {{Kind::Changed, a.module, "operands of " + a.op, operands_text(from_, a), operands_text(to_, b)},
           {from, to}});
  }

  /// `linear (fc)`, with the number of the operation where another one before it reads the same.
  static std::string result_text(const Graph& graph, const Operand& operand) {
    const GraphNode& node = graph.nodes[operand.index];
    const auto before = std::count_if(graph.nodes.begin(), graph.nodes.begin() + static_cast<long>(operand.index),
                                      [&](const GraphNode& n) { return n.op == node.op && n.module == node.module; });
    std::string text = node.op + (node.module.empty() ? "" : " (" + node.module + ")");
    if (before > 0) text += " #" + std::to_string(before + 1);
    return operand.output > 0 ? "result " + std::to_string(operand.output) + " of " + text : text;
  }

  static std::string operands_text(const Graph& graph, const GraphNode& node) {
    std::string text;
    for (const Operand& operand : node.operands) {
      if (!text.empty()) text += ", ";
      switch (operand.from) {
        case Operand::From::Node: text += result_text(graph, operand); break;
        case Operand::From::Input: text += "input " + std::to_string(operand.index); break;
        case Operand::From::Tensor: text += operand.name; break;
        case Operand::From::Unknown: text += "a constant"; break;
      }
    }
    return node.op + " of " + text;
  }

  void add(Kind kind, std::optional<std::size_t> from, std::optional<std::size_t> to) {
    const GraphNode& node = from ? from_.nodes[*from] : to_.nodes[*to];
    changes_.push_back(
        {{kind, node.module, "operation " + node.op, from ? call_text(from_.nodes[*from]) : std::string(),
          to ? call_text(to_.nodes[*to]) : std::string()},
         {from, to}});
  }

  const Graph& from_;
  const Graph& to_;
  const Keywords keywords_;
  const Batches batches_;
  std::vector<PlacedChange> changes_;
  std::unordered_set<std::string> explained_;
  bool is_whole_ = true;
};

bool is_one_release(const Blueprint& from, const Blueprint& to) {
  return release(framework_of(from)) == release(framework_of(to));
}

std::vector<PlacedChange> placed_changes(const Blueprint& from, const Blueprint& to,
                                         const std::vector<ArchitectureChange>& explained) {
  const Keywords keywords = is_one_release(from, to) ? Keywords::All : Keywords::Shared;
  Part a(*from.graph), b(*to.graph);
  keep_output_of_both(a.graph, b.graph);
  use_first_names(from, to, a.graph, b.graph);
  forget_tensors_of_one_side(from, to, a.graph);
  forget_tensors_of_one_side(to, from, b.graph);
  forget_cached_constants(a, b);
  if (same_computations(a.graph, b.graph)) return {};
  auto changes = GraphComparison(a.graph, b.graph, keywords, extents_of(from, to), explained).changes();
  for (PlacedChange& change : changes) {
    if (change.places.from) change.places.from = a.origins[*change.places.from];
    if (change.places.to) change.places.to = b.origins[*change.places.to];
  }
  return changes;
}

}  // namespace

std::string call_text(const GraphNode& node) {
  std::string inner;
  for (const Operand& operand : node.operands)
    if (is_tensor(operand)) inner += (inner.empty() ? "" : ", ") + operand.name;
  const std::string args = arguments_text(node.args);
  if (!args.empty()) inner += (inner.empty() ? "" : ", ") + args;
  return node.op + "(" + inner + ")";
}

bool comparable_graphs(const Blueprint& from, const Blueprint& to) {
  if (!from.graph || !to.graph || from.graph->recorder != to.graph->recorder) return false;
  return from.graph->recorder != "record_function" || is_one_release(from, to);
}

void add_graph_changes(const Blueprint& from, const Blueprint& to, std::vector<ArchitectureChange>& changes) {
  if (!comparable_graphs(from, to)) return;
  for (PlacedChange& placed : placed_changes(from, to, changes)) changes.push_back(std::move(placed.change));
}

NodePlaces places_of(const Blueprint& from, const Blueprint& to, const ArchitectureChange& change) {
  const auto all = comparable_graphs(from, to) ? placed_changes(from, to, {}) : std::vector<PlacedChange>();
  const auto found = std::find_if(all.begin(), all.end(), [&](const PlacedChange& placed) {
    const ArchitectureChange& its = placed.change;
    return its.kind == change.kind && its.module == change.module && its.what == change.what &&
           its.from == change.from && its.to == change.to;
  });
  return found == all.end() ? NodePlaces{} : found->places;
}

}  // namespace tenon::diagnosis
