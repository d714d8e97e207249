// Blueprint: what decides a model's function, written down without its values, and the probe: what it computed once.
//
// Names and shapes say that weights fit; a blueprint says what they were made for: the modules with their options (also
// those without tensors), the operations of one run, the environment, and the outputs for a known input. It stands in
// the metadata of a safetensors file (`tenon.blueprint`), in a record of a PyTorch archive, or beside the file as
// `FILE.blueprint.json`. docs/formats/blueprint.md has the JSON form; values of options are kept as JSON text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <tenon/dtype.hpp>
#include <tenon/export.hpp>
#include <tenon/limits.hpp>
#include <tenon/tensor.hpp>

namespace tenon {

enum class Role : std::uint8_t { Unknown, Parameter, Buffer };

/// What is known of one tensor. From an error text, dtype and shape may be unknown.
struct TensorSpec {
  std::string name;
  std::optional<DType> dtype;
  std::optional<Shape> shape;
  Role role = Role::Unknown;
  std::string tied_to;                               ///< name of the tensor whose storage it shares; "" if none
  std::optional<bool> requires_grad = std::nullopt;  ///< false: frozen
  std::optional<Stride> stride = std::nullopt;       ///< in elements; nothing where it is row-major or not known
};

/// A name and a JSON text: `{"kernel_size", "[2,2]"}`.
using JsonMember = std::pair<std::string, std::string>;
using JsonMembers = std::vector<JsonMember>;

/// JSON texts for values of members: quoted and escaped (bytes that are no UTF-8 are replaced); the shortest digits
/// that give the number back, "nan" and infinities as texts; `[1,2]`.
TENON_API std::string as_json(std::string_view text);
TENON_API std::string as_json(double number);
TENON_API std::string as_json(const std::vector<std::int64_t>& numbers);

struct ModuleSpec {
  std::string path;        ///< `layer1.0.conv1`; "" for the model itself
  std::string type;        ///< class name without namespace: `Conv2d`
  bool is_custom = false;  ///< not one of the framework's own: its name does not tell what it computes
  JsonMembers options;     ///< sorted by name
  std::string same_as;     ///< first path of a module that stands twice in the tree; "" for the first
};

/// One operand of an operation: the node that made it, an input of the model, a tensor of the state dict, or something
/// that the recorder does not know (a constant made inside `forward`).
struct Operand {
  enum class From : std::uint8_t { Node, Input, Tensor, Unknown };
  From from = From::Unknown;
  std::uint64_t index = 0;   ///< of the node or the input
  std::string name;          ///< of the tensor
  std::uint64_t output = 0;  ///< which of the node's results, where it has several

  friend bool operator==(const Operand&, const Operand&) = default;
};

struct GraphNode {
  std::string op;                 ///< `conv2d`, `relu`, ...: the framework's name without namespace and decoration
  std::string module;             ///< path of the innermost module that ran it
  std::string args = "[]";        ///< JSON array: what is no tensor; the batch extent is written "N"
  std::optional<Shape> output;    ///< of its first tensor
  std::vector<Operand> operands;  ///< tensors, in order
};

/// The operations of one run, in the order in which they ran. A node's operands come before it, so it has no cycles.
struct Graph {
  std::string recorder;  ///< `torch_function`, `record_function`, `torchscript`, `torchscript_trace`: graphs compare
                         ///< within one recorder only
  std::optional<std::int64_t> batch;  ///< extent 0 of the first input
  std::vector<GraphNode> nodes;
};

/// What one run left of one tensor. `sample` holds elements floor(i * n / k), i = 0..k-1, of the n in row-major order,
/// k = min(n, 64); complex numbers as two. NaN and infinities are kept.
struct ProbeTensor {
  std::string name;  ///< outputs: position or key (`0`, `logits`); submodules: path
  DType dtype = DType::Float32;
  Shape shape;
  std::string digest;  ///< SHA-256 of the dense little-endian bytes; "" where none was taken
  std::vector<double> sample;
  double scale = 0;                 ///< largest finite magnitude: of all of an output, else of the sample
  std::optional<double> tolerance;  ///< largest absolute deviation that is still the same function
  std::vector<double> values;       ///< of small inputs: all of them, row-major
};

/// Sampled values of one state dict tensor: tells whether two probes ran with equal weights.
struct Fingerprint {
  std::string name;
  double sum = 0, magnitude = 0;  ///< of elements floor(i * n / k), k = min(n, 1024): sum of x and of |x|
};

struct Probe {
  std::optional<std::uint64_t> seed;  ///< of tenon's generator (probe_values()); nothing where inputs were given
  std::vector<ProbeTensor> inputs, outputs;
  std::vector<ProbeTensor> modules;  ///< outputs of submodules, in the order in which they finished
  std::vector<Fingerprint> state;
  bool is_deterministic = true;       ///< a second run gave the same digests
  std::vector<std::string> findings;  ///< "25 rows in, 36 rows out"
  std::string accepted;               ///< why a deviation was accepted; "" if none was
};

struct OptimizerGroup {
  JsonMembers options;
  std::vector<std::string> parameters;  ///< names in the state dict
};

/// State that a state dict does not hold.
struct Unsaved {
  std::string name;
  std::string why;  ///< `non-persistent buffer`, `tensor attribute`, `module in a list`, `in no module`
};

/// One difference in what decides the function.
struct ArchitectureChange {
  enum class Kind : std::uint8_t { Added, Removed, Changed };
  Kind kind = Kind::Changed;
  std::string module;    ///< path
  std::string what;      ///< `module`, `option kernel_size`, `operation relu`, `class`
  std::string from, to;  ///< as a person writes them: `MaxPool2d(2, 2)`; "" where there is none
};

struct Parent {
  std::string digest;  ///< of its blueprint
  std::string file;    ///< base name; "" where it was not recorded: `tenon log` looks for the digest beside the file
};

struct Blueprint {
  std::string class_name;
  /// What told the modules: "" a live module; else a file: `torchscript`, `torchscript_trace`, `config`. Two sources
  /// name what both know in one way, and each knows what the other does not.
  std::string source;
  std::vector<TensorSpec> tensors;
  std::vector<ModuleSpec> modules;  ///< each before its children
  std::optional<Graph> graph;
  std::vector<OptimizerGroup> optimizer;
  JsonMembers environment;
  JsonMembers training;
  std::optional<Probe> probe;
  std::vector<Unsaved> unsaved;
  std::vector<Parent> parents;
  std::vector<std::string> changes;  ///< against the parent, one clause each
  /// What a limit kept out, and which: "probe: the run took 75.2 s, the limit is 60 s".
  std::vector<std::string> left_out;
};

/// The names of the contract: `added`, `removed`, `changed`.
TENON_API std::string_view kind_name(ArchitectureChange::Kind kind);

/// Reads the JSON form (schema tenon.blueprint/1). Members that this version does not know are left alone.
/// `file` is for messages. Throws Error: Corrupt (with byte or member), Unsupported (another schema), Limit.
TENON_API Blueprint parse_blueprint(std::string_view text, const std::string& file, const Limits& limits = {});

/// The JSON form, one line, members sorted, with both digests: equal blueprints give equal texts.
TENON_API std::string to_json(const Blueprint& blueprint);

/// SHA-256 (`sha256:...`) over names, dtypes, shapes and ties.
TENON_API std::string structure_digest(const Blueprint& blueprint);
/// SHA-256 over the structure, modules with their options and operations: all that decides the function. Not over what
/// a batch's extent changes, nor over environment, training, frozen parameters and the probe.
TENON_API std::string architecture_digest(const Blueprint& blueprint);
/// SHA-256 over to_json(), numbers that are no integers by their bits: identity of a whole blueprint, which a child
/// names as its parent.
TENON_API std::string blueprint_digest(const Blueprint& blueprint);

/// What differs in modules, options and operations. Batch extents, `inplace`, the class name of a container and the
/// framework's default forms (`2` and `[2, 2]`) make no difference. Empty when the functions are the same as far as
/// both tell.
TENON_API std::vector<ArchitectureChange> architecture_changes(const Blueprint& from, const Blueprint& to);

/// A difference of environments that matters, with its consequence.
struct EnvironmentChange {
  std::string what, from, to, consequence;
};
TENON_API std::vector<EnvironmentChange> environment_changes(const Blueprint& from, const Blueprint& to);

/// What changed between a parent and its child, one clause each, for the log: tensors, dtypes, frozen set, modules,
/// options, operations, optimizer groups.
TENON_API std::vector<std::string> changes_since(const Blueprint& parent, const Blueprint& child);

enum class ProbeVerdict : std::uint8_t { Equal, WithinTolerance, OtherFunction };
TENON_API std::string_view verdict_name(ProbeVerdict verdict);  ///< `equal`, `within_tolerance`, `other_function`

struct ProbeComparison {
  ProbeVerdict verdict = ProbeVerdict::Equal;
  double max_abs = 0;                  ///< largest deviation of the sampled outputs
  std::string first_deviating_module;  ///< path; "" if none or not known
  std::string detail;                  ///< one clause: which output, by how much
};

/// Compares what two runs computed. Nothing where they cannot be compared: `why_not` then says why (no probe on one
/// side, other inputs, other weights, random outputs). Outputs of other shapes are another function whatever the
/// weights.
TENON_API std::optional<ProbeComparison> compare_probes(const Blueprint& from, const Blueprint& to,
                                                        std::string* why_not = nullptr);

/// The largest absolute deviation that still counts as the same function: sqrt(eps) * `scale` (half of the digits
/// agree) or, where larger terms cancelled, min(2^8 eps, sqrt(eps) / 2) * `inner`; eps is that of `dtype`, 0 for
/// integers and bool. docs/formats/blueprint.md says where the rule comes from.
TENON_API double probe_tolerance(DType dtype, double scale, double inner = 0);

/// The size of the terms that `row` was made of: the largest scale among the last four of `probe.modules` before place
/// `before` that do not hold `row` itself; of the inputs where there are none.
TENON_API double probe_inner_scale(const Probe& probe, const ProbeTensor& row, std::size_t before);

/// tenon's generator, integers/1: element i is k / 64 - 2 with k = splitmix64(seed + i) >> 56 (0..255): exact in every
/// floating type from bfloat16 up. For integer dtypes use probe_integers().
TENON_API std::vector<double> probe_values(std::uint64_t seed, std::uint64_t count);
/// Element i is (splitmix64(seed + i) >> 33) % `below`. `below` must not be 0.
TENON_API std::vector<std::int64_t> probe_integers(std::uint64_t seed, std::uint64_t count, std::int64_t below);

}  // namespace tenon
