// vocab_changed: a table of tokens, symbols, speakers or classes has other rows.
//
//   embed_tokens.weight [32001, 4096] against [32000, 4096], lm_head.weight alike
#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

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

bool has_other_rows(const OpenPair& row) {
  return !row.have->empty() && only_axis(*row.have, *row.want) == std::size_t{0};
}

std::int64_t rows_of(const OpenPair& row) { return (*row.have)[0]; }

/// `class_embed`, `bbox_embed`: detectors with queries call their heads so.
bool is_query_head(std::string_view module) {
  return module.find("class_embed") != std::string_view::npos && module.find("embedding") == std::string_view::npos;
}

/// The only tensor that differs, two axes with other rows and no bias beside it, thousands of them: a layer would have
/// shown its bias, too.
bool is_lone_table(const std::vector<OpenPair>& rows, const OpenPair& row) {
  constexpr std::int64_t kLeastRows = 2'000, kMostWidth = 1'024;
  return rows.size() == 1 && row.have->size() == 2 && has_other_rows(row) && leaf_of(row.name) == "weight" &&
         std::max(row.have->front(), row.want->front()) >= kLeastRows && (*row.have)[1] <= kMostWidth;
}

bool is_table(const OpenPair& row) {
  const bool is_one_hot = row.have->size() == 2 && row.want->size() == 2 && (*row.have)[0] == (*row.have)[1] &&
                          (*row.want)[0] == (*row.want)[1];  // each symbol is its own vector
  return row.have->size() == 2 && (has_other_rows(row) || is_one_hot) && is_called_embedding(module_of(row.name)) &&
         !is_position_table(row.name) && !is_query_head(module_of(row.name));
}

using RowPairs = std::set<std::pair<std::int64_t, std::int64_t>>;

std::pair<std::int64_t, std::int64_t> row_pair(const OpenPair& row) { return {row.have->front(), row.want->front()}; }

/// Output layers over the same rows: `lm_head.weight`, `decoder.bias`; layers that take one number for each symbol.
bool follows(const OpenPair& row, const RowPairs& of_tables) {
  for (std::size_t axis = 0; axis < std::min(row.have->size(), row.want->size()); ++axis)
    if (of_tables.count({(*row.have)[axis], (*row.want)[axis]}) > 0) return true;
  return false;
}

/// An output layer over a vocabulary without the table beside it (tied, or cut off): thousands of rows.
bool is_vocabulary_output(const OpenPair& row) {
  constexpr std::int64_t kLeastTokens = 3'000, kLeastOfBare = 20'000;
  const bool is_bare = row.name == "weight" && row.have->size() == 2 && rows_of(row) >= kLeastOfBare;  // no layer told
  return has_other_rows(row) && (is_tied_name(row.name) || is_bare) &&
         std::min(rows_of(row), row.want->front()) >= kLeastTokens;
}

constexpr Reading kReadings[] = {
    {Symptom::VocabularySize, 0.75, "the tokenizer and the model's tables are of other sizes",
     "tokens were added, or the tokenizer is another model's", "use the saved tokenizer, or resize the tables"},
    {Symptom::EmptyIndex, 0.55, "an index goes beyond a table of tokens or classes",
     "the tokenizer, or the data, has more of them than the table has rows",
     "compare the tokenizer's length with the table's rows, and resize the table"},
};

}  // namespace

std::optional<Finding> find_vocab_changed(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  std::set<std::string_view> with_bias;  // a layer: no table has a bias
  for (const OpenPair& row : rows.mismatched)
    if (leaf_of(row.name) == "bias") with_bias.insert(module_of(row.name));
  const auto tables = rows_where(rows.mismatched, [&](const OpenPair& row) {
    return (is_table(row) && with_bias.count(module_of(row.name)) == 0) || is_vocabulary_output(row) ||
           (facts.knowledge == Knowledge::Partial && is_lone_table(rows.mismatched, row));
  });
  if (tables.empty()) return read_sightings(facts, kReadings);
  RowPairs of_tables;
  for (const OpenPair& table : tables) of_tables.insert(row_pair(table));
  const auto found = rows_where(rows.mismatched, [&](const OpenPair& row) { return follows(row, of_tables); });
  const std::int64_t from = rows_of(tables.front()), to = tables.front().want->front();
  const double share = share_of(found.size(), rows.mismatched.size());
  Finding finding =
      say(facts,
          {0.5 + 0.42 * share,
           "a table of tokens or classes has " + base::count_text(static_cast<std::uint64_t>(from)) +
               " rows in the checkpoint, " + base::count_text(static_cast<std::uint64_t>(to)) + " in the model",
           "the tokenizer, the symbol set or the number of classes is another; the other rows mean the same only if "
           "the order was kept",
           {part_text(found.size(), rows.mismatched.size(), "mismatched key") + " differ by the same rows, " +
            base::count_text(static_cast<std::uint64_t>(std::llabs(to - from))) + " of them"},
           {"use the tokenizer that belongs to the checkpoint, or resize the tables: model.resize_token_embeddings(" +
            std::to_string(from) + ")"}});
  tell_mismatched(found, finding);
  picture_of({}, {}, found, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
