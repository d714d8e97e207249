// diagnose: says whether a checkpoint fits a target, and if not, why, with counted evidence and a plan that repairs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/error.hpp>
#include <tenon/export.hpp>
#include <tenon/listing.hpp>
#include <tenon/plan.hpp>

namespace tenon {

struct Mismatch {
  std::string key;
  Shape checkpoint;
  Shape model;
};

struct DTypeChange {
  std::string key;
  DType checkpoint = DType::Float32;
  DType model = DType::Float32;
  std::optional<CastLoss> loss;  ///< measured where the checkpoint's values are at hand
};

/// Missing, unexpected, mismatched: PyTorch's senses.
struct Difference {
  std::optional<std::uint64_t> matched;  ///< unknown when only a text is known
  std::vector<std::string> missing;      ///< the model wants it
  std::vector<std::string> unexpected;   ///< only the checkpoint has it
  std::vector<Mismatch> mismatched;      ///< shapes differ
  std::vector<DTypeChange> dtype_changes;
  std::vector<LayoutChange> layout_changes;  ///< harmless: never a reason not to fit

  bool names_and_shapes_fit() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
};

/// One line of the picture that a finding shows.
struct PictureRow {
  std::string checkpoint;
  std::string model;
  std::string note;  ///< `same`, a shape, `only here`
};

/// One layer, or one operation, on one side of a picture.
struct LayerCell {
  std::string name;   ///< path of the module; the operation's name where none of its own ran it
  std::string layer;  ///< `Conv2d(16, 32, 3)`
  std::string shape;  ///< of what it gives, or what reaches it: `[25, 32, 5, 5]`, `gets 128 features`; "" if not known
};

/// A changed layer or one beside it, as both sides have it.
struct LayerRow {
  enum class Mark : std::uint8_t { Same, Added, Removed, Changed };
  Mark mark = Mark::Same;
  LayerCell checkpoint, model;  ///< empty where a side has none
};

/// Error: it keeps the checkpoint from fitting. Warning: it loads, and values change. Note: worth knowing, no harm.
enum class Severity : std::uint8_t { Error, Warning, Note };

struct Cause {
  std::string id;  ///< from the list of causes: `wrapper_prefix`, ...
  Severity severity = Severity::Error;
  double confidence = 0;  ///< 0..1, computed from the evidence
  std::string summary;    ///< what: one line, lower case, no full stop, true on its own
  std::string place;      ///< where: file, state dict, count
  std::string why;
  std::vector<std::string> evidence;  ///< counted
  std::vector<std::string> notes;
  std::vector<PictureRow> picture;  ///< at most a handful; `keys` says how many there are
  std::vector<LayerRow> layers;     ///< instead of `picture` where layers or operations differ
  std::uint64_t keys = 0;           ///< how many keys it explains
  std::vector<std::size_t> ops;     ///< indexes into plan.ops
  std::vector<std::string> help;    ///< what a person can do beside or instead of the plan
};

/// The origin of one target tensor.
struct Mapped {
  std::string to;
  std::vector<std::string> from;
  std::string how;  ///< `identical`, `rename`, ...
  double confidence = 0;
  bool apply = false;  ///< false: offered, not sure enough to be done unasked
};

struct ModuleCoverage {
  std::string module;
  double parameters = 0;
};
struct Coverage {
  double tensors = 0;
  double parameters = 0;
  std::vector<ModuleCoverage> by_module;  ///< first level of the names
};

/// Whether the model computes the same without what an operation leaves out.
enum class Harm : std::uint8_t { Harmless, Harmful };

struct DropVerdict {
  std::size_t op = 0;  ///< index into plan.ops
  Harm harm = Harm::Harmful;
  std::uint64_t tensors = 0, parameters = 0;  ///< left out; parameters are 0 where no shape is known
  std::string why;                            ///< one clause: what decided
};

/// Another file of the checkpoint's folder that suits the target better.
struct Neighbour {
  std::string file;
  double tensors = 0, parameters = 0;  ///< shares of the target's that it fills, by name and shape, after its own plan
};

enum class Proved : std::uint8_t { Nothing, Shapes, Architecture, Function };

/// How many differences a plan resolves and leaves.
struct Balance {
  std::uint64_t missing = 0, unexpected = 0, mismatched = 0;
};

struct Report {
  std::string checkpoint_label, target_label;
  std::optional<bool> fits;  ///< unknown only when nothing but a text without keys is known
  Proved proved = Proved::Nothing;
  Difference difference;
  std::vector<ArchitectureChange> architecture;  ///< what the blueprints tell, under the model's names
  std::vector<EnvironmentChange> environment;    ///< differences that matter
  std::optional<ProbeComparison> probe;          ///< where both sides ran on equal inputs and weights
  std::vector<Cause> causes;                     ///< the one that explains most first
  std::vector<Mapped> mapping;
  std::optional<Coverage> coverage;
  Plan plan;
  std::vector<DropVerdict> drops;  ///< of every Drop of the plan, in its order
  Balance resolves, leaves;
  std::vector<Neighbour> neighbours;  ///< best first; filled by who may look into folders: diagnose() opens no file
  std::vector<std::string> advice;
  std::vector<std::string>
      notes;  ///< on the whole comparison, one clause each: which state dict of the target was taken
  std::vector<std::string> not_checked;  ///< what the answer does not rest on, one clause each
  std::uint64_t checkpoint_tensors = 0, target_tensors = 0;
};

/// The part of a target that is the model: a training checkpoint as target means its main state dict. `target` itself
/// where its names are a model's, or are the checkpoint's own. diagnose() does this by itself; apply() wants the result
/// of this.
TENON_API Listing target_model(const Listing& checkpoint, const Listing& target);

/// Compares two listings. Reads values only where dtypes differ. O(n log n) in the number of tensors.
TENON_API Report diagnose(const Listing& checkpoint, const Listing& target);

/// Judges every Drop of a plan: of this report or of a person. What is recomputed, counted, kept for training, held a
/// second time or a head is harmless; trained tensors that the model has a place for, or a layer that it lacks, are
/// harmful; what cannot be told is said to be harmful. Names and shapes
/// decide, and the op graph where the checkpoint has one; no value is read.
/// Throws what rehearse() throws.
TENON_API std::vector<DropVerdict> judge_drops(const Plan& plan, const Listing& checkpoint, const Listing& target);

/// The causes that an unreadable file shows: what open() threw, and the file's first bytes. Never throws for the file's
/// sake.
TENON_API Report diagnose_unreadable(const std::string& path, const Error& error);

struct ExplainInput {
  std::string text;  ///< a pasted error, a log, a traceback; any bytes
  std::optional<Listing> checkpoint;
  std::optional<Listing> target;
};

/// Reads a pasted error text; the listings, where given, make the answer exact. Never throws because of the text.
TENON_API Report explain(const ExplainInput& input);

/// One row of the table of causes.
struct CauseInfo {
  std::string_view id;
  std::string_view title;  ///< one line: what it is
  std::string_view page;   ///< docs/causes/<id>.md, compiled in
};
TENON_API std::vector<CauseInfo> known_causes();

}  // namespace tenon
