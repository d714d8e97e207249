// version_drift: the same model in another release of a library: buffers that came or went, names that a release
// changed.
//
//   num_batches_tracked   since PyTorch 0.4.1          position_ids, masked_bias, inv_freq   constants of transformers
//   gamma, beta           weight, bias                 weight_g, weight_v parametrizations.weight.original0, 1
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
     "a pickled module keeps the attributes of the release that saved it",
     "save the state dict with the old release, and load it into a new model"},
    {Symptom::ModuleAttribute, 0.74, "a library is of another release than the code that calls it: `%`",
     "functions come and go with releases", "install the release that the code was written for"},
    {Symptom::AxesOfOne, 0.5, "a release may keep these axes in another way",
     "libraries changed with which axes they keep vectors", kReleases},
    {Symptom::UnknownArgument, 0.72, "a constructor's options are those of another release: `%`",
     "a description names options that the class does not have here, or lacks one", kReleases},
    {Symptom::OldKeras, 0.6, "the libraries that wrote and read it are of other ages",
     "h5py 3 and Keras changed what attributes hold", kReleases},
    {Symptom::OldPickle, 0.4, "another release of Python or a library wrote it",
     "pickles carry the names of their time", kReleases},
    {Symptom::KerasFormat, 0.4, "Keras's formats changed between releases", "Keras 3 left formats of Keras 2",
     kReleases},
    {Symptom::DictNotModule, 0.35,
     "the program and the file may be of two ages: one saved modules, the other saves dicts",
     "projects change what they save", kReleases},
    {Symptom::TensorCount, 0.74, "the reader is of another release than the file: it knows other tensors",
     "releases add tensors to a kind of model, and readers count them",
     "update the reader, or convert the file anew with the release that reads it"},
    {Symptom::LayerOfOldName, 0.78, "the file calls its layers as Keras 1 did: %",
     "Keras 2 changed the names, the order and the number of weights of layers", kReleases},
    {Symptom::LayerOfOneKind, 0.6, "a layer keeps another number of weights than in the release that saved it: %",
     "releases of layers and of projects add weights to a layer", kReleases},
    {Symptom::LayerCount, 0.33, "the file may be of another release, which counted layers in another way",
     "wrappers and nested models were flattened differently", kReleases},
    {Symptom::UnsafePickle, 0.3, "since PyTorch 2.6 torch.load loads weights only",
     "the default changed; files that loaded before are refused", kReleases},
    {Symptom::AbsentClass, 0.3, "the class may have moved or come with another release",
     "pickles and descriptions name classes as one release calls them", kReleases},
    {Symptom::AbsentModule, 0.25, "the module may have moved with a release",
     "pickles name modules as one release calls them", kReleases},
    {Symptom::AbsentDevice, 0.25, "a release may not know this device's tag", "tags of new devices need a new release",
     kReleases},
    {Symptom::NoKernel, 0.3, "the release may not know this dtype", "new dtypes need a new release", kReleases},
};

bool is_constant_bias(std::string_view name, const std::set<std::string_view>& masked) {
  return leaf_of(name) == "bias" && masked.count(module_of(name)) > 0;
}

bool is_drift(Family family) {
  return family == Family::BatchCounter || family == Family::Derived || family == Family::NormNames ||
         family == Family::WeightNorm;
}

/// The layer that a normalised weight is of: `conv` of `conv.weight_g` and of `conv.parametrizations.weight.original0`.
std::string_view normalised_layer(std::string_view name) {
  const auto mark = name.find(".parametrizations.");
  return mark == std::string_view::npos ? module_of(name) : name.substr(0, mark);
}

/// Rows whose families a release adds or takes away. `attn.bias` beside `attn.masked_bias` is a mask, not a bias.
std::vector<OpenName> drifting(const std::vector<OpenName>& rows) {
  std::set<std::string_view> masked;
  for (const OpenName& row : rows)
    if (leaf_of(row.name) == "masked_bias") masked.insert(module_of(row.name));
  return rows_where(
      rows, [&](const OpenName& row) { return is_drift(family_of(row.name)) || is_constant_bias(row.name, masked); });
}

/// All that drifted is of layers that lack their plain tensors, too: they are not there at all, and no release has
/// split their weights.
bool are_of_absent_layers(const std::vector<OpenName>& drifted, const std::vector<OpenName>& rows) {
  std::set<std::string_view> absent;
  for (const OpenName& row : rows)
    if (leaf_of(row.name) == "bias" || leaf_of(row.name) == "weight") absent.insert(module_of(row.name));
  return !drifted.empty() && std::all_of(drifted.begin(), drifted.end(), [&](const OpenName& row) {
    return family_of(row.name) == Family::WeightNorm && absent.count(normalised_layer(row.name)) > 0;
  });
}

bool is_harmless(const OpenName& row) {
  const Family family = family_of(row.name);
  return family == Family::BatchCounter || family == Family::Derived || leaf_of(row.name) == "bias";
}

/// A leaf that both sides lack under different paths is renamed with its module, not come or gone. With two whole
/// listings the module must be there on the other side: a counter goes with its module otherwise.
std::vector<OpenName> came_or_went(const Case& facts, const std::vector<OpenName>& rows,
                                   const std::vector<OpenName>& others, bool in_file) {
  std::set<std::string> leaves, modules;
  for (const OpenName& row : others) leaves.insert(template_of(leaf_of(row.name)));
  if (facts.knowledge == Knowledge::Whole) {
    if (in_file)
      for (const TensorSpec& spec : facts.target.tensors) modules.insert(std::string(module_of(spec.name)));
    else
      for (const Planned& tensor : facts.state.tensors()) modules.insert(std::string(module_of(tensor.spec.name)));
  }
  return rows_where(rows, [&](const OpenName& row) {
    const bool is_name = !is_harmless(row);
    if (facts.knowledge == Knowledge::Whole && modules.count(std::string(module_of(row.name))) == 0) return false;
    return is_name || leaves.count(template_of(leaf_of(row.name))) == 0;
  });
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

/// Further buffers of normalisations whose counters came: another implementation of the same layer keeps more.
void take_siblings(const std::vector<OpenName>& rows, std::vector<OpenName>& drifted) {
  std::set<std::string_view> modules;
  for (const OpenName& row : drifted)
    if (is_batch_counter(row.name)) modules.insert(module_of(row.name));
  for (const OpenName& row : rows)
    if (modules.count(module_of(row.name)) > 0 && !is_plain_leaf(leaf_of(row.name)) && !is_drift(family_of(row.name)))
      drifted.push_back(row);
}

Finding finding_of(const Case& facts, const OpenRows& rows, std::vector<OpenName> missing,
                   std::vector<OpenName> unexpected) {
  const std::size_t found = missing.size() + unexpected.size();
  const bool harmless = std::all_of(missing.begin(), missing.end(), is_harmless) &&
                        std::all_of(unexpected.begin(), unexpected.end(), is_harmless);
  std::set<std::string> leaves;
  for (const auto* side : {&missing, &unexpected})
    for (const OpenName& row : *side) leaves.insert(std::string(leaf_of(row.name)));
  const bool is_faint = facts.knowledge == Knowledge::Partial && unexpected.empty() && rows.unexpected.empty() &&
                        are_of_absent_layers(missing, rows.missing);
  Finding finding =
      say(facts, {is_faint ? 0.36 : 0.5 + 0.45 * share_of(found, rows.size()),
                  std::string(unexpected.empty() ? "the model has" : "the checkpoint has") +
                      " names of another release: " + list_text({leaves.begin(), leaves.end()}),
                  harmless ? "libraries add and take away buffers that hold no learned values"
                           : "libraries rename what a normalisation keeps",
                  {base::plural(found, "key") + " of " + base::count_text(rows.size()) + " that do not fit"},
                  {}});
  if (harmless) {
    finding.ops = drop_rows(facts, unexpected, Applicability::Exact);
    for (Op& op : keep_rows(facts, missing, Applicability::Exact)) finding.ops.push_back(std::move(op));
    if (unexpected.empty()) finding.cause.notes = {"harmless: no learned value is in them"};
    finding.cause.keys = found;
  } else {
    finding.cause.help = {std::string(kReleases)};
    const auto others =
        counterparts(unexpected.empty() ? rows.unexpected : rows.missing, unexpected.empty() ? missing : unexpected);
    (unexpected.empty() ? unexpected : missing)
        .insert((unexpected.empty() ? unexpected : missing).end(), others.begin(), others.end());
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
    const bool is_between =
        row.name.find("downsample") != std::string_view::npos || row.name.find("merging") != std::string_view::npos;
    return is_between && (scaled_by(*row.want, *row.have, 2, 1) || scaled_by(*row.have, *row.want, 2, 1));
  });
  if (shifted.empty() || shifted.size() * 2 < rows.mismatched.size()) return std::nullopt;
  Finding finding =
      say(facts, {0.8,
                  "layers between stages stand one index further on: " + list_text(names_of_rows(shifted)),
                  "a release moved the downsampling from the end of a stage to the start of the next; widths then "
                  "differ by 2 exactly",
                  {part_text(shifted.size(), rows.mismatched.size(), "mismatched key") + " differ by the factor 2"},
                  {"install the release that saved it, or move the layers by one index"}});
  tell_mismatched(shifted, finding);
  picture_of({}, {}, shifted, finding.cause);
  return finding;
}

/// `layers.3.downsample.` here, `layers.0.downsample.` there: layers between stages are counted with the stage before
/// or behind them. The same tensors, one index on; those of the stages in the middle have names on both sides.
std::optional<Finding> moved_between_stages(const Case& facts, const OpenRows& rows) {
  const auto is_between = [](const OpenName& row) {
    return row.name.find("downsample.") != std::string_view::npos ||
           row.name.find("merging.") != std::string_view::npos || row.name.find("upsample.") != std::string_view::npos;
  };
  const auto missing = rows_where(rows.missing, is_between), unexpected = rows_where(rows.unexpected, is_between);
  std::set<std::string> forms, names;
  for (const OpenName& row : unexpected) {
    forms.insert(template_of(row.name));
    names.insert(std::string(row.name));
  }
  const auto moved = rows_where(missing, [&](const OpenName& row) { return forms.count(template_of(row.name)) > 0; });
  // Of a list that was cut after its first name, one is all that can be seen.
  const bool is_cut = facts.knowledge == Knowledge::Partial && unexpected.size() == 1 && moved.size() == 1;
  if (!is_cut && (moved.size() < 2 || moved.size() * 2 < missing.size())) return std::nullopt;
  Finding finding = say(facts, {0.85,
                                "layers between stages stand at other indexes: " + list_text(names_of_rows(moved)),
                                "a release moved the downsampling from the end of a stage to the start of the next",
                                {part_text(moved.size(), rows.missing.size(), "missing key") +
                                 " are of layers between stages, and unexpected under other indexes"},
                                {"install the release that saved it, or move the layers by one index"}});
  finding.cause.keys = rows.size();
  picture_of(moved, unexpected, {}, finding.cause);
  return finding;
}

/// Adapters' factors of three axes, or with twice the rank: the grouped form of old releases.
std::optional<Finding> grouped_adapter(const Case& facts, const OpenRows& rows) {
  const auto old_form = rows_where(rows.mismatched, [](const OpenPair& row) {
    return family_of(row.name) == Family::Adapter && row.have->size() != row.want->size();
  });
  if (old_form.empty()) return std::nullopt;
  Finding finding = say(facts, {0.6,
                                "the adapter's factors have the form of another release",
                                "releases changed how the factors of a fused layer are kept",
                                {base::plural(old_form.size(), "key") + " with another number of axes"},
                                {std::string(kReleases)}});
  finding.cause.keys = old_form.size();
  picture_of({}, {}, old_form, finding.cause);
  return finding;
}

/// A class or module of the framework itself is absent: that is its release, not someone's source.
std::optional<Finding> librarys_own_class(const Case& facts) {
  if (facts.text == nullptr) return std::nullopt;
  constexpr std::string_view kMarks[] = {
      "<module 'torch", "torch.",  "numpy",    "transformers.", "timm.",      "torchvision",      "keras.",
      "tensorflow.",    "pandas.", "sklearn.", "mmcv",          "diffusers.", "pytorch_lightning"};
  for (const Symptom symptom : {Symptom::AbsentClass, Symptom::AbsentModule}) {
    const Sighting* seen = facts.text->find(symptom);
    if (seen == nullptr) continue;
    const std::string words = seen->detail + " " + seen->excerpt;
    const bool is_own = std::any_of(std::begin(kMarks), std::end(kMarks),
                                    [&](std::string_view mark) { return words.find(mark) != std::string::npos; });
    if (!is_own) continue;
    return say(facts, {0.6,
                       "the framework here has no such name: another release wrote the file",
                       "classes and modules move between releases",
                       {seen->excerpt},
                       {std::string(kReleases)}});
  }
  return std::nullopt;
}

/// Numbered children of a normalisation or convolution: `norm.1`, `conv.2`, as libraries named them before names with
/// dots were forbidden.
bool is_dotted_number(const OpenName& row) {
  const std::string_view module = module_of(row.name), owner = leaf_of(module_of(module));
  const std::string_view index = leaf_of(module);
  return (index == "1" || index == "2") && (owner == "norm" || owner == "conv") &&
         row.name.find("layer") != std::string_view::npos;
}

/// Adapter libraries renamed their levels and added leaves from release to release: what adapters lack may be that.
double beside_adapters(const Case& facts) {
  const auto is_adapter = [](std::string_view name) { return family_of(name) == Family::Adapter; };
  const auto& gap = facts.gap;
  const bool has = std::any_of(gap.missing.begin(), gap.missing.end(),
                               [&](std::size_t i) { return is_adapter(facts.want(i).name); }) ||
                   std::any_of(gap.unexpected.begin(), gap.unexpected.end(),
                               [&](std::size_t i) { return is_adapter(facts.have(i).name); });
  return has ? 0.4 : 0;
}

/// A few tensors in as many parts of the network, and never two of one layer: what a library's layers no longer use, or
/// use since another release. A part that was added has a layer's weight and bias, and stands in one place.
bool are_scattered(const std::vector<OpenName>& rows) {
  constexpr std::size_t kLeast = 3, kMost = 8;
  std::set<std::string_view> modules;
  for (const OpenName& row : rows) modules.insert(module_of(row.name));
  return rows.size() >= kLeast && rows.size() <= kMost && modules.size() == rows.size() &&
         first_levels(rows).size() >= kLeast && modules.count("") == 0;
}

/// What often is a release's doing, and may as well be another's: axes in another order, quantisation's buffers, a leaf
/// that is missing in every block.
std::optional<Finding> beside_another(const Case& facts, const OpenRows& rows) {
  if (facts.knowledge == Knowledge::Whole || (rows.empty() && beside_adapters(facts) == 0)) return std::nullopt;
  const auto quantised = [](const OpenName& row) { return family_of(row.name) == Family::Quantised; };
  const auto permuted = rows_where(rows.mismatched, [](const OpenPair& row) {
    return row.have->size() >= 4 && permutation(*row.have, *row.want).has_value();
  });
  const auto dotted = rows_where(rows.unexpected, is_dotted_number);
  // Weight and bias together are a layer, which another release seldom takes away; one leaf alone is its option.
  const auto is_one_leaf = [](const std::optional<std::string>& leaf) {
    return leaf && leaf->find(", ") == std::string::npos;
  };
  const bool has_leaf = (rows.unexpected.empty() && is_one_leaf(shared_leaf(rows.missing))) ||
                        (rows.missing.empty() && is_one_leaf(shared_leaf(rows.unexpected)));
  const bool has_quant = std::any_of(rows.unexpected.begin(), rows.unexpected.end(), quantised) ||
                         std::any_of(rows.missing.begin(), rows.missing.end(), quantised);
  const auto is_layer_norm = [](const OpenName& row) {
    return is_normalisation(module_of(row.name)) && (leaf_of(row.name) == "weight" || leaf_of(row.name) == "bias");
  };
  const auto& side = rows.missing.empty() ? rows.unexpected : rows.missing;
  const bool is_one_sided = rows.mismatched.empty() && (rows.missing.empty() || rows.unexpected.empty());
  constexpr std::size_t kLeastNorms = 4;
  const std::size_t norms = is_one_sided ? rows_where(side, is_layer_norm).size() : 0;
  const bool has_statistics = std::any_of(
      side.begin(), side.end(), [](const OpenName& row) { return family_of(row.name) == Family::NormStatistics; });
  const auto buffers =
      rows_where(rows.unexpected, [](const OpenName& row) { return !is_plain_leaf(leaf_of(row.name)); });
  double confidence = 0;
  if (is_one_sided && are_scattered(side)) confidence = 0.66;
  if (rows.missing.empty() && rows.mismatched.empty() && !buffers.empty() && buffers.size() == rows.unexpected.size())
    confidence = 0.5;
  if (norms >= kLeastNorms && norms * 2 >= side.size() && !has_statistics) confidence = 0.6;
  if (!permuted.empty()) confidence = 0.4;
  if (has_quant) confidence = 0.33;
  if (has_leaf && !has_quant) confidence = 0.45;
  if (dotted.size() * 2 > rows.size()) confidence = 0.55;
  if (confidence == 0) confidence = beside_adapters(facts);
  if (confidence == 0) return std::nullopt;
  Finding finding = say(facts, {confidence,
                                "another release of the library may keep these tensors in another way",
                                "releases add, rename and reorder what a layer keeps",
                                {base::plural(rows.empty() ? facts.gap.size() : rows.size(), "key") + " of one kind"},
                                {std::string(kReleases)}});
  finding.cause.keys = std::max<std::size_t>(rows.size(), 1);
  return finding;
}

}  // namespace

std::optional<Finding> find_version_drift(const Case& facts) {
  const OpenRows rows = open_rows(facts);
  auto missing = came_or_went(facts, drifting(rows.missing), rows.unexpected, false);
  auto unexpected = came_or_went(facts, drifting(rows.unexpected), rows.missing, true);
  if (unexpected.empty() && rows.missing.empty()) unexpected = lone_statistics(rows.unexpected);
  if (auto finding = moved_between_stages(facts, rows)) return finding;
  if (facts.knowledge == Knowledge::Partial) take_siblings(rows.unexpected, unexpected);
  if (!missing.empty() || !unexpected.empty())
    return finding_of(facts, rows, std::move(missing), std::move(unexpected));
  if (auto finding = shifted_stage(facts, rows)) return finding;
  if (auto finding = grouped_adapter(facts, rows)) return finding;
  if (auto finding = beside_another(facts, rows)) return finding;
  if (auto finding = librarys_own_class(facts)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
