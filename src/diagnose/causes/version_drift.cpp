// version_drift: the same model in another release of a library: buffers that came or went, names that a release changed.
//
//   num_batches_tracked   since PyTorch 0.4.1          position_ids, masked_bias, inv_freq   constants of transformers
//   gamma, beta           weight, bias                 weight_g, weight_v                    parametrizations.weight.original0, 1
//   relative_position_index, attn_mask, relative_coords_table   derived from sizes
//   downsample of stage i  of stage i + 1: the same tensors one index on, twice as wide
#include <algorithm>
#include <set>

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

constexpr std::string_view kReleases = "install the release that saved it, or convert the names and buffers";
constexpr Reading kReadings[] = {
    {Symptom::RunningStats, 0.85, "the file is from before PyTorch 0.4, whose InstanceNorm kept running statistics",
     "InstanceNorm has no running statistics by default since 0.4", "leave these keys out of the file"},
    {Symptom::ForeignAttribute, 0.75, "an object of another release lacks an attribute: `%`",
     "a pickled module keeps the attributes of the release that saved it", "save the state dict with the old release, and load it into a new model"},
    {Symptom::UnknownArgument, 0.72, "a constructor's options are those of another release: `%`",
     "a description names options that the class does not have here, or lacks one", kReleases},
    {Symptom::OldKeras, 0.6, "the libraries that wrote and read it are of other ages", "h5py 3 and Keras changed what attributes hold", kReleases},
    {Symptom::OldPickle, 0.4, "another release of Python or a library wrote it", "pickles carry the names of their time", kReleases},
    {Symptom::KerasFormat, 0.4, "Keras's formats changed between releases", "Keras 3 left formats of Keras 2", kReleases},
    {Symptom::NoKernel, 0.3, "the release may not know this dtype", "new dtypes need a new release", kReleases},
};

bool is_constant_bias(std::string_view name, const std::set<std::string_view>& masked) {
  return leaf_of(name) == "bias" && masked.count(module_of(name)) > 0;
}

bool is_drift(Family family) {
  return family == Family::BatchCounter || family == Family::Derived || family == Family::NormNames || family == Family::WeightNorm;
}

/// Rows whose families a release adds or takes away. `attn.bias` beside `attn.masked_bias` is a mask, not a bias.
std::vector<OpenName> drifting(const std::vector<OpenName>& rows) {
  std::set<std::string_view> masked;
  for (const OpenName& row : rows)
    if (leaf_of(row.name) == "masked_bias") masked.insert(module_of(row.name));
  return rows_where(rows, [&](const OpenName& row) { return is_drift(family_of(row.name)) || is_constant_bias(row.name, masked); });
}

bool is_harmless(const OpenName& row) {
  const Family family = family_of(row.name);
  return family == Family::BatchCounter || family == Family::Derived || leaf_of(row.name) == "bias";
}

/// LayerNorm.gamma against LayerNorm.weight; parametrizations against weight_g: the counterparts under the other names.
std::vector<OpenName> counterparts(const std::vector<OpenName>& rows, const std::vector<OpenName>& drifted) {
  std::set<std::string> modules;
  for (const OpenName& row : drifted) {
    if (is_harmless(row)) continue;
    std::string module(module_of(row.name));
    const auto mark = module.find(".parametrizations");
    modules.insert(module.substr(0, mark));
  }
  return rows_where(rows, [&](const OpenName& row) {
    return !is_drift(family_of(row.name)) && modules.count(std::string(module_of(row.name))) > 0;
  });
}

Finding finding_of(const Case& facts, const OpenRows& rows, std::vector<OpenName> missing, std::vector<OpenName> unexpected) {
  const std::size_t found = missing.size() + unexpected.size();
  const bool harmless = std::all_of(missing.begin(), missing.end(), is_harmless) && std::all_of(unexpected.begin(), unexpected.end(), is_harmless);
  std::set<std::string> leaves;
  for (const auto* side : {&missing, &unexpected})
    for (const OpenName& row : *side) leaves.insert(std::string(leaf_of(row.name)));
  Finding finding = say(facts, {0.5 + 0.45 * share_of(found, rows.size()),
                                std::string(unexpected.empty() ? "the model has" : "the checkpoint has") + " names of another release: " +
                                    list_text({leaves.begin(), leaves.end()}),
                                harmless ? "libraries add and take away buffers that hold no learned values" : "libraries rename what a normalisation keeps",
                                {base::plural(found, "key") + " of " + base::count_text(rows.size()) + " that do not fit"},
                                {}});
  if (harmless) {
    finding.ops = drop_rows(facts, unexpected, Applicability::Exact);
    for (Op& op : keep_rows(facts, missing, Applicability::Exact)) finding.ops.push_back(std::move(op));
    finding.cause.notes = {"harmless: no learned value is in them"};
    finding.cause.keys = found;
  } else {
    finding.cause.help = {std::string(kReleases)};
    const auto others = counterparts(unexpected.empty() ? rows.unexpected : rows.missing, unexpected.empty() ? missing : unexpected);
    (unexpected.empty() ? unexpected : missing).insert((unexpected.empty() ? unexpected : missing).end(), others.begin(), others.end());
    tell_missing(missing, finding);
    tell_unexpected(unexpected, finding);
  }
  picture_of(missing, unexpected, {}, finding.cause);
  return finding;
}

/// InstanceNorm's statistics, on one side only and nothing else of the module.
std::vector<OpenName> lone_statistics(const std::vector<OpenName>& rows) {
  auto found = rows_where(rows, [](const OpenName& row) { return family_of(row.name) == Family::NormStatistics; });
  return found.size() == rows.size() ? found : std::vector<OpenName>();
}

/// A tensor of one stage is twice (or half) as large as wanted, along all axes that differ, in a downsampling layer.
std::optional<Finding> shifted_stage(const Case& facts, const OpenRows& rows) {
  const auto shifted = rows_where(rows.mismatched, [](const OpenPair& row) {
    const bool is_between = row.name.find("downsample") != std::string_view::npos || row.name.find("merging") != std::string_view::npos;
    return is_between && (scaled_by(*row.want, *row.have, 2, 1) || scaled_by(*row.have, *row.want, 2, 1));
  });
  if (shifted.empty() || shifted.size() * 2 < rows.mismatched.size()) return std::nullopt;
  Finding finding = say(facts, {0.8, "layers between stages stand one index further on: " + list_text(names_of_rows(shifted)),
                                "a release moved the downsampling from the end of a stage to the start of the next; widths then differ by 2 exactly",
                                {part_text(shifted.size(), rows.mismatched.size(), "mismatched key") + " differ by the factor 2"},
                                {"install the release that saved it, or move the layers by one index"}});
  tell_mismatched(shifted, finding);
  picture_of({}, {}, shifted, finding.cause);
  return finding;
}

/// Adapters' factors of three axes, or with twice the rank: the grouped form of old releases.
std::optional<Finding> grouped_adapter(const Case& facts, const OpenRows& rows) {
  const auto old_form = rows_where(rows.mismatched, [](const OpenPair& row) {
    return family_of(row.name) == Family::Adapter && row.have->size() != row.want->size();
  });
  if (old_form.empty()) return std::nullopt;
  Finding finding = say(facts, {0.6, "the adapter's factors have the form of another release", "releases changed how the factors of a fused layer are kept",
                                {base::plural(old_form.size(), "key") + " with another number of axes"}, {std::string(kReleases)}});
  finding.cause.keys = old_form.size();
  picture_of({}, {}, old_form, finding.cause);
  return finding;
}

}  // namespace

std::optional<Finding> find_version_drift(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  auto missing = drifting(rows.missing), unexpected = drifting(rows.unexpected);
  if (unexpected.empty() && rows.missing.empty()) unexpected = lone_statistics(rows.unexpected);
  if (!missing.empty() || !unexpected.empty()) return finding_of(facts, rows, std::move(missing), std::move(unexpected));
  if (auto finding = shifted_stage(facts, rows)) return finding;
  if (auto finding = grouped_adapter(facts, rows)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
