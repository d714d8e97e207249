#include "scan/pickle_judge.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "scan/call_rules.hpp"
#include "scan/nested_pickles.hpp"
#include "scan/nesting.hpp"
#include "scan/preview.hpp"
#include "scan/storage_paths.hpp"
#include "scan/tensor_claims.hpp"

namespace tenon::scanning {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleCall;
using container::PickleGlobal;
using container::PickleTree;

std::string written_name(const PickleGlobal& global) {
  if (global.module.empty() && global.name.empty()) return {};
  std::string name(global.module);
  name += '.';
  name += global.name;
  return name;
}

bool is_extension(const PickleGlobal& global) { return global.opcode.starts_with("EXT"); }

/// Every class and function of the tree with its judgement, and the first call that uses it.
class Judge {
 public:
  Judge(const PickleTree& tree, const Part& part, const PickleSetting& setting, Collector& out)
      : tree_(tree), part_(part), setting_(setting), out_(out) {}

  void run() {
    judge_globals();
    look_at_calls();
    lift_conditional();
    report_globals();
    report_alterations();
    check_nesting();
    check_tensor_claims(tree_, part_, setting_, out_);
    check_storage_paths(tree_, part_, out_);
    const auto acts = [this](NodeId call) { return acts_on_its_arguments(call); };
    scan_nested_pickles(tree_, part_, acts, out_);
  }

 private:
  void judge_globals() {
    std::unordered_map<std::string, Judgement> known;
    rows_.reserve(tree_.globals().size());
    for (const PickleGlobal& global : tree_.globals()) {
      if (is_extension(global)) {
        rows_.push_back(
            {{ScanVerdict::UnknownCode, "an extension code: which class it means is the loader's secret", {}}});
        continue;
      }
      std::string name = written_name(global);
      auto found = known.find(name);
      if (found == known.end())
        found = known.emplace(std::move(name), judge(global.module, global.name, setting_.home)).first;
      rows_.push_back({found->second});
      rows_.back().condition = condition_of(modern_module(global.module), global.name);
    }
  }

  Judgement* judgement_of(NodeId node) {
    return node != kNoNode && tree_.kind(node) == NodeKind::Global ? &rows_[tree_.global_index(node)].judgement
                                                                   : nullptr;
  }

  void look_at_calls() {
    const auto judgement = [this](NodeId node) -> const Judgement* { return judgement_of(node); };
    for (NodeId node = 0; node < tree_.node_count(); ++node) {
      if (tree_.kind(node) != NodeKind::Call) continue;
      const PickleCall& call = tree_.call(node);
      if (tree_.kind(call.function) != NodeKind::Global) {
        look_at_computed_function(node, call);
        continue;
      }
      Row& row = rows_[tree_.global_index(call.function)];
      if (row.call == kNoNode) row.call = node;
      if (row.condition != Condition::None) {
        ++row.calls;
        if (is_harmless_call(tree_, call, row.condition, judgement)) ++row.harmless_calls;
      } else if (row.judgement.verdict == ScanVerdict::Safe && row.judgement.use) {
        if (auto why = misuse(tree_, call, *row.judgement.use, judgement)) report_misuse(call, std::move(*why));
      }
    }
  }

  void look_at_computed_function(NodeId node, const PickleCall& call) {
    const NodeKind kind = tree_.kind(call.function);
    if (kind == NodeKind::Persistent) return;  // a class that a legacy file carries with its source: named there
    ScanFinding finding = finding_at(tree_.at(node), "pickle-computed-call");
    finding.why = kind == NodeKind::Call ? "calls what another call returned" : "calls a value that is no function";
    finding.preview = preview(tree_, call.arguments);
    out_.add(std::move(finding));
  }

  void report_misuse(const PickleCall& call, std::string why) {
    const PickleGlobal& global = tree_.global(call.function);
    ScanFinding finding = finding_at(global.at, "pickle-unusual-arguments");
    finding.opcode = global.opcode_index;
    finding.global = written_name(global);
    finding.preview = preview(tree_, call.arguments);
    finding.why = std::move(why);
    out_.add(std::move(finding));
  }

  /// A function that is dangerous in general, such as getattr, is less so where all its uses are of the harmless kind
  /// and none passes it on.
  void lift_conditional() {
    const bool any = std::any_of(rows_.begin(), rows_.end(), [](const Row& row) { return row.calls > 0; });
    if (!any) return;
    std::vector<bool> passed_on(rows_.size(), false);
    const auto mark = [&](NodeId node) {
      if (node != kNoNode && tree_.kind(node) == NodeKind::Global) passed_on[tree_.global_index(node)] = true;
    };
    for (NodeId node = 0; node < tree_.node_count(); ++node) {
      for (const NodeId item : tree_.items(node)) mark(item);
      if (tree_.kind(node) != NodeKind::Call) continue;
      const PickleCall& call = tree_.call(node);
      for (const NodeId part : {call.arguments, call.keywords, call.state}) mark(part);
      for (const NodeId item : tree_.items(call.items)) mark(item);
      for (const NodeId item : tree_.items(call.pairs)) mark(item);
    }
    for (const container::PickleAlteration& altered : tree_.alterations()) {
      mark(altered.target);
      mark(altered.state);
    }
    for (std::size_t i = 0; i < rows_.size(); ++i)
      if (rows_[i].calls > 0 && rows_[i].calls == rows_[i].harmless_calls && !passed_on[i])
        rows_[i].judgement = harmless_judgement(rows_[i].condition);
  }

  void report_globals() {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const PickleGlobal& global = tree_.globals()[i];
      const Row& row = rows_[i];
      const std::string name = is_extension(global) ? "" : written_name(global);
      if (!name.empty()) out_.add_global(name, row.judgement.verdict);
      if (row.judgement.verdict == ScanVerdict::Safe) continue;
      ScanFinding finding =
          finding_at(global.at, row.judgement.verdict == ScanVerdict::Dangerous ? "pickle-dangerous-global"
                                                                                : "pickle-unknown-global");
      finding.verdict = row.judgement.verdict;
      finding.opcode = global.opcode_index;
      finding.global = name;
      finding.why = row.judgement.why;
      finding.reference = "docs/scan.md#pickles";
      if (row.call != kNoNode) finding.preview = preview(tree_, tree_.call(row.call).arguments);
      out_.add(std::move(finding));
    }
  }

  /// BUILD sets attributes of whatever stands on the stack: of a function that the loading program uses itself, too.
  void report_alterations() {
    for (const container::PickleAlteration& altered : tree_.alterations()) {
      if (tree_.kind(altered.state) == NodeKind::None) continue;  // sets nothing
      const bool is_global = tree_.kind(altered.target) == NodeKind::Global;
      const bool is_internal = sets_internals(altered.state);
      ScanFinding finding = finding_at(altered.at, is_internal ? "pickle-alters-internals" : "pickle-alters-global");
      finding.verdict = is_internal ? ScanVerdict::Dangerous : ScanVerdict::UnknownCode;
      finding.opcode = altered.opcode_index;
      if (is_global) finding.global = written_name(tree_.global(altered.target));
      finding.preview = preview(tree_, altered.state);
      finding.why = is_internal ? "replaces internals of a class or function in the program that loads the file"
                                : "sets attributes of a class or function in the program that loads the file";
      out_.add(std::move(finding));
    }
  }

  /// Whether a state names an attribute such as `__defaults__`, or is one that cannot be told.
  bool sets_internals(NodeId state) const {
    const NodeKind kind = tree_.kind(state);
    if (kind == NodeKind::Tuple) {
      const auto parts = tree_.tuple(state);
      return std::any_of(parts.begin(), parts.end(),
                         [&](NodeId part) { return tree_.kind(part) != NodeKind::Tuple && sets_internals(part); });
    }
    if (kind == NodeKind::Call) return calls_with_internals(tree_.call(state));
    if (kind != NodeKind::Dict) return false;
    return keys_internals(tree_.items(state));
  }

  /// An OrderedDict's keys are set by SETITEMS, or given to it.
  bool calls_with_internals(const PickleCall& call) const {
    return !tree_.items(call.items).empty() || keys_internals(tree_.items(call.pairs)) ||
           (call.arguments != kNoNode && !tree_.items(call.arguments).empty());
  }

  bool keys_internals(const container::PickleItems& pairs) const {
    bool is_key = true;
    for (const NodeId item : pairs) {
      const NodeKind kind = tree_.kind(item);
      const bool is_text = kind == NodeKind::Text || kind == NodeKind::RawText || kind == NodeKind::Bytes;
      if (is_key && (!is_text || tree_.bytes(item).starts_with("__"))) return true;
      is_key = !is_key;
    }
    return false;
  }

  /// Deeper than readers follow: a way to overflow the stack of those that recurse.
  void check_nesting() {
    const auto deep = nested_deeper_than(tree_, out_.limits().nesting_depth);
    if (deep == kNoNode) return;
    out_.add_limit(ScanVerdict::Malformed, &Limits::nesting_depth, "values are nested too deeply", part_,
                   tree_.at(deep));
  }

  /// A call whose function is not known to leave its arguments alone.
  Acts acts_on_its_arguments(NodeId node) {
    const Judgement* judgement = judgement_of(tree_.call(node).function);
    if (judgement == nullptr || judgement->verdict != ScanVerdict::Safe) return Acts::Maybe;
    return condition_of_call(node) == Condition::LoadFromBytes ? Acts::Unpickles : Acts::No;
  }

  Condition condition_of_call(NodeId node) { return rows_[tree_.global_index(tree_.call(node).function)].condition; }

  ScanFinding finding_at(std::uint64_t at, std::string_view rule) const {
    ScanFinding finding;
    finding.rule = rule;
    finding.member = part_.member;
    finding.offset = part_.origin + at;
    return finding;
  }

  struct Row {
    Judgement judgement;
    Condition condition = Condition::None;
    NodeId call = kNoNode;  ///< the first
    std::uint64_t calls = 0, harmless_calls = 0;
  };

  const PickleTree& tree_;
  const Part& part_;
  const PickleSetting& setting_;
  Collector& out_;
  std::vector<Row> rows_;  ///< beside tree_.globals()
};

}  // namespace

void judge_pickle(const PickleTree& tree, const Part& part, const PickleSetting& setting, Collector& out) {
  Judge(tree, part, setting, out).run();
}

}  // namespace tenon::scanning
