// training_only_extras: the checkpoint (or the model) has parts that only training needs: averages, losses, critics, queues.
#include "base/text.hpp"
#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"
#include "diagnose/structure.hpp"

namespace tenon::diagnosis {
namespace {

bool is_extra(const OpenName& row) {
  const Family family = family_of(row.name);
  return family == Family::Copy || family == Family::Training;
}

/// Part of a pretraining head: a projector's layers behind a head's name.
bool is_projector(const OpenName& row) {
  const std::string_view top = first_level(row.name);
  const bool is_deep = row.name.find(".mlp.") != std::string_view::npos || row.name.find("last_layer") != std::string_view::npos;
  return is_deep && is_called_head(top);
}

}  // namespace

std::optional<Finding> find_training_only_extras(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  const auto unexpected = rows_where(rows.unexpected, [](const OpenName& row) { return is_extra(row) || is_projector(row); });
  const auto missing = rows_where(rows.missing, is_extra);
  if (unexpected.empty() && (missing.empty() || missing.size() < rows.missing.size())) return std::nullopt;
  const auto& named = unexpected.empty() ? missing : unexpected;
  Finding finding = say(facts, {(unexpected.empty() ? 0.4 : 0.5) + 0.42 * share_of(named.size(), rows.missing.size() + rows.unexpected.size()),
                                std::string(unexpected.empty() ? "the model has" : "the checkpoint has") + " parts that only training needs: " +
                                    list_text(first_levels(named)),
                                "training keeps averages, losses, critics and counters beside the model, often in one state dict",
                                {part_text(named.size(), rows.missing.size() + rows.unexpected.size(), "key") + " belong to them by name"},
                                {}});
  if (unexpected.empty()) {
    tell_missing(missing, finding);
    finding.cause.help = {"load without strict for inference; to go on training, save these parts as well"};
  } else {
    finding.ops = drop_rows(facts, unexpected, Applicability::Exact);
    finding.cause.keys = unexpected.size();
    finding.cause.notes = {"harmless for inference: leaving them out changes no output of the model"};
  }
  picture_of(unexpected.empty() ? missing : std::vector<OpenName>(), unexpected, {}, finding.cause);
  return finding;
}

}  // namespace tenon::diagnosis
