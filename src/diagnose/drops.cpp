// The questions that are asked of a tensor that is left out, in this order; the first that answers decides:
//
//   does the model want it, as it is or under another name?                  harmful
//   does it stay under a second name? is it counted, computed, an optimizer's?    harmless
//   op graph: does something that stays compute with what comes out of it?   harmful, else harmless
//   a copy, what only training needs, by name?                               harmless
//   a bias whose layer stays? a head?                                        harmful; harmless
//   a trained layer that the model does not have, wherever it stands         harmful
#include "diagnose/drops.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"

namespace tenon::diagnosis {
namespace {

struct Dropped {
  std::size_t op = 0;  ///< index into the plan
  TensorSpec spec;     ///< under the name that the operation found
  std::size_t source = 0;
};

struct Judgement {
  Harm harm = Harm::Harmful;
  std::string why;
};
using Answer = std::optional<Judgement>;

Judgement harmless(std::string why) { return {Harm::Harmless, std::move(why)}; }
Judgement harmful(std::string why) { return {Harm::Harmful, std::move(why)}; }

/// `weight[10, 512] bias[10]`: what a module keeps, counters aside.
using Signatures = std::map<std::string, std::string, std::less<>>;

void add_to(Signatures& signatures, const TensorSpec& spec) {
  if (is_batch_counter(spec.name) || !spec.shape) return;
  signatures[std::string(module_of(spec.name))] +=
      std::string(leaf_of(spec.name)) + base::shape_text(*spec.shape) + " ";
}

constexpr std::uint64_t kMostParameters = 1ULL << 62;  // a text may claim any shape

std::uint64_t parameters(const Shape& shape) {
  std::uint64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent <= 0) return 0;
    if (count > kMostParameters / static_cast<std::uint64_t>(extent)) return kMostParameters;
    count *= static_cast<std::uint64_t>(extent);
  }
  return count;
}

bool is_counter(const TensorSpec& spec) {
  const std::string_view leaf = leaf_of(spec.name);
  return is_batch_counter(spec.name) || leaf == "total_ops" || leaf == "total_params" ||
         leaf.find("counter") != std::string_view::npos;
}

/// GPT-2 calls its causal mask `bias`: [1, 1, n, n], or of truth values.
bool is_mask(const TensorSpec& spec) {
  const bool is_bytes = spec.dtype == DType::Bool || spec.dtype == DType::UInt8;
  const bool is_square = spec.shape && spec.shape->size() == 4 && (*spec.shape)[0] == 1 && (*spec.shape)[1] == 1 &&
                         (*spec.shape)[2] == (*spec.shape)[3];
  return leaf_of(spec.name) == "bias" && (is_bytes || is_square);
}

/// A head's name outside every numbered block: `fc.weight`, `backbone.classifier.1.bias`; not `blocks.3.se.fc.weight`.
bool is_head(std::string_view name) {
  std::string_view rest = module_of(name);
  while (!rest.empty()) {
    const std::string_view level = first_level(rest);
    if (is_called_head(level)) return true;
    if (level.find_first_not_of("0123456789") == std::string_view::npos) return false;
    rest.remove_prefix(std::min(rest.size(), level.size() + 1));
  }
  return false;
}

class Judge {
 public:
  Judge(const Plan& plan, const Listing& checkpoint, const Listing& target, Knowledge knowledge)
      : checkpoint_(checkpoint), target_(target), knowledge_(knowledge), state_(checkpoint) {
    for (std::size_t i = 0; i < plan.ops.size(); ++i) {
      if (const auto* drop = std::get_if<Drop>(&plan.ops[i].operation)) note(i, *drop);
      state_.run(plan.ops[i]);
    }
    look_at_what_stays();
    look_at_names();
  }

  std::vector<DropVerdict> verdicts() const {
    std::vector<DropVerdict> found;
    for (std::size_t begin = 0, end = 0; begin < dropped_.size(); begin = end) {
      while (end < dropped_.size() && dropped_[end].op == dropped_[begin].op) ++end;
      found.push_back(verdict(begin, end));
    }
    return found;
  }

 private:
  void note(std::size_t op, const Drop& drop) {
    for (const Planned& tensor : state_.tensors())
      if (base::glob_match(drop.pattern, tensor.spec.name)) dropped_.push_back({op, tensor.spec, tensor.source});
  }

  void look_at_what_stays() {
    const Gap gap = gap_between(state_, target_);
    std::vector<bool> filled(target_.tensors.size(), false);
    for (const Pair& pair : gap.matched) {
      filled[pair.target] = true;
      const Planned& tensor = state_.tensors()[pair.state];
      staying_names_.insert(tensor.spec.name);
      for (const std::size_t source : sources(tensor)) staying_.insert(source);
    }
    Signatures open;
    for (std::size_t i = 0; i < filled.size(); ++i) {
      if (filled[i]) continue;
      open_.emplace(target_.tensors[i].name, i);
      add_to(open, target_.tensors[i]);
    }
    for (const auto& [module, signature] : open) open_modules_.emplace(signature, module);
    for (const Dropped& tensor : dropped_) add_to(dropped_modules_, tensor.spec);
    if (!checkpoint_.values) return;
    for (const std::size_t source : staying_) staying_storages_.emplace(place_in_file(source), source);
  }

  /// What is asked of every tensor is found once: the cost is that of tensors and operations, not of their product.
  void look_at_names() {
    for (const Dropped& tensor : dropped_)
      dropped_names_.insert({tensor.spec.name, checkpoint_.tensors[tensor.source].name});
    for (const auto& tensor : dropped_)
      if (leaf_of(tensor.spec.name) == "masked_bias") masked_modules_.insert(module_of(tensor.spec.name));
    for (const TensorSpec& spec : checkpoint_.tensors)
      if (leaf_of(spec.name) == "masked_bias") masked_modules_.insert(module_of(spec.name));
    const auto own = std::find_if(target_.tensors.begin(), target_.tensors.end(), [&](const TensorSpec& spec) {
      return open_.count(spec.name) > 0 && is_head(spec.name);
    });
    if (own != target_.tensors.end()) own_head_ = std::string(module_of(own->name));
  }

  /// Storage, offset and shape: equal where two names are one tensor.
  std::string place_in_file(std::size_t source) const {
    const auto& name = checkpoint_.value_names[source];
    const auto found = checkpoint_.values->find(name);
    if (!found) return {};
    const TensorInfo& info = checkpoint_.values->tensors()[*found];
    if (info.storage == kNoStorage) return {};
    return std::to_string(info.storage) + "+" + std::to_string(info.offset_bytes) + base::shape_text(info.shape);
  }

  Answer if_wanted(const Dropped& tensor) const {
    const auto found = open_.find(tensor.spec.name);
    if (found != open_.end() && !shapes_differ(tensor.spec, target_.tensors[found->second]))
      return harmful("the model wants it under this name");
    const auto signature = dropped_modules_.find(module_of(tensor.spec.name));
    if (signature == dropped_modules_.end() || knowledge_ == Knowledge::Partial) return std::nullopt;
    const auto module = open_modules_.find(signature->second);
    if (module == open_modules_.end()) return std::nullopt;
    return harmful("the model wants tensors of these shapes as " + quoted(module->second) + ", and nothing fills them");
  }

  Answer if_no_weight(const Dropped& tensor) const {
    const std::string& original = checkpoint_.tensors[tensor.source].name;
    if (checkpoint_.values)
      if (const auto twin = staying_storages_.find(place_in_file(tensor.source));
          twin != staying_storages_.end() && !twin->first.empty())
        return harmless("the same tensor stays as " + quoted(checkpoint_.tensors[twin->second].name));
    if (is_counter(tensor.spec)) return harmless("a counter, which no output is computed from");
    if (family_of(tensor.spec.name) == Family::Derived || is_mask(tensor.spec) || has_masked_twin(tensor))
      return harmless("a buffer that the model computes itself; no learned value is in it");
    if (is_called_optimizer(original) || is_called_optimizer(tensor.spec.name))
      return harmless("an optimizer's state: only further training starts without it");
    return std::nullopt;
  }

  /// `attn.bias` beside `attn.masked_bias`.
  bool has_masked_twin(const Dropped& tensor) const {
    return leaf_of(tensor.spec.name) == "bias" && masked_modules_.count(module_of(tensor.spec.name)) > 0;
  }

  /// What the op graph of the saved model tells: whether a tensor that stays is used downstream of this one.
  Answer by_graph(const Dropped& tensor) const {
    if (!checkpoint_.blueprint || !checkpoint_.blueprint->graph || knowledge_ == Knowledge::Partial)
      return std::nullopt;
    const auto& nodes = checkpoint_.blueprint->graph->nodes;
    std::vector<bool> reached(nodes.size(), false);
    bool is_used = false;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const Operand& operand : nodes[i].operands) {
        const bool is_it = operand.from == Operand::From::Tensor && is_called(operand.name, tensor);
        is_used = is_used || is_it;
        reached[i] =
            reached[i] || is_it || (operand.from == Operand::From::Node && operand.index < i && reached[operand.index]);
      }
      if (!reached[i]) continue;
      for (const Operand& operand : nodes[i].operands)
        if (operand.from == Operand::From::Tensor && stays(operand.name))
          return harmful("in the saved model's operations " + quoted(operand.name) + ", which stays, comes behind it");
    }
    if (!is_used) return std::nullopt;
    return harmless("in the saved model's operations nothing that stays comes behind it");
  }

  /// A blueprint calls tensors as the state dict of the model does: the file's name, or the one behind its prefixes.
  bool is_called(const std::string& name, const Dropped& tensor) const {
    return name == tensor.spec.name || name == checkpoint_.tensors[tensor.source].name;
  }
  bool stays(const std::string& name) const {
    return dropped_names_.count(name) == 0 && staying_names_.count(name) > 0;
  }

  Answer by_name(const Dropped& tensor) const {
    const Family family = family_of(tensor.spec.name);
    if (family == Family::Copy) return harmless("a second copy of the weights, by its name");
    if (family == Family::Training) return harmless("only training needs it, by its name");
    if (leaf_of(tensor.spec.name) == "bias" && staying_names_.count(beside(tensor.spec.name, "weight")) > 0)
      return harmful("its layer stays, and added it to every output");
    if (is_head(tensor.spec.name)) return harmless(head_text());
    return std::nullopt;
  }

  static std::string beside(const std::string& name, std::string_view leaf) {
    const std::string_view module = module_of(name);
    return module.empty() ? std::string(leaf) : std::string(module) + "." + std::string(leaf);
  }

  /// The model's own head is told where there is one: it stays untrained.
  std::string head_text() const {
    if (own_head_.empty()) return "a head, the last layer, which the model does not have";
    return "a head, the last layer; the model has its own, " + quoted(own_head_) + ", to be trained";
  }

  Judgement judge(const Dropped& tensor) const {
    for (const auto question : {&Judge::if_no_weight, &Judge::if_wanted, &Judge::by_graph, &Judge::by_name})
      if (auto answer = (this->*question)(tensor)) return std::move(*answer);
    return harmful("a trained layer that the model does not have: what follows it gets other inputs");
  }

  /// One tensor that is missed makes the whole operation harmful; of equal answers the most frequent is told.
  DropVerdict verdict(std::size_t begin, std::size_t end) const {
    DropVerdict verdict{dropped_[begin].op, Harm::Harmless, end - begin, 0, {}};
    std::map<std::pair<Harm, std::string>, std::size_t> counts;
    for (std::size_t i = begin; i < end; ++i) {
      const Judgement judgement = judge(dropped_[i]);
      ++counts[{judgement.harm, judgement.why}];
      if (judgement.harm == Harm::Harmful) verdict.harm = Harm::Harmful;
      if (dropped_[i].spec.shape && verdict.parameters < kMostParameters)
        verdict.parameters += parameters(*dropped_[i].spec.shape);
    }
    std::size_t most = 0;
    for (const auto& [answer, count] : counts) {
      if (answer.first != verdict.harm || count <= most) continue;
      most = count;
      verdict.why = answer.second;
    }
    if (most < end - begin) verdict.why += " (" + std::to_string(most) + " of " + std::to_string(end - begin) + ")";
    return verdict;
  }

  const Listing& checkpoint_;
  const Listing& target_;
  Knowledge knowledge_;
  plan::State state_;
  std::vector<Dropped> dropped_;
  std::unordered_set<std::size_t> staying_;  ///< indexes into the checkpoint's listing
  std::unordered_set<std::string> staying_names_;
  std::unordered_map<std::string, std::size_t> staying_storages_;
  std::unordered_map<std::string, std::size_t> open_;          ///< unfilled names of the target
  std::unordered_map<std::string, std::string> open_modules_;  ///< by signature
  Signatures dropped_modules_;
  std::unordered_set<std::string> dropped_names_;        ///< the file's, and those that the operations found
  std::unordered_set<std::string_view> masked_modules_;  ///< of both listings of names, which outlive this
  std::string own_head_;                                 ///< the model's, where nothing fills it
};

bool has_drop(const Plan& plan) {
  return std::any_of(plan.ops.begin(), plan.ops.end(),
                     [](const Op& op) { return std::holds_alternative<Drop>(op.operation); });
}

}  // namespace

std::vector<DropVerdict> drop_verdicts(const Plan& plan, const Listing& checkpoint, const Listing& target,
                                       Knowledge knowledge) {
  if (!has_drop(plan)) return {};
  return Judge(plan, checkpoint, target, knowledge).verdicts();
}

void hold_back_harmful(Report& report) {
  for (const DropVerdict& drop : report.drops) {
    Applicability& applicability = report.plan.ops[drop.op].applicability;
    if (drop.harm == Harm::Harmful && applicability == Applicability::Exact) applicability = Applicability::Guess;
  }
}

}  // namespace tenon::diagnosis

namespace tenon {

std::vector<DropVerdict> judge_drops(const Plan& plan, const Listing& checkpoint, const Listing& target) {
  return diagnosis::drop_verdicts(plan, checkpoint, target, diagnosis::Knowledge::Whole);
}

}  // namespace tenon
