// fused_or_split: one tensor here is several there: qkv against q, k, v; a convolution with its normalisation folded
// in; experts stacked; branches re-parameterised.
//
//   file      conv.weight, conv.bias          model   conv.weight, bn.weight, bn.bias, bn.running_mean, ... (folded)
//   file      q.weight, k.weight, v.weight    model   qkv.weight
//   file      rbr_dense..., rbr_1x1...        model   rbr_reparam.weight
#include <algorithm>
#include <array>
#include <set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"
#include "diagnose/shape_relation.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kFusedMarks[] = {
    "qkv",      "query_key_value", "in_proj_weight", "in_proj_bias", "c_attn", "gate_up",
    "kv_proj.", "to_kv",           "qk_proj",        "w1w3",         "w13",    "kv.",
    "to_qkv",   "reparam",         "query_key"};
constexpr std::string_view kSplitMarks[] = {
    "q_proj",       "k_proj", "v_proj",   "query",    "key",       "value",     "to_q",      "to_k",
    "to_v",         "wq",     "wk",       "wv",       "gate_proj", "up_proj",   "rbr_dense", "rbr_1x1",
    "rbr_identity", "q_lin",  "k_lin",    "v_lin",    "linear_q",  "linear_k",  "linear_v",  "q_bias",
    "v_bias",       "w1.",    "w3.",      "rbr_conv", "rbr_skip",  "rbr_scale", "q.",        "k.",
    "v.",           "lin_q",  "q_linear", "k_linear", "v_linear"};

template <class Marks>
bool has_mark(std::string_view name, const Marks& marks) {
  return std::any_of(std::begin(marks), std::end(marks), [&](std::string_view mark) {
    const auto at = name.find(mark);
    return at != std::string_view::npos && (at == 0 || name[at - 1] == '.' || mark.size() > 5 ||
                                            (mark.size() > 2 && (name[at - 1] == '_' || name[at - 1] == 'W')));
  });
}

bool is_fused(const OpenName& row) { return has_mark(row.name, kFusedMarks); }
bool is_split(const OpenName& row) { return has_mark(row.name, kSplitMarks) && !is_fused(row); }
bool is_expert(const OpenName& row) { return row.name.find("experts") != std::string_view::npos; }
bool is_norm(const OpenName& row) {
  const std::string_view leaf = leaf_of(row.name);
  return is_normalisation(module_of(row.name)) && (is_plain_leaf(leaf) || leaf == "num_batches_tracked");
}

Finding two_forms(const Case& facts, const OpenRows& rows, const std::vector<OpenName>& missing,
                  const std::vector<OpenName>& unexpected, bool is_fuse) {
  const std::size_t found = missing.size() + unexpected.size();
  Finding finding = say(
      facts,
      {0.5 + 0.4 * share_of(found, rows.missing.size() + rows.unexpected.size()),
       is_fuse
           ? "the model has in one tensor what the checkpoint has in several: " + list_text(names_of_rows(missing))
           : "the model has in several tensors what the checkpoint has in one: " + list_text(names_of_rows(unexpected)),
       "implementations join projections that share an input, or keep them apart; the values are the same",
       {base::plural(missing.size(), "missing key") + " against " + base::plural(unexpected.size(), "unexpected key")},
       {"with both files the parts and their order are found    tenon check FILE --against MODEL"}});
  tell_missing(missing, finding);
  tell_unexpected(unexpected, finding);
  picture_of(missing, unexpected, {}, finding.cause);
  return finding;
}

std::optional<Finding> both_sides(const Case& facts, const OpenRows& rows) {
  for (const bool is_fuse : {true, false}) {
    const auto missing = rows_where(rows.missing, is_fuse ? is_fused : is_split);
    const auto unexpected = rows_where(rows.unexpected, is_fuse ? is_split : is_fused);
    if (!missing.empty() && !unexpected.empty()) return two_forms(facts, rows, missing, unexpected, is_fuse);
  }
  return std::nullopt;
}

/// One side shows one form only: the other is cut off, or of another spelling.
std::optional<Finding> one_side(const Case& facts, const OpenRows& rows) {
  std::set<std::string_view> joined;  // modules with a fused projection: the output's belongs to it
  for (const auto* side : {&rows.missing, &rows.unexpected})
    for (const OpenName& row : *side)
      if (is_fused(row)) joined.insert(module_of(module_of(row.name)));
  const auto is_one = [&](const OpenName& row) {
    return is_fused(row) || is_expert(row) || joined.count(module_of(module_of(row.name))) > 0;
  };
  const auto missing = rows_where(rows.missing, is_one), unexpected = rows_where(rows.unexpected, is_one);
  const std::size_t all = rows.missing.size() + rows.unexpected.size();
  const std::size_t found = missing.size() + unexpected.size();
  if (found == 0 || found * 5 < all * 4) return std::nullopt;
  if (rows_where(missing, is_norm).size() + rows_where(unexpected, is_norm).size() > 0)
    return std::nullopt;  // whole blocks
  const bool are_experts = std::any_of(missing.begin(), missing.end(), is_expert) ||
                           std::any_of(unexpected.begin(), unexpected.end(), is_expert);
  Finding finding =
      say(facts,
          {are_experts ? 0.82 : 0.55,
           std::string(missing.empty() ? "the checkpoint" : "the model") +
               " keeps joined tensors: " + list_text(names_of_rows(missing.empty() ? unexpected : missing)),
           "one tensor holds several projections or experts; the other side may keep them apart, or under another name",
           {part_text(found, all, "key") + " are joined ones by name"},
           {"with both files the parts are found    tenon check FILE --against MODEL"}});
  finding.cause.keys = found;
  picture_of(missing, unexpected, {}, finding.cause);
  return finding;
}

/// A projection has two or three times the rows on one side, under one name: what is joined in it differs.
std::optional<Finding> grown_rows(const Case& facts, const OpenRows& rows) {
  const auto grown = rows_where(rows.mismatched, [](const OpenPair& row) {
    if (!has_mark(row.name, kFusedMarks) && !has_mark(row.name, kSplitMarks)) return false;
    const bool is_rows = only_axis(*row.have, *row.want) == std::size_t{0};
    return is_rows && (scaled_by(*row.have, *row.want, 3, 1) || scaled_by(*row.want, *row.have, 3, 1) ||
                       scaled_by(*row.have, *row.want, 2, 1) || scaled_by(*row.want, *row.have, 2, 1) ||
                       scaled_by(*row.have, *row.want, 2, 3) || scaled_by(*row.have, *row.want, 3, 2));
  });
  if (grown.empty() || grown.size() * 2 < rows.mismatched.size()) return std::nullopt;
  Finding finding = say(
      facts, {0.5,
              "a projection joins other parts on the two sides: " + list_text(names_of_rows(grown)),
              "query, key and value, or gate and up, stand in one tensor or in several",
              {part_text(grown.size(), rows.mismatched.size(), "mismatched key") + " have two or three times the rows"},
              {"see both sides' names    tenon check FILE --against MODEL"}});
  finding.cause.keys = grown.size();
  picture_of({}, {}, grown, finding.cause);
  return finding;
}

/// All missing tensors are normalisations', in several modules, their statistics among them: the file has them folded
/// into the convolutions. Or the reverse: the file has biases of convolutions everywhere.
std::optional<Finding> folded(const Case& facts, const OpenRows& rows) {
  std::set<std::string_view> modules;
  const auto norms = rows_where(rows.missing, is_norm);
  for (const OpenName& row : norms)
    if (leaf_of(row.name) == "running_mean") modules.insert(module_of(row.name));
  constexpr std::size_t kLeast = 2;
  if (modules.size() < kLeast || norms.size() * 10 < rows.missing.size() * 9) return std::nullopt;
  const auto biases = rows_where(rows.unexpected, [](const OpenName& row) { return leaf_of(row.name) == "bias"; });
  if (biases.size() != rows.unexpected.size()) return std::nullopt;
  const std::string_view part = common_module(rows.missing);
  const bool is_one_part = !part.empty() && !is_wrapper_level(part) && rows.unexpected.empty();
  if (facts.knowledge == Knowledge::Partial && is_one_part) return std::nullopt;  // a whole network is folded
  Finding finding =
      say(facts, {0.85,
                  "the normalisations are missing and their convolutions are not: the file has them folded in",
                  "for deployment a BatchNorm is computed into the convolution before it; the way back is not unique",
                  {base::plural(norms.size(), "missing key") + ", all of normalisations, in " +
                   base::plural(modules.size(), "module")},
                  {"build the model in its fused form before loading, or take the file that was saved before fusing"}});
  finding.cause.notes = {"leaving biases out is harmful here: the normalisation is in them"};
  tell_missing(norms, finding);
  tell_unexpected(biases, finding);
  picture_of(norms, biases, {}, finding.cause);
  return finding;
}

/// One side lacks query, key and value of every block and nothing else: the other has them joined.
std::optional<Finding> projections_alone(const Case& facts, const OpenRows& rows) {
  const bool in_file = rows.missing.empty();
  const auto& side = in_file ? rows.unexpected : rows.missing;
  if (side.empty() || !(rows.missing.empty() || rows.unexpected.empty()) || !rows.mismatched.empty())
    return std::nullopt;
  const auto found = rows_where(side, [](const OpenName& row) {
    return has_mark(row.name, kSplitMarks) && !is_fused(row) && is_plain_leaf(leaf_of(row.name));
  });
  std::set<std::string_view> parts;
  std::set<std::string_view> blocks;  // in one block alone they are as likely the begin of a list
  for (const OpenName& row : found) {
    parts.insert(leaf_of(module_of(row.name)));
    blocks.insert(module_of(module_of(row.name)));
  }
  if (found.size() != side.size() || parts.size() < 2 || parts.size() > 3 || blocks.size() < 2) return std::nullopt;
  Finding finding = say(facts, {0.8,
                                "query, key and value stand apart on one side only: " + list_text(names_of_rows(found)),
                                "the other side has them in one tensor, or under other names",
                                {part_text(found.size(), side.size(), "key") + " are such projections; the output's is "
                                                                               "not among them"},
                                {"with both files the parts are found    tenon check FILE --against MODEL"}});
  finding.cause.keys = found.size();
  picture_of(in_file ? std::vector<OpenName>() : found, in_file ? found : std::vector<OpenName>(), {}, finding.cause);
  return finding;
}

/// A reader of names one by one stops at one projection of the file: the model has no tensor for it alone.
std::optional<Finding> first_projection(const Case& facts, const OpenRows& rows) {
  const bool is_one =
      facts.text != nullptr && facts.text->is_first_only && rows.size() == 1 && rows.unexpected.size() == 1;
  if (!is_one || !is_split(rows.unexpected.front())) return std::nullopt;
  Finding finding =
      say(facts, {0.66,
                  "the model has no tensor for one projection alone: " + quoted(rows.unexpected.front().name),
                  "implementations join projections that share an input, or keep them apart",
                  {"1 name told, the others not"},
                  {"with both files the parts are found    tenon check FILE --against MODEL"}});
  finding.cause.keys = 1;
  return finding;
}

/// Biases of convolutions everywhere and nothing else: normalisations were computed into them.
std::optional<Finding> biases_alone(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 5;
  if (rows.unexpected.size() < kLeast || !rows.missing.empty() || !rows.mismatched.empty()) return std::nullopt;
  const auto biases = rows_where(rows.unexpected, [](const OpenName& row) {
    const std::string_view owner = leaf_of(module_of(row.name));
    return leaf_of(row.name) == "bias" && (owner.find("conv") != std::string_view::npos || owner == "0");
  });
  if (biases.size() * 10 < rows.unexpected.size() * 9) return std::nullopt;
  Finding finding =
      say(facts, {0.8,
                  "the checkpoint has biases in every convolution: its normalisations are folded in",
                  "for deployment a BatchNorm is computed into the convolution before it",
                  {part_text(biases.size(), rows.unexpected.size(), "unexpected key") + " are biases of convolutions"},
                  {"build the model in its fused form before loading"}});
  finding.cause.notes = {"leaving biases out is harmful here: the normalisation is in them"};
  finding.cause.keys = rows.unexpected.size();
  picture_of({}, biases, {}, finding.cause);
  return finding;
}

/// Convolutions with biases and no normalisation anywhere: the model is built for deployment, the file may be not.
std::optional<Finding> plain_convolutions(const Case& facts, const OpenRows& rows) {
  constexpr std::size_t kLeast = 8;
  if (rows.missing.size() < kLeast || !rows.unexpected.empty() || !rows.mismatched.empty()) return std::nullopt;
  std::size_t weights = 0, biases = 0;
  for (const OpenName& row : rows.missing) {
    const bool is_convolution = leaf_of(module_of(row.name)) == "conv";
    weights += is_convolution && leaf_of(row.name) == "weight" ? 1U : 0U;
    biases += is_convolution && leaf_of(row.name) == "bias" ? 1U : 0U;
  }
  if (weights + biases != rows.missing.size() || biases * 5 < weights * 4) return std::nullopt;
  Finding finding = say(facts, {0.5,
                                "the model's convolutions have biases and no normalisations: it may be fused already",
                                "some programs fold normalisations into convolutions when they build a model",
                                {base::plural(rows.missing.size(), "missing key") + ", all of convolutions"},
                                {"load before the model is fused"}});
  finding.cause.keys = rows.missing.size();
  return finding;
}

}  // namespace

std::optional<Finding> find_fused_or_split(const Case& facts) {
  if (facts.knowledge == Knowledge::Whole) return std::nullopt;  // values and shapes of both sides tell more than names
  const OpenRows rows = open_rows(facts);
  if (auto finding = folded(facts, rows)) return finding;
  if (auto finding = both_sides(facts, rows)) return finding;
  if (auto finding = grown_rows(facts, rows)) return finding;
  if (auto finding = projections_alone(facts, rows)) return finding;
  if (auto finding = first_projection(facts, rows)) return finding;
  if (auto finding = biases_alone(facts, rows)) return finding;
  if (auto finding = plain_convolutions(facts, rows)) return finding;
  return one_side(facts, rows);
}

}  // namespace tenon::diagnosis
