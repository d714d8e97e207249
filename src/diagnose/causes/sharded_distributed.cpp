// sharded_distributed: the file holds one process's part, or a placeholder, of what was spread over many.
//
//   checkpoint [0] against [4096, 4096]   saved under ZeRO-3 without gathering (old DeepSpeed: [1])
//   checkpoint [4096, 4096] against [0]   the model's own parameters are placeholders while it loads
//   _flat_param, _fsdp_wrapped_module     FSDP's flattened parameters or its wrapper
#include <algorithm>
#include <cstdlib>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/shape_relation.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::ShardWords, 0.85, "the state is spread over processes, and this reader does not put it together",
     "sharded training saves one part for each rank, in an order and number that a load has to repeat",
     "gather first (a full state dict, zero_to_fp32.py), or load with as many ranks as saved"},
    {Symptom::ShardReader, 0.66, "the reader of distributed checkpoints does not find a name in the parts",
     "it looks for the names of the wrapped, or unwrapped, model that saves; every rank has to give the same ones",
     "give the same wrapping as saved, or gather into a full state dict first"},
    {Symptom::MetaTensor, 0.4, "a parameter is a placeholder without content",
     "ZeRO-3, FSDP and lazy modules hold placeholders until the parts are gathered",
     "gather the parameters before saving or loading"},
};

bool is_one(const Shape& shape) { return shape.size() == 1 && shape[0] == 1; }

/// [0], or [1] where several tensors of other sizes are wanted: a head of one class has its rows on the other axes,
/// too.
std::vector<OpenPair> placeholders(const std::vector<OpenPair>& pairs, bool in_file) {
  const auto side = [&](const OpenPair& row) -> const Shape& { return in_file ? *row.have : *row.want; };
  const auto other = [&](const OpenPair& row) -> const Shape& { return in_file ? *row.want : *row.have; };
  auto empty = rows_where(pairs, [&](const OpenPair& row) { return is_empty_shape(side(row)); });
  if (!empty.empty()) return empty;
  auto ones =
      rows_where(pairs, [&](const OpenPair& row) { return is_one(side(row)) && element_count(other(row)) > 1; });
  constexpr std::size_t kLeast = 3;
  return ones.size() == pairs.size() && ones.size() >= kLeast ? ones : std::vector<OpenPair>();
}

std::optional<Finding> from_shapes(const Case& facts, const OpenRows& rows) {
  for (const bool in_file : {true, false}) {
    const auto found = placeholders(rows.mismatched, in_file);
    if (found.empty()) continue;
    const double share = share_of(found.size(), rows.mismatched.size());
    Finding finding = say(
        facts,
        {(found.size() > 1 ? 0.75 : 0.6) + 0.2 * share,
         std::string(in_file ? "the file holds placeholders" : "the model holds placeholders") +
             " instead of tensors: shape " + base::shape_text(in_file ? *found[0].have : *found[0].want),
         "ZeRO-3 and FSDP spread each parameter over the ranks and leave an empty one in its place; "
         "saving or loading without gathering sees only that",
         {part_text(found.size(), rows.mismatched.size(), "mismatched key") + " are without content on that side"},
         {in_file ? "gather before saving: stage3_gather_16bit_weights_on_model_save, or zero_to_fp32.py on the shards"
                  : "load before the model is partitioned, or inside deepspeed.zero.GatheredParameters"}});
    tell_mismatched(found, finding);
    picture_of({}, {}, found, finding.cause);
    return finding;
  }
  return std::nullopt;
}

/// One flat axis on one side, and as many elements in total or an even part of them.
bool is_flattened(const OpenPair& row) {
  const bool is_flat = (row.have->size() == 1) != (row.want->size() == 1);
  const std::int64_t a = element_count(*row.have), b = element_count(*row.want);
  const std::int64_t less = std::min(a, b), more = std::max(a, b);
  return is_flat && less > 1'000 && more % less == 0 && more / less <= 1'024;
}

/// Split over ranks: one axis by a power of two, rows in some layers and columns in others, while vectors of whole
/// layers agree.
bool is_cut_in_parts(const OpenPair& row, std::int64_t parts) {
  constexpr std::int64_t kLeastWidth = 128;  // of a part; an adapter's rank is less
  const auto axis = only_axis(*row.have, *row.want);
  return axis && row.have->size() <= 2 && !leaf_of(row.name).starts_with("running_") &&
         std::min((*row.have)[*axis], (*row.want)[*axis]) >= kLeastWidth &&
         (scaled_by(*row.have, *row.want, parts, 1) || scaled_by(*row.want, *row.have, parts, 1));
}

std::vector<OpenPair> parts_of_ranks(const std::vector<OpenPair>& pairs) {
  constexpr std::size_t kLeast = 3;
  if (pairs.size() < kLeast) return {};
  for (const std::int64_t parts : {2, 4, 8, 16}) {
    bool rows = false, columns = false;
    for (const OpenPair& row : pairs) {
      if (!is_cut_in_parts(row, parts)) {
        rows = columns = false;
        break;
      }
      (only_axis(*row.have, *row.want) == std::size_t{0} ? rows : columns) = true;
    }
    if (rows && columns) return pairs;
  }
  return {};
}

/// As many elements with one axis cut and the other one whole: split along rows here, along columns there.
bool is_cut_otherwise(const OpenPair& row) {
  constexpr std::int64_t kLeastWidth = 128;
  if (row.have->size() != 2 || row.want->size() != 2 || element_count(*row.have) != element_count(*row.want))
    return false;
  const auto [less, more] = std::minmax({(*row.have)[0], (*row.want)[0]});
  const bool is_turned = (*row.have)[0] == (*row.want)[1];
  return !is_turned && less >= kLeastWidth && (less * 2 == more || less * 4 == more || less * 8 == more);
}

/// A table of tokens is padded to a multiple before it is split: a half or a quarter but for the padding. Without any,
/// it may as well be another vocabulary.
bool is_cut_table(const OpenPair& row) {
  constexpr std::int64_t kLeastRows = 8'192, kUnit = 64, kMostPadding = 128;
  if (row.have->size() != 2 || only_axis(*row.have, *row.want) != std::size_t{0}) return false;
  const auto [part, whole] = std::minmax({(*row.have)[0], (*row.want)[0]});
  if (part < kLeastRows || part % kUnit != 0 || whole % kUnit != 0) return false;
  const auto is_padding = [](std::int64_t rest) { return rest != 0 && std::abs(rest) <= kMostPadding; };
  return is_padding(part * 2 - whole) || is_padding(part * 4 - whole);
}

/// A square layer within a block, one axis of it cut by a power of two: no option of a network makes that.
bool is_cut_square(const OpenPair& row) {
  const auto axis = only_axis(*row.have, *row.want);
  if (!axis || row.have->size() != 2) return false;
  const auto [part, whole] = std::minmax({(*row.have)[*axis], (*row.want)[*axis]});
  const bool is_part = part * 2 == whole || part * 4 == whole || part * 8 == whole || part * 16 == whole;
  return is_part && whole == (*row.have)[1 - *axis] && whole >= 512 &&
         template_of(row.name).find(".#.") != std::string::npos;
}

std::optional<Finding> from_parts(const Case& facts, const OpenRows& rows) {
  auto found = rows_where(rows.mismatched, is_flattened);
  const bool is_flat = !found.empty();
  if (!is_flat) found = parts_of_ranks(rows.mismatched);
  for (const auto is_cut : {is_cut_otherwise, is_cut_table, is_cut_square})
    if (found.empty()) found = rows_where(rows.mismatched, is_cut);
  if (found.empty()) return std::nullopt;
  Finding finding =
      say(facts, {(is_flat ? 0.6 : 0.4) + 0.25 * share_of(found.size(), rows.mismatched.size()),
                  is_flat ? "one side holds tensors flattened, as sharded training does"
                          : "one side holds an even part of every tensor, as tensor parallelism splits them",
                  "FSDP joins parameters into flat ones; tensor parallelism gives each rank some rows of one layer and "
                  "some columns of the next",
                  {part_text(found.size(), rows.mismatched.size(), "mismatched key") +
                   (is_flat ? " have one axis on one side and equal or even parts of the elements"
                            : " differ by one power of two, along rows or columns")},
                  {"gather the shards into a full state dict first, or load with as many ranks as saved"}});
  tell_mismatched(found, finding);
  picture_of({}, {}, found, finding.cause);
  return finding;
}

std::optional<Finding> from_names(const Case& facts, const OpenRows& rows) {
  const auto is_shard = [](const OpenName& row) { return family_of(row.name) == Family::Shard; };
  const auto missing = rows_where(rows.missing, is_shard), unexpected = rows_where(rows.unexpected, is_shard);
  if (missing.empty() && unexpected.empty()) return std::nullopt;
  const bool in_file = !unexpected.empty();
  Finding finding = say(
      facts,
      {0.75 + 0.2 * share_of(missing.size() + unexpected.size(), rows.size()),
       std::string(in_file ? "the file" : "the model") + " has the flattened or wrapped parameters of sharded training",
       "FSDP joins a module's parameters into one flat tensor, and names its wrapper in every key",
       {base::plural(missing.size() + unexpected.size(), "key") + " named by FSDP"},
       {"save with a full state dict: StateDictType.FULL_STATE_DICT"}});
  tell_missing(missing, finding);
  tell_unexpected(unexpected, finding);
  picture_of(missing, unexpected, {}, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_sharded_distributed(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  if (auto finding = from_shapes(facts, rows)) return finding;
  if (facts.knowledge == Knowledge::Partial)
    if (auto finding = from_parts(facts, rows)) return finding;
  if (auto finding = from_names(facts, rows)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
