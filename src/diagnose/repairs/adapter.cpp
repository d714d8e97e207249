// An adapter's factors, and a plain model: their product goes into the weights, those of the file or those of the
// target.
//
//   base_model.model.q_proj.lora_A.default.weight [r, in]     base_model.model.q_proj.base_layer.weight [out, in]
//   base_model.model.q_proj.lora_B.default.weight [out, r]
//
// Which of several adapters is merged, or none, is a person's choice: then the base is only offered.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/origins/name_rules.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/repairs/repairs.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

struct Words {
  std::string_view down, up;
};
constexpr Words kWords[] = {{".lora_A.", ".lora_B."}, {".lora_down.", ".lora_up."}, {".lora.down.", ".lora.up."}};
constexpr std::string_view kWrappedBase = ".base_layer.";
/// Of a DoRA (PEFT; kohya-ss), which scales what scale * B * A makes of the weight.
constexpr std::string_view kMagnitudes[] = {".lora_magnitude_vector", ".dora_scale"};

struct Factors {
  std::string module;    ///< the layer that is adapted, as the file calls it
  std::string down, up;  ///< names behind the module
  Shape product;         ///< [out, in]
};

using Names = std::unordered_map<std::string_view, const TensorSpec*>;

std::optional<Factors> factors_of(const std::string& name, const Names& names) {
  for (const Words& words : kWords) {
    const auto at = name.find(words.down);
    if (at == std::string::npos) continue;
    const std::string rest = name.substr(at + words.down.size());
    Factors factors{name.substr(0, at), std::string(words.down) + rest, std::string(words.up) + rest, {}};
    const auto down = names.find(name), up = names.find(factors.module + factors.up);
    if (up == names.end() || !down->second->shape || !up->second->shape) return std::nullopt;
    const Shape &a = *down->second->shape, &b = *up->second->shape;
    if (a.size() != 2 || b.size() != 2 || b[1] != a[0]) return std::nullopt;
    factors.product = {b[0], a[1]};
    return factors;
  }
  return std::nullopt;
}

bool has_magnitudes(const Names& names) {
  const auto is_one = [](const auto& named) { return has_any(named.first, kMagnitudes); };
  return std::any_of(names.begin(), names.end(), is_one);
}

/// The factors of each adapter, by what stands behind their modules: `.lora_A.default.weight`.
using Adapters = std::map<std::string, std::vector<Factors>>;

Adapters adapters_of(const Case& facts, const Names& names) {
  Adapters adapters;
  for (const std::size_t index : facts.gap.unexpected)
    if (auto factors = factors_of(facts.have(index).name, names))
      adapters[factors->down].push_back(std::move(*factors));
  return adapters;
}

/// `default` of `.lora_A.default.weight`; the whole where an adapter has no name.
std::string adapter_name(const std::string& down) {
  for (const Words& words : kWords) {
    if (!down.starts_with(words.down)) continue;
    const std::string_view name = module_of(std::string_view(down).substr(words.down.size()));
    if (!name.empty()) return std::string(name);
  }
  return down.substr(1);
}

MergeLora merge_of(const Factors& factors, const std::string& prefix, std::string_view base) {
  const std::string module = regex_text(prefix) + "(.*)";
  MergeLora merge{module + regex_text(factors.down), module + regex_text(factors.up), "$1.weight"};
  if (!base.empty()) merge.base = "$1" + std::string(base) + "weight";
  return merge;
}

/// Base and adapter in one file: the names of the layers stay, and the level of the wrapped base goes.
std::vector<Op> into_the_file(const std::vector<Factors>& all, const Names& names) {
  for (const std::string_view base : {kWrappedBase, std::string_view(".")}) {
    const bool is_whole = std::all_of(all.begin(), all.end(), [&](const Factors& factors) {
      const auto found = names.find(factors.module + std::string(base) + "weight");
      return found != names.end() && found->second->shape == factors.product;
    });
    if (!is_whole) continue;
    std::vector<Op> ops{{merge_of(all.front(), "", base == kWrappedBase ? base : ""), Applicability::Lossy}};
    const bool has_bias = std::any_of(all.begin(), all.end(), [&](const Factors& factors) {
      return names.count(factors.module + ".base_layer.bias") > 0;
    });
    if (has_bias) ops.push_back({Rename{"(.*)\\.base_layer\\.bias", "$1.bias", true}, Applicability::Exact});
    return ops;
  }
  return {};
}

/// Several adapters on wrapped layers of one file: the bases fit the model by themselves, and would drop them all.
std::optional<Finding> choice_of_adapters(const Case& facts, const Adapters& adapters, const Names& names) {
  std::vector<std::string> called, merges;
  std::set<std::string_view> layers;
  for (const auto& [down, factors] : adapters) {
    const auto ops = into_the_file(factors, names);
    if (ops.empty()) return std::nullopt;
    called.push_back(adapter_name(down));
    merges.push_back("or merge " + quoted(called.back()) +
                     (ops.size() > 1 ? ", before the first operation    " : ", in place of the first operation    ") +
                     to_json(ops.front()));
    for (const Factors& one : factors) layers.insert(one.module);
  }
  const bool is_wrapped = std::all_of(layers.begin(), layers.end(), [&](std::string_view module) {
    return names.count(std::string(module) + std::string(kWrappedBase) + "weight") > 0;
  });
  if (!is_wrapped) return std::nullopt;
  constexpr std::size_t kMostMerges = 3;
  if (merges.size() > kMostMerges) merges.resize(kMostMerges);
  Finding finding =
      say(facts,
          {0.5,
           "the checkpoint holds " + base::plural(called.size(), "adapter") + " for " +
               base::plural(layers.size(), "layer") + ", and the model is plain: " + list_text(called),
           "an adapter adds scale * B * A to the weight of its layer; the base alone is the model before its training",
           {base::plural(layers.size(), "weight") + " of the base fit; the factors of " +
            base::plural(called.size(), "adapter") + " have no place in the model"},
           std::move(merges)});
  finding.ops = {{Rename{"(.*)\\.base_layer\\.(.*)", "$1.$2", true}, Applicability::Guess}};
  finding.cause.notes = {"the base alone is offered, without what " + list_text(called) + " learned"};
  finding.cause.keys = layers.size();
  return finding;
}

/// The adapter alone: the names of its layers are the model's behind a prefix, and the weights are the model's.
std::vector<Op> into_the_target(const Case& facts, const std::vector<Factors>& all) {
  Names wanted;
  for (const TensorSpec& want : facts.target.tensors) wanted.emplace(want.name, &want);
  const auto fits = [&](const Factors& factors, std::size_t skipped) {
    const auto found = wanted.find(factors.module.substr(skipped) + ".weight");
    return found != wanted.end() && found->second->shape == factors.product;
  };
  const std::string& first = all.front().module;
  for (std::size_t skipped = 0; skipped < first.size(); ++skipped) {
    if (skipped > 0 && first[skipped - 1] != '.') continue;
    const std::string prefix = first.substr(0, skipped);
    const bool is_one = std::all_of(all.begin(), all.end(), [&](const Factors& factors) {
      return factors.module.starts_with(prefix) && fits(factors, skipped);
    });
    if (is_one) return {{merge_of(all.front(), prefix, ""), Applicability::Lossy}};
  }
  return {};
}

}  // namespace

std::optional<Finding> find_merged_adapter(const Case& facts) {
  if (facts.knowledge != Knowledge::Whole) return std::nullopt;
  Names names;
  for (const Planned& tensor : facts.state.tensors()) names.emplace(tensor.spec.name, &tensor.spec);
  const Adapters adapters = adapters_of(facts, names);
  if (adapters.empty() || has_magnitudes(names)) return std::nullopt;
  if (adapters.size() > 1) return choice_of_adapters(facts, adapters, names);
  const auto& all = adapters.begin()->second;
  std::vector<Op> ops = into_the_file(all, names);
  const bool is_in_file = !ops.empty();
  if (!is_in_file) ops = into_the_target(facts, all);
  if (ops.empty()) return std::nullopt;
  Finding finding = say(
      facts, {0.93,
              "the checkpoint holds an adapter for " + base::plural(all.size(), "layer") + ", and the model is plain",
              "an adapter adds scale * B * A to the weight of its layer; merged, the sum is the weight",
              {base::plural(all.size(), "pair") + " of factors, each product of its weight's shape; the weights are " +
               (is_in_file ? "in the file" : "the model's own")},
              {}});
  finding.ops = std::move(ops);
  finding.cause.notes = {
      "the scale is lora_alpha / r of adapter_config.json beside the file; \"scale\" in the plan gives another"};
  finding.cause.keys = all.size() * 2;
  return finding;
}

}  // namespace tenon::diagnosis
