// dtype_mismatch: names and shapes fit, the types of the numbers do not.
//
// PyTorch's load_state_dict copies into the model's parameters and casts on the way, without a word; other loaders
// refuse. The rule measures, tensor by tensor, whether every value comes back from the cast; where no values are at
// hand it asks whether the new type holds all values of the old one.
#include <algorithm>
#include <map>
#include <unordered_set>

#include "base/text.hpp"
#include "diagnose/dtype_changes.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "plan/patterns.hpp"
#include "tensor/words.hpp"

namespace tenon::diagnosis {
namespace {

struct Losses {
  std::vector<const DTypeFact*> kept, lost;  ///< every value survives; some do not, or it is not known
  CastLoss total;                            ///< over the lost ones
};

Losses add_up(const std::vector<DTypeFact>& changes) {
  Losses losses;
  for (const DTypeFact& fact : changes) {
    (fact.survives ? losses.kept : losses.lost).push_back(&fact);
    if (fact.survives || !fact.change.loss) continue;
    tensor::add(losses.total, *fact.change.loss);
  }
  return losses;
}

/// One cast for each dtype of the model and each applicability, by the fewest patterns. A tensor that has the dtype
/// already may be covered as well: casting it changes nothing.
void add_casts(const Case& facts, const std::vector<const DTypeFact*>& rows, Applicability applicability,
               std::vector<Op>& ops) {
  std::map<DType, std::unordered_set<std::string_view>> by_dtype;
  for (const DTypeFact* fact : rows)
    if (can_cast(fact->change.checkpoint, fact->change.model)) by_dtype[fact->change.model].insert(fact->change.key);
  for (const auto& [dtype, wanted] : by_dtype) {
    std::vector<plan::Named> names;
    for (const Planned& tensor : facts.state.tensors()) {
      const bool is_wanted = wanted.count(tensor.spec.name) > 0;
      if (is_wanted || tensor.spec.dtype != dtype) names.push_back({tensor.spec.name, is_wanted});
    }
    for (const std::string& glob : plan::cover(names)) ops.push_back({Cast{glob, dtype}, applicability});
  }
}

/// ggml's blocks become float32 by the fewest patterns; nothing else may be covered.
void add_dequantizations(const Case& facts, const std::vector<const DTypeFact*>& rows, std::vector<Op>& ops) {
  std::unordered_set<std::string_view> wanted;
  for (const DTypeFact* fact : rows)
    if (can_dequantize(fact->change.checkpoint) && fact->change.model == DType::Float32)
      wanted.insert(fact->change.key);
  if (wanted.empty()) return;
  std::vector<plan::Named> names;
  for (const Planned& tensor : facts.state.tensors())
    names.push_back({tensor.spec.name, wanted.count(tensor.spec.name) > 0});
  for (const std::string& glob : plan::cover(names)) ops.push_back({Dequantize{glob}, Applicability::Lossy});
}

std::string pair_text(const std::vector<DTypeFact>& changes) {
  std::map<std::string, std::size_t> pairs;
  for (const DTypeFact& fact : changes)
    ++pairs[std::string(dtype_name(fact.change.checkpoint)) + " to " + std::string(dtype_name(fact.change.model))];
  std::string text;
  for (const auto& [pair, count] : pairs)
    text += (text.empty() ? "" : ", ") + pair + " (" + base::plural(count, "tensor") + ")";
  return text;
}

std::vector<std::string> names_of(const std::vector<const DTypeFact*>& facts) {
  std::vector<std::string> names;
  for (const DTypeFact* fact : facts) names.push_back(fact->change.key);
  return names;
}

Finding from_listings(const Case& facts, const std::vector<DTypeFact>& changes) {
  const Losses losses = add_up(changes);
  Finding finding;
  for (const DTypeFact& fact : changes) finding.dtype_changes.push_back(fact.change);
  add_casts(facts, losses.kept, Applicability::Exact, finding.ops);
  add_casts(facts, losses.lost, Applicability::Lossy, finding.ops);
  add_dequantizations(facts, losses.lost, finding.ops);
  Cause& cause = finding.cause;
  cause.keys = changes.size();
  cause.confidence = 1;
  cause.severity = losses.lost.empty() ? Severity::Note : Severity::Warning;
  cause.place = place_of(facts);
  cause.why = "a load copies into the model's tensors; names and shapes are compared, dtypes are not";
  cause.evidence = {pair_text(changes)};
  if (losses.lost.empty()) {
    cause.summary = base::plural(changes.size(), "tensor") + " change" + (changes.size() == 1 ? "s" : "") +
                    " dtype in loading, and every value survives";
    return finding;
  }
  const bool is_measured = losses.total.elements > 0;
  cause.summary = std::string(is_measured ? "loading changes values of " : "loading can change values of ") +
                  list_text(names_of(losses.lost)) + " and nothing reports it";
  if (is_measured)
    cause.evidence.push_back(tensor::loss_text(losses.total));
  else
    cause.evidence.push_back("no values at hand: the model's dtype does not hold all values of the checkpoint's");
  const bool in_blocks = std::any_of(losses.lost.begin(), losses.lost.end(),
                                     [](const DTypeFact* fact) { return is_block_dtype(fact->change.checkpoint); });
  if (in_blocks) return finding;  // no framework has a model of such a dtype
  const bool from_double = std::all_of(losses.lost.begin(), losses.lost.end(),
                                       [](const DTypeFact* fact) { return fact->change.checkpoint == DType::Float64; });
  cause.help = {from_double ? "keep every bit    model.double() before loading"
                            : "keep every bit    model.to(the checkpoint's dtype) before loading"};
  return finding;
}

constexpr Reading kReadings[] = {
    {Symptom::OtherDType, 0.8, "two tensors of different dtypes meet",
     "weights were loaded, or the model was cast, in another dtype than the rest of the computation has",
     "cast the model and its inputs alike, or say which dtype to load"},
    {Symptom::NoKernel, 0.75, "an operation or reader does not know the dtype `%`",
     "half types have no kernels for some operations, and old readers do not know new dtypes",
     "cast to float32 before, or use a release that knows the dtype"},
    {Symptom::SameShapeCopy, 0.45, "a tensor was refused though its shape is right",
     "types of numbers that do not copy into each other", "compare dtypes    tenon check FILE --against MODEL"},
};

}  // namespace

std::optional<Finding> find_dtype_mismatch(const Case& facts) {
  const auto changes = dtype_changes(facts);
  if (!changes.empty()) return from_listings(facts, changes);
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
