// training_only_extras: the checkpoint (or the model) has parts that only training needs: averages, losses, critics,
// queues.
#include <set>

#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

bool is_called_extra(std::string_view name) {
  const Family family = family_of(name);
  return family == Family::Copy || family == Family::Training;
}

/// The counters of an average's norms are a part of it, too.
bool is_extra(const OpenName& row) { return is_called_extra(row.name) || is_called_extra(module_of(row.name)); }

/// Part of a pretraining head: a projector's layers behind a head's name.
bool is_projector(const OpenName& row) {
  const std::string_view top = first_level(row.name);
  const bool is_deep =
      row.name.find(".mlp.") != std::string_view::npos || row.name.find("last_layer") != std::string_view::npos;
  return is_deep && is_called_head(top);
}

/// Pretraining that hides parts of the input has a token for them and a decoder that fills them in.
std::vector<OpenName> masked_pretraining(const std::vector<OpenName>& rows) {
  const bool has_token = std::any_of(rows.begin(), rows.end(), [](const OpenName& row) {
    return leaf_of(row.name) == "mask_token" || leaf_of(row.name) == "mask_emb";
  });
  if (!has_token) return {};
  return rows_where(rows, [](const OpenName& row) {
    return row.name.find("decoder") != std::string_view::npos || leaf_of(row.name).starts_with("mask_");
  });
}

/// A first level that is called an extra is left out whole; other rows by their names.
std::vector<Op> drop_parts(const Case& facts, const std::vector<OpenName>& rows) {
  if (facts.knowledge == Knowledge::Whole) return drop_rows(facts, rows, Applicability::Exact);
  std::vector<Op> ops;
  std::vector<OpenName> others;
  std::set<std::string_view> parts;
  for (const OpenName& row : rows) {
    const std::string_view level = first_level(row.name);
    const bool is_part = level.size() < row.name.size() && is_called_extra(level);
    if (!is_part)
      others.push_back(row);
    else if (parts.insert(level).second)
      ops.push_back({Drop{std::string(level) + ".*"}, Applicability::Exact});
  }
  for (Op& op : drop_rows(facts, others, Applicability::Exact)) ops.push_back(std::move(op));
  return readable(std::move(ops));
}

/// What a tool counted while the model ran, not a part of it.
bool are_counters(const std::vector<OpenName>& rows) {
  return std::all_of(rows.begin(), rows.end(), [](const OpenName& row) {
    const std::string_view leaf = leaf_of(row.name);
    return leaf == "total_ops" || leaf == "total_params" || leaf.find("counter") != std::string_view::npos;
  });
}

/// What the file has too much is an extra of its training. What the model alone has is first of all a part that the
/// file never had; only counters are nothing else.
double base_confidence(bool is_of_model, const std::vector<OpenName>& missing) {
  return !is_of_model || are_counters(missing) ? 0.5 : 0;
}

/// Only the checkpoint has a head: it was trained for a task that this use of the model does not need.
std::optional<Finding> unused_head(const Case& facts, const OpenRows& rows) {
  if (facts.knowledge == Knowledge::Whole || rows.unexpected.empty() || !rows.missing.empty() ||
      !rows.mismatched.empty())
    return std::nullopt;
  const auto heads = rows_where(rows.unexpected, [](const OpenName& row) {
    return is_called_head(row.name) && !is_extra(row) && !is_projector(row);
  });
  if (heads.size() != rows.unexpected.size()) return std::nullopt;
  Finding finding = say(
      facts, {facts.text != nullptr && facts.text->is_first_only ? 0.3 : 0.5,
              "the checkpoint has a head that this use of the model does not need: " + list_text(first_levels(heads)),
              "a backbone is loaded from a file that was trained with a head",
              {base::plural(heads.size(), "unexpected key") + ", all of a head"},
              {"harmless where only features are used: leave it out"}});
  finding.cause.keys = heads.size();
  return finding;
}

}  // namespace

std::optional<Finding> find_training_only_extras(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto decoder = masked_pretraining(rows.unexpected);
  const auto is_of_decoder = [&](const OpenName& row) {
    return std::any_of(decoder.begin(), decoder.end(), [&](const OpenName& other) { return other.index == row.index; });
  };
  const auto unexpected = rows_where(
      rows.unexpected, [&](const OpenName& row) { return is_extra(row) || is_projector(row) || is_of_decoder(row); });
  const auto missing = rows_where(rows.missing, is_extra);
  if (auto finding = unused_head(facts, rows)) return finding;
  if (unexpected.empty() && (missing.empty() || missing.size() < rows.missing.size())) return std::nullopt;
  const auto& named = unexpected.empty() ? missing : unexpected;
  Finding finding =
      say(facts,
          {base_confidence(unexpected.empty(), missing) +
               0.42 * share_of(named.size(), rows.missing.size() + rows.unexpected.size()),
           std::string(unexpected.empty() ? "the model has" : "the checkpoint has") +
               " parts that only training needs: " + list_text(first_levels(named)),
           "training keeps averages, losses, critics and counters beside the model, often in one state dict",
           {part_text(named.size(), rows.missing.size() + rows.unexpected.size(), "key") + " belong to them by name"},
           {}});
  if (unexpected.empty()) {
    tell_missing(missing, finding);
    if (facts.knowledge == Knowledge::Partial && !are_counters(missing))
      finding.told_want.clear();  // names do not tell whether inference needs the part: it may be new
    finding.cause.help = {"load without strict for inference; to go on training, save these parts as well"};
  } else {
    finding.ops = drop_parts(facts, unexpected);
    finding.cause.keys = unexpected.size();
  }
  picture_of(unexpected.empty() ? missing : std::vector<OpenName>(), unexpected, {}, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
