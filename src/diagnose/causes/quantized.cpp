// quantized: one side holds quantised tensors with their scales and maps, the other plain ones, or another dialect.
//
//   plain          weight [4096, 4096]
//   bitsandbytes   weight (packed) + weight.absmax, weight.quant_map, SCB
//   GPTQ, AWQ      qweight + qzeros + scales + g_idx
//   torch.ao       _packed_params, scale, zero_point, activation_post_process.*
//   fp8            weight + weight_scale_inv, input_scale
#include <set>

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
    {Symptom::QuantState, 0.75, "the state of quantised tensors does not fit",
     "quantisers keep scales, zero points and maps beside the weights, and their names and forms differ by library and "
     "release",
     "load with the library and settings that quantised it, or take the unquantised file"},
    {Symptom::SameShapeCopy, 0.6, "a tensor was refused though its shape is right",
     "quantised and plain tensors, or two dtypes, do not copy into each other",
     "quantise the model first, or dequantise the file"},
};

/// Counters, biases and other tensors of a quantising module go with its scales.
std::vector<OpenName> with_siblings(const std::vector<OpenName>& rows, const std::vector<OpenName>& quantised) {
  std::set<std::string_view> modules;
  for (const OpenName& row : quantised) modules.insert(module_of(row.name));
  return rows_where(rows, [&](const OpenName& row) {
    return family_of(row.name) == Family::Quantised ||
           (modules.count(module_of(row.name)) > 0 &&
            (family_of(row.name) == Family::BatchCounter || leaf_of(row.name) == "bias"));
  });
}

/// Scales, zero points and maps; `biases` beside `scales` are MLX's zero points.
std::vector<OpenName> quantisation_state(const std::vector<OpenName>& rows) {
  const bool has_scales =
      std::any_of(rows.begin(), rows.end(), [](const OpenName& row) { return leaf_of(row.name) == "scales"; });
  return rows_where(rows, [&](const OpenName& row) {
    return family_of(row.name) == Family::Quantised || (has_scales && leaf_of(row.name) == "biases");
  });
}

/// The weights are left over with their scales: the model does not have these layers in any form.
bool are_whole_layers(const std::vector<OpenName>& rows, const std::vector<OpenName>& quantised) {
  std::set<std::string_view> modules, whole;
  for (const OpenName& row : quantised) modules.insert(module_of(row.name));
  for (const OpenName& row : rows)
    if (leaf_of(row.name) == "weight" && modules.count(module_of(row.name)) > 0) whole.insert(module_of(row.name));
  return !whole.empty() && whole.size() * 2 >= modules.size();
}

std::optional<Finding> from_names(const Case& facts, const OpenRows& rows) {
  auto missing = with_siblings(rows.missing, quantisation_state(rows.missing));
  const auto unexpected = quantisation_state(rows.unexpected);
  const std::size_t found = missing.size() + unexpected.size();
  if (found == 0) return std::nullopt;
  const bool in_file = unexpected.size() >= missing.size();
  const double own = missing.empty() && are_whole_layers(rows.unexpected, unexpected) ? 0.5 : 1;
  if (!unexpected.empty() && missing.empty())
    missing = rows.missing;  // what was packed is missing under its plain name
  Finding finding =
      say(facts,
          {own * (0.55 + 0.4 * share_of(found, rows.missing.size() + rows.unexpected.size())),
           in_file ? "the checkpoint is quantised in a way that the model is not"
                   : "the model is quantised in a way that the checkpoint is not",
           "quantising keeps scales, zero points and maps beside the weights, and packs the weights themselves",
           {base::plural(found, "key") +
            " of quantisation state: " + list_text(names_of_rows(in_file ? unexpected : missing))},
           {in_file ? "build the model quantised (same library, same settings) before loading, or take the plain file"
                    : "load the plain weights first, then quantise; or take a file quantised in this dialect"}});
  finding.cause.notes = {
      in_file ? "leaving these keys out is harmful where they scale weights: packed values without them are noise"
              : "these tensors come from calibration and are not in any plain checkpoint"};
  tell_missing(missing, finding);
  tell_unexpected(unexpected, finding);
  picture_of(missing, unexpected, {}, finding.cause);
  return finding;
}

/// Biases of every projection, the ones back to the model's width among them, where the model has none: packers write
/// them for each layer that they quantise.
std::optional<Finding> packed_biases(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeastKinds = 4;
  if (facts.knowledge == Knowledge::Whole || !rows.missing.empty() || !rows.mismatched.empty()) return std::nullopt;
  std::set<std::string_view> kinds;
  const auto biases = rows_where(rows.unexpected, [](const OpenName& row) {
    return leaf_of(row.name) == "bias" && leaf_of(module_of(row.name)).find("proj") != std::string_view::npos;
  });
  for (const OpenName& row : biases) kinds.insert(leaf_of(module_of(row.name)));
  if (kinds.size() < kLeastKinds || biases.size() * 3 < rows.unexpected.size() * 2) return std::nullopt;
  Finding finding =
      say(facts, {0.72,
                  "the checkpoint has a bias for every projection, as packers of quantised weights write them",
                  "a quantised layer is saved with a bias even where the model has none",
                  {part_text(biases.size(), rows.unexpected.size(), "unexpected key") + " are such biases"},
                  {"load with the library that quantised it, or leave zero biases out"}});
  finding.cause.keys = rows.unexpected.size();
  picture_of({}, biases, {}, finding.cause);
  return finding;
}

/// [n, 1] against [a, b] with as many bytes as a x b elements need at four or eight bits: packed weights.
std::optional<Finding> packed_shapes(const Case& facts, const OpenRows& rows) {
  const auto found = rows_where(rows.mismatched, [](const OpenPair& row) {
    const bool in_file =
        row.have->size() == 2 && row.have->back() == 1 && row.want->size() == 2 && row.want->back() > 1;
    const bool in_model =
        row.want->size() == 2 && row.want->back() == 1 && row.have->size() == 2 && row.have->back() > 1;
    const std::int64_t packed = element_count(in_file ? *row.have : *row.want),
                       plain = element_count(in_file ? *row.want : *row.have);
    return in_file != in_model && packed > 1'000 && (packed == plain || (plain % 2 == 0 && packed == plain / 2));
  });
  if (found.empty()) return std::nullopt;
  Finding finding = say(facts, {0.9,
                                "weights are packed on one side: " + list_text(names_of_rows(found)),
                                "four-bit quantisation keeps two values in a byte, in one column",
                                {part_text(found.size(), rows.mismatched.size(), "mismatched key") +
                                 " have one column and half as many elements"},
                                {"build the model quantised before loading, or take the plain file"}});
  finding.cause.keys = found.size();
  picture_of({}, {}, found, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_quantized(const Case& facts) {
  if (auto finding = from_names(facts, open_rows(facts))) return finding;
  if (auto finding = packed_biases(facts, open_rows(facts))) return finding;
  if (facts.knowledge == Knowledge::Partial)
    if (auto finding = packed_shapes(facts, open_rows(facts))) return finding;
  if (facts.text != nullptr && !facts.text->tells_keys()) return read_sightings(facts, kReadings);
  return std::nullopt;
}

}  // namespace tenon::diagnosis
