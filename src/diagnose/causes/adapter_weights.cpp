// adapter_weights: low-rank adapters (LoRA and its kin) without their base, or not built as they were saved.
//
//   only the file has lora_A, lora_B     the model is bare, or was built with fewer target modules
//   only the model has them              the file is merged, or the base
//   [16, 4096] against [64, 4096]        another rank
//   lora_B [2048, 16, 1]                 the grouped adapter of a fused qkv, as old releases kept it
#include <algorithm>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::AdapterFiles, 0.75, "an adapter's files or keys do not fit the base model",
     "an adapter names the layers that it changes, and has a description of its own",
     "load the base first, then the adapter with the library that wrote it; merge it to get a plain model"},
};

bool is_factor_pair(const OpenPair& row) {
  const std::string_view leaf = leaf_of(module_of(row.name));
  return leaf == "down" || leaf == "up";
}

bool is_adapter(std::string_view name, const TextFacts* text) {
  if (family_of(name) == Family::Adapter) return true;
  if (text == nullptr) return false;
  const std::string& owner = text->target_class;
  return (owner.find("LoRA") != std::string::npos || owner.find("Lora") != std::string::npos) &&
         owner.find("ForCausal") == std::string::npos;
}

/// Only the rank differs: one axis, alike in all pairs.
bool is_rank(const std::vector<OpenPair>& pairs) {
  return std::all_of(pairs.begin(), pairs.end(),
                     [](const OpenPair& row) { return only_axis(*row.have, *row.want).has_value(); });
}

std::string summary(const std::vector<OpenName>& missing, const std::vector<OpenName>& unexpected,
                    const std::vector<OpenPair>& pairs) {
  if (!unexpected.empty() && missing.empty())
    return "the checkpoint has adapter weights that the model has no place for";
  if (!missing.empty() && unexpected.empty()) return "the model has adapter weights that the checkpoint does not hold";
  if (!missing.empty()) return "both sides have adapter weights, under other names";
  return is_rank(pairs) ? "the adapter was saved with another rank than the model is built with"
                        : "the adapter's factors have another form than the model's";
}

std::string help_for(const std::vector<OpenName>& unexpected) {
  const bool is_dora = std::any_of(unexpected.begin(), unexpected.end(), [](const OpenName& row) {
    return row.name.find("lora_magnitude_vector") != std::string::npos || row.name.ends_with(".dora_scale");
  });
  return is_dora
             ? "a DoRA adapter is more than its factors: merge it with PEFT (model.merge_and_unload()), or build the "
               "adapter from the file's own description"
             : "build the adapter from the file's own description (adapter_config.json: rank, target modules), or "
               "merge it into the base first";
}

std::optional<Finding> from_rows(const Case& facts, const OpenRows& rows) {
  const auto is_one = [&](const auto& row) { return is_adapter(row.name, facts.text); };
  const auto missing = rows_where(rows.missing, is_one), unexpected = rows_where(rows.unexpected, is_one);
  const auto pairs = rows_where(rows.mismatched, [&](const OpenPair& row) {
    return is_one(row) || (is_factor_pair(row) && only_axis(*row.have, *row.want));
  });
  const std::size_t found = missing.size() + unexpected.size() + pairs.size();
  if (found == 0) return std::nullopt;
  Finding finding = say(
      facts,
      {0.5 + 0.45 * share_of(found, rows.size()),
       summary(missing, unexpected, pairs),
       "an adapter adds factors to chosen layers of a base model; which layers, and of what rank, its description says",
       {base::plural(found, "adapter key") + ": " +
        (pairs.empty() ? list_text(names_of_rows(unexpected.empty() ? missing : unexpected))
                       : list_text(names_of_rows(pairs)))},
       {help_for(unexpected)}});
  tell_missing(missing, finding);
  tell_unexpected(unexpected, finding);
  tell_mismatched(pairs, finding);
  picture_of(missing, unexpected, pairs, finding.cause);
  return finding;
}

/// What another cause explains belongs to an adapter by name: placeholders of factors, quantised bases.
std::optional<Finding> behind_another(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  std::size_t count = 0;
  for (const Pair& pair : facts.gap.mismatched) count += is_adapter(facts.want(pair.target).name, facts.text) ? 1U : 0U;
  for (const std::size_t index : facts.gap.missing) count += is_adapter(facts.want(index).name, facts.text) ? 1U : 0U;
  for (const std::size_t index : facts.gap.unexpected) {
    const std::string& name = facts.have(index).name;
    count += is_adapter(name, facts.text) || name.find(".base_layer.") != std::string::npos ||
                     name.starts_with("base_model.model.")
                 ? 1U
                 : 0U;
  }
  if (count == 0) return std::nullopt;
  Finding finding = say(facts, {0.5,
                                "the tensors belong to an adapter, or to a model within one",
                                "an adapter wraps the layers that it changes",
                                {base::plural(count, "key") + " of an adapter or within one"},
                                {}});
  finding.cause.keys = count;
  return finding;
}

}  // namespace

std::optional<Finding> find_adapter_weights(const Case& facts) {
  if (auto finding = from_rows(facts, open_rows(facts))) return finding;
  if (auto finding = behind_another(facts)) return finding;
  if (facts.text != nullptr && !facts.text->tells_keys()) return read_sightings(facts, kReadings);
  return std::nullopt;
}

}  // namespace tenon::diagnosis
