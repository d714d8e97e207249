// Two runs as two sequences of operations: the longest common subsequence pairs them; what has no partner was added or
// removed, what has one is compared.
#include "diagnose/function/graph_difference.hpp"

#include <algorithm>
#include <iterator>
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
    "view", "reshape", "expand", "unflatten", "repeat",   "tile",      "zeros",    "ones",   "empty",
    "full", "rand",    "randn",  "new_zeros", "new_ones", "new_empty", "new_full", "arange", "broadcast_to"};

bool takes_extents(const GraphNode& node) {
  return std::find(std::begin(kTakeExtents), std::end(kTakeExtents), node.op) != std::end(kTakeExtents);
}

struct NodePair {
  std::size_t from, to;
};

bool is_tensor(const Operand& operand) { return operand.from == Operand::From::Tensor; }

/// What makes two operations the same one: its name, where it ran, and the weights that it takes.
bool same_node(const GraphNode& a, const GraphNode& b) {
  if (a.op != b.op || a.module != b.module) return false;
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
  GraphComparison(const Graph& from, const Graph& to, Keywords keywords,
                  const std::vector<ArchitectureChange>& explained)
      : from_(from), to_(to), keywords_(keywords) {
    for (const ArchitectureChange& change : explained) explained_.insert(change.module);
    if (from.batch && to.batch) batches_ = {*from.batch, *to.batch};
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
    if (!same_arguments(a.args, b.args, takes_extents(a) ? batches_ : Batches{}, keywords_))
      add(Kind::Changed, from, to);
    else if (is_whole_ && a.operands != b.operands)
      changes_.push_back(
          {{Kind::Changed, a.module, "operands of " + a.op, operands_text(a), operands_text(b)}, {from, to}});
  }

  static std::string operands_text(const GraphNode& node) {
    std::string text;
    for (const Operand& operand : node.operands) {
      if (!text.empty()) text += ", ";
      switch (operand.from) {
        case Operand::From::Node: text += "result " + std::to_string(operand.index); break;
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
  std::vector<PlacedChange> changes_;
  std::unordered_set<std::string> explained_;
  Batches batches_;
  bool is_whole_ = true;
};

bool is_one_release(const Blueprint& from, const Blueprint& to) {
  return release(framework_of(from)) == release(framework_of(to));
}

std::vector<PlacedChange> placed_changes(const Blueprint& from, const Blueprint& to,
                                         const std::vector<ArchitectureChange>& explained) {
  const Keywords keywords = is_one_release(from, to) ? Keywords::All : Keywords::Shared;
  return GraphComparison(*from.graph, *to.graph, keywords, explained).changes();
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
