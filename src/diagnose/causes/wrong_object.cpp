// wrong_object: the file is whole and holds another kind of object than a state dict: an optimizer's state, a
// TorchScript or LibTorch archive, a whole pickled module, one plain tensor, no tensor at all, or it is no checkpoint.
//
// An archive or a pickled module whose tensors are the model's is no obstacle to tenon; then it is a note.
#include <algorithm>

#include "base/text.hpp"
#include "diagnose/names.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

struct Account {
  std::string summary, why, help;
  double confidence = 0.9;
  Severity severity = Severity::Error;
  std::vector<std::string> evidence;
};

Finding finding_of(const Case& facts, Account account) {
  Finding finding;
  Cause& cause = finding.cause;
  cause.severity = account.severity;
  cause.confidence = account.confidence;
  cause.summary = std::move(account.summary);
  cause.place = place_of(facts);
  cause.why = std::move(account.why);
  cause.evidence = std::move(account.evidence);
  cause.keys = account.severity == Severity::Error ? std::max<std::size_t>(facts.gap.size(), 1) : 0;
  if (!account.help.empty()) cause.help.push_back(std::move(account.help));
  return finding;
}

// What an optimizer saves: {"state": {0: {"exp_avg": ...}}, "param_groups": [...]}, or LibTorch's archives of the same.
bool is_optimizer_tensor(std::string_view name) {
  constexpr std::string_view kLeaves[] = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg",
                                          "step",    "sum",        "grad_avg",       "acc_delta"};
  const bool is_leaf = std::find(std::begin(kLeaves), std::end(kLeaves), leaf_of(name)) != std::end(kLeaves);
  return is_leaf && (name.starts_with("state.") || name.find("state.") != std::string_view::npos);
}

std::optional<Account> as_optimizer(const Case& facts) {
  const auto& tensors = facts.checkpoint.tensors;
  const auto count = static_cast<std::size_t>(std::count_if(
      tensors.begin(), tensors.end(), [](const TensorSpec& spec) { return is_optimizer_tensor(spec.name); }));
  if (count == 0 || count < tensors.size() || facts.gap.matched.size() > 0) return std::nullopt;
  return Account{
      "the file holds the state of an optimizer, and no model",
      "training loops save two files, or two parts; this is the optimizer's",
      "give the file that holds the model",
      0.97,
      Severity::Error,
      {base::count_text(count) + " of " + base::plural(tensors.size(), "tensor") + " are moments or step counters"}};
}

std::optional<Account> as_nothing(const Case& facts) {
  if (!facts.checkpoint.tensors.empty() || facts.target.tensors.empty()) return std::nullopt;
  std::vector<std::string> objects;
  for (const Object& object : facts.checkpoint.values->objects())
    if (objects.size() < 4) objects.push_back(object.name.empty() ? type_name(object.value) : object.name);
  return Account{"the file holds no tensor",
                 "something else than a model was saved, or saved under this name",
                 "see what it holds    tenon inspect FILE",
                 0.97,
                 Severity::Error,
                 {"0 tensors" + (objects.empty() ? "" : ", objects: " + list_text(objects))}};
}

std::optional<Account> as_plain_tensor(const Case& facts) {
  const auto& tensors = facts.checkpoint.tensors;
  if (tensors.size() != 1 || !tensors.front().name.empty() || facts.gap.size() == 0) return std::nullopt;
  return Account{"the file holds one tensor without a name, and no state dict",
                 "a tensor was saved by itself, an input or a result more likely than a model",
                 "give the file that holds the model",
                 0.95,
                 Severity::Error,
                 {"1 tensor, " + shape_of(tensors.front())}};
}

bool is_archive(Format format) { return format == Format::TorchScript || format == Format::LibtorchArchive; }

/// Severity: where the model's names are in it, what kind of object bears them is a note.
std::optional<Account> as_archive(const Case& facts) {
  const Format format = facts.checkpoint.values->format();
  const bool is_same_kind = facts.target.values && facts.target.values->format() == format;
  if (!is_archive(format) || is_same_kind || facts.gap.size() == 0) return std::nullopt;
  const bool is_script = format == Format::TorchScript;
  return Account{
      std::string("the file is a ") + (is_script ? "TorchScript archive" : "LibTorch archive") + ", not a state dict",
      is_script
          ? "torch.jit.save writes a whole program with its tensors; load_state_dict wants names and tensors"
          : "torch::save of C++ writes an archive of its own; torch.load of Python does not read it as a state dict",
      "its tensors can be taken out    tenon convert FILE out.safetensors",
      0.8,
      Severity::Note,
      {"format " + std::string(format_name(format)) + ", " + base::plural(facts.checkpoint.tensors.size(), "tensor")}};
}

std::optional<Account> as_module(const Case& facts) {
  const auto containers = facts.checkpoint.values->containers();
  const Format format = facts.checkpoint.values->format();
  if (is_archive(format) || facts.gap.size() == 0) return std::nullopt;
  const auto module = std::find_if(containers.begin(), containers.end(),
                                   [](const Container& container) { return container.kind == ContainerKind::Module; });
  if (module == containers.end()) return std::nullopt;
  return Account{"the file holds a whole pickled module of the class " + quoted(module->type) + ", not a state dict",
                 "torch.save(model) pickles the object with its class's name; torch.load needs the class's source, "
                 "under the same name",
                 "its tensors can be taken out    tenon convert FILE out.safetensors --drop-objects",
                 0.8,
                 Severity::Note,
                 {"1 module object " + (module->path.empty() ? "at the top" : "under " + quoted(module->path))}};
}

std::optional<Finding> in_checkpoint(const Case& facts) {
  for (const auto account : {as_nothing, as_optimizer, as_plain_tensor, as_archive, as_module})
    if (auto told = account(facts)) return finding_of(facts, std::move(*told));
  return std::nullopt;
}

std::optional<Finding> in_unreadable(const Case& facts) {
  const UnreadableFile& file = *facts.unreadable;
  const bool is_unread = file.error && file.error->code == Code::Unsupported;
  if (file.kind.condition != Condition::Foreign && !is_unread) return std::nullopt;
  if (file.kind.condition == Condition::Damaged || file.kind.condition == Condition::Stand) return std::nullopt;
  Account account;
  account.confidence = file.kind.condition == Condition::Foreign ? 0.95 : 0.8;
  account.summary =
      file.kind.what.empty() ? "the file is of a kind that tenon does not read" : "the file is " + file.kind.what;
  account.why = "another file was given, or saved under this name";
  if (!file.kind.evidence.empty()) account.evidence = {file.kind.evidence};
  if (file.error)
    account.evidence.push_back(file.error->what_happened +
                               (file.error->found.empty() ? "" : ", found " + file.error->found));
  account.help = file.kind.help;
  Finding finding = finding_of(facts, std::move(account));
  finding.cause.place = file.path;
  return finding;
}

constexpr Reading kReadings[] = {
    {Symptom::StateDictToJit, 0.95, "the file was written by torch.save, and a TorchScript archive is wanted",
     "torch.jit.load and torch::jit::load read programs (torch.jit.save); torch.save writes tensors and objects",
     "export the model with torch.jit.script or trace, or read the tensors in C++ with torch::pickle_load or tenon"},
    {Symptom::ArchiveToPickle, 0.95, "the file is a TorchScript or LibTorch archive, and a torch.save file is wanted",
     "its classes live in the archive's own module `__torch__`, which unpickling cannot import",
     "read it with torch.jit.load, or take its tensors out    tenon convert FILE out.safetensors"},
    {Symptom::ObjectNotDict, 0.85, "an object of the class `%` was given where a state dict is wanted",
     "the whole object was saved, or passed, instead of its state dict", "pass its state_dict()"},
    {Symptom::DictNotModule, 0.85, "the file holds a dict, and the program uses it as a module (`%`)",
     "the state dict was saved; the program expects the whole pickled module",
     "build the model and load the dict into it    model.load_state_dict(...)"},
    {Symptom::OptimizerObject, 0.88, "a whole optimizer (`%`) was saved or passed where a state dict is wanted",
     "the object was pickled instead of its state", "save and pass its state_dict()"},
    {Symptom::PlainPickle, 0.85, "the file is of another kind than this unpickler reads",
     "torch.save's files refer to storages outside the pickle; plain pickle does not know them",
     "read it with torch.load, or tenon convert FILE out.safetensors"},
    {Symptom::TextNotTensors, 0.7, "a binary file was read as text, or a text as tensors",
     "a path points to another file than the reader expects", "see what it is    tenon inspect FILE"},
    {Symptom::OtherConfig, 0.75, "the folder or file is not of the kind that the loader looks for",
     "its description is missing, or is another library's", "give the folder that holds the model's own description"},
    {Symptom::OtherFramework, 0.75, "the file is another framework's",
     "PyTorch, TensorFlow, Flax, ONNX and GGUF files are not read by each other's loaders",
     "convert it, or load with the flag for that framework"},
    {Symptom::AbsentFile, 0.55, "the folder does not hold what the loader looks for: `%`",
     "another kind of model, or only a part of it, is in the folder",
     "list the folder, and give the file or format that is there"},
    {Symptom::AbsentPart, 0.45, "the file has no `%`, which the program takes out of it",
     "a file of another project or kind was given", "see what it holds    tenon inspect FILE"},
    {Symptom::CutArchive, 0.4, "the file may never have been a zip archive",
     "an older pickle, an HDF5 file or a text was given to a reader of archives",
     "see what it is    tenon inspect FILE"},
    {Symptom::LoadKey, 0.4, "the file may be of another format than a pickle",
     "safetensors, GGUF and HDF5 files do not begin as pickles do", "see what it is    tenon inspect FILE"},
    {Symptom::ForeignAttribute, 0.35, "the file holds a whole pickled object of another release",
     "torch.save(model) keeps the object with its old attributes", "save the state dict instead"},
    {Symptom::OtherLanguage, 0.45, "the file is of another kind than this language's reader wants",
     "bindings have formats of their own", "convert it    tenon convert FILE out.safetensors"},
    {Symptom::LargeHeader, 0.45, "the file may be of another format than safetensors",
     "its first eight bytes were read as a length: a pickle or a zip archive under that name shows the same",
     "see what it is    tenon inspect FILE"},
    {Symptom::BadMagic, 0.5, "the file may be a plain pickle or another format, not written by torch.save",
     "the reader of torch.save's old format looks for its magic number first", "see what it is    tenon inspect FILE"},
};

/// The program asks for a network by name (`generator`), and the file has none of that name: it may be one network
/// alone.
std::optional<Finding> other_part(const Case& facts) {
  const Sighting* absent = facts.text->find(Symptom::AbsentMember);
  if (absent == nullptr || facts.text->tells_keys() || !is_called_container(absent->detail)) return std::nullopt;
  return finding_of(facts, {"the file may hold another part of the training than the program asks for: " +
                                quoted(absent->detail) + " is not in it",
                            "projects publish one network alone, and resume from a file that holds all of them",
                            "see what it holds    tenon inspect FILE",
                            0.4,
                            Severity::Error,
                            {absent->excerpt}});
}

/// What the refused name tells: a class of someone's own code, or a call, means that whole objects were pickled.
std::optional<Finding> refused_object(const Case& facts) {
  const Sighting* refused = facts.text->find(Symptom::UnsafePickle);
  if (refused == nullptr || refused->detail.empty()) return std::nullopt;
  constexpr std::string_view kMetadata[] = {"numpy",
                                            "argparse",
                                            "omegaconf",
                                            "collections",
                                            "pathlib",
                                            "datetime",
                                            "typing",
                                            "builtins.set",
                                            "builtins.slice",
                                            "torch.serialization",
                                            "lightning",
                                            "pytorch_lightning",
                                            "sklearn",
                                            "pandas",
                                            "_codecs",
                                            "functools",
                                            "yacs",
                                            "easydict",
                                            "ml_collections",
                                            "copyreg",
                                            "enum"};
  const std::string& global = refused->detail;
  const std::string_view name = leaf_of(global);
  if (std::any_of(std::begin(kMetadata), std::end(kMetadata),
                  [&](std::string_view start) { return global.starts_with(start); }))
    return std::nullopt;
  const bool is_call = global == "getattr" || global.ends_with(".getattr") || global.ends_with("__import__");
  const bool is_class =
      !name.empty() && name.front() >= 'A' && name.front() <= 'Z' && global.find('.') != std::string::npos;
  if (!is_call && !is_class) return std::nullopt;
  return finding_of(facts, {"the file holds whole objects, not only tensors: " + quoted(global),
                            "a module or a trainer's object was pickled with the class's name",
                            "its tensors can be taken out    tenon convert FILE out.safetensors --drop-objects",
                            0.6,
                            Severity::Error,
                            {refused->excerpt}});
}

/// The optimizer's two keys, or optimizers by name (`optimG`), and nothing else among what the model does not want.
std::optional<Finding> optimizer_in_text(const Case& facts) {
  const auto& names = facts.text->unexpected;
  const auto has = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  const bool are_optimizers = !names.empty() && std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return is_called_optimizer(name) && name.find('.') == std::string::npos;
  });
  const bool is_one = names.size() == 2 && has("state") && has("param_groups");
  if (!is_one && !are_optimizers) return std::nullopt;
  Finding finding = finding_of(facts, {"the file holds the state of an optimizer, and no model",
                                       "training loops save two files, or two parts; this is the optimizer's",
                                       "give the file that holds the model",
                                       0.97,
                                       Severity::Error,
                                       {"the only unexpected keys are " + list_text(names)}});
  finding.told_want = facts.gap.missing;
  finding.told_have = facts.gap.unexpected;
  return finding;
}

std::optional<Finding> in_text(const Case& facts) {
  if (auto finding = optimizer_in_text(facts)) return finding;
  if (auto finding = refused_object(facts)) return finding;
  if (auto finding = other_part(facts)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace

std::optional<Finding> find_wrong_object(const Case& facts) {
  if (facts.unreadable != nullptr) return in_unreadable(facts);
  if (facts.checkpoint.values) {
    if (auto finding = in_checkpoint(facts)) return finding;
  }
  return facts.text != nullptr ? in_text(facts) : std::nullopt;
}

}  // namespace tenon::diagnosis
