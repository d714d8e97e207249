// Finds every phrase of the tables (phrases.hpp) in one walk over the text.
//
// Phrases are kept by their first four bytes; at each place of the text one look-up says which phrases could stand
// there.
#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "diagnose/text/keras_layers.hpp"
#include "diagnose/text/phrases.hpp"
#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxDetailBytes = 200;
constexpr std::size_t kStem = 4;

using Index = std::unordered_map<std::uint32_t, std::vector<const Phrase*>>;

std::uint32_t stem_of(std::string_view text) {
  std::uint32_t stem = 0;
  std::memcpy(&stem, text.data(), kStem);
  return stem;
}

Index index_of_phrases() {
  Index index;
  for (const auto table : {file_phrases(), code_phrases(), saving_phrases(), runtime_phrases(), framework_phrases()})
    for (const Phrase& phrase : table) index[stem_of(phrase.words)].push_back(&phrase);
  return index;
}

void note_phrase(std::string_view text, std::size_t at, const Phrase& phrase, TextFacts& facts) {
  const std::size_t end = at + phrase.words.size();
  std::string_view detail;
  if (!phrase.detail_end.empty()) {
    detail = text.substr(end, kMaxDetailBytes);
    detail = detail.substr(0, detail.find_first_of(phrase.detail_end));
  }
  facts.note(phrase.symptom, detail, text.substr(at, phrase.words.size() + detail.size()));
}

void read_phrases(std::string_view text, TextFacts& facts) {
  static const Index kIndex = index_of_phrases();
  for (std::size_t at = 0; at + kStem <= text.size(); ++at) {
    const auto found = kIndex.find(stem_of(text.substr(at)));
    if (found == kIndex.end()) continue;
    for (const Phrase* phrase : found->second)
      if (text.substr(at).starts_with(phrase->words)) note_phrase(text, at, *phrase, facts);
  }
}

bool is_plain_value(std::string_view name) {
  constexpr std::string_view kNames[] = {"NoneType", "int", "float", "method", "tuple", "builtin_function_or_method"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// Then it is the state dict, and the program takes it for a module: the phrases of files tell that.
bool is_dict_class(std::string_view name) {
  return name == "dict" || name == "OrderedDict" || name == "collections.OrderedDict";
}

bool is_optimizer_class(std::string_view name) {
  constexpr std::string_view kNames[] = {"SGD",   "Adam",   "AdamW", "Adagrad",   "Adadelta",  "RMSprop",
                                         "LBFGS", "Adamax", "LARS",  "Adafactor", "Optimizer", "SparseAdam"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](std::string_view known) { return name.ends_with(known); }) ||
         name.ends_with("Optimizer") || name.ends_with("Scheduler") || name.ends_with("LR");
}

/// `'ResNet' object has no attribute 'copy'` (a module given to load_state_dict) and `'Adam' object is not
/// subscriptable`.
void read_wrong_objects(std::string_view text, TextFacts& facts) {
  for (const std::string_view words :
       {"' object has no attribute 'copy'", "' object has no attribute 'keys'", "' object has no attribute 'items'",
        "' object is not subscriptable", "' is not iterable", "' object is not iterable",
        "' object does not support item assignment", "' object has no attribute 'startswith'",
        "' object has no attribute 'load_state_dict'", "' object has no attribute 'state_dict'",
        "' object has no attribute 'get'", "' object has no attribute 'pop'"}) {
    const auto found = text.find(words);
    if (found == std::string_view::npos) continue;
    const auto quote = text.rfind('\'', found == 0 ? 0 : found - 1);
    if (quote == std::string_view::npos || found - quote > kMaxDetailBytes) continue;
    const std::string name(text.substr(quote + 1, found - quote - 1));
    if (is_plain_value(name) || is_dict_class(name)) continue;
    const std::string_view words_shown = text.substr(quote, name.size() + 1 + words.size());
    facts.note(Symptom::ObjectNotDict, name, words_shown);
    if (is_optimizer_class(name)) facts.note(Symptom::OptimizerObject, name, words_shown);
  }
}

/// `torch.cuda.FloatTensor` beside a type of the other device, or alone. Where each type around it is of CUDA, numbers
/// of two types meet and not two devices.
void read_tensor_types(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kCuda = "torch.cuda.FloatTensor", kEnd = "Tensor";
  constexpr std::size_t kNear = 200;
  for (auto at = text.find(kCuda); at != std::string_view::npos; at = text.find(kCuda, at + 1)) {
    const std::size_t begin = at > kNear ? at - kNear : 0;
    const std::string_view around = text.substr(begin, 2 * kNear);
    std::size_t on_cuda = 0, elsewhere = 0;
    for (auto end = around.find(kEnd); end != std::string_view::npos; end = around.find(kEnd, end + 1)) {
      const auto first =
          around.find_last_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.", end);
      const std::string_view type = around.substr(first == std::string_view::npos ? 0 : first + 1);
      if (type.starts_with("torch.cuda."))
        ++on_cuda;
      else if (type.starts_with("torch.") && around.substr(end + kEnd.size(), 1) != ".")
        ++elsewhere;
    }
    if (elsewhere == 0 && on_cuda > 1) continue;
    facts.note(Symptom::TwoDevices, {}, kCuda);
    return;
  }
}

/// `MemoryError` of the host; `torch.OutOfMemoryError` is a device's, and no file has a part in it.
void read_memory_error(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kWords = "MemoryError";
  for (auto at = text.find(kWords); at != std::string_view::npos; at = text.find(kWords, at + 1)) {
    if (text.substr(0, at).ends_with("OutOf")) continue;
    facts.note(Symptom::NoMemory, {}, kWords);
    return;
  }
}

/// What optimizers and schedulers keep, as KeyErrors name it.
bool is_optimizer_member(std::string_view key) {
  constexpr std::string_view kMembers[] = {"exp_avg",
                                           "exp_avg_sq",
                                           "momentum_buffer",
                                           "momentum",
                                           "betas",
                                           "param_groups",
                                           "state",
                                           "step",
                                           "initial_lr",
                                           "lr",
                                           "amsgrad",
                                           "nesterov",
                                           "max_exp_avg_sq",
                                           "square_avg",
                                           "foreach",
                                           "maximize",
                                           "capturable",
                                           "fused",
                                           "weight_decay",
                                           "last_epoch",
                                           "sum",
                                           "optimizer",
                                           "optimizer_states",
                                           "optimizer_state_dict",
                                           "lr_scheduler",
                                           "lr_schedulers",
                                           "scheduler",
                                           "differentiable",
                                           "base_momentum",
                                           "amp",
                                           "scaler",
                                           "grad_scaler",
                                           "eps",
                                           "dampening"};
  return std::find(std::begin(kMembers), std::end(kMembers), key) != std::end(kMembers);
}

/// The key of a KeyError: in quotes, behind the class that was being built (`"Detector: 'backbone.a'"`), or with its
/// closing quote cut off at the end of the text.
std::optional<std::string> told_key(Scanner& in) {
  constexpr std::size_t kMostBytes = 200;
  const std::size_t start = in.position();
  auto key = in.quoted();
  if (key) {
    const auto inner = key->find(":'");
    if (inner == std::string::npos || !key->ends_with("'")) return key;
    return key->substr(inner + 2, key->size() - inner - 3);
  }
  in.move_to(start);
  in.skip_spaces();
  std::string_view rest = in.rest().substr(0, kMostBytes + 1);
  while (rest.ends_with(' ')) rest.remove_suffix(1);
  const bool is_cut = rest.size() > 1 && rest.size() <= kMostBytes && (rest.front() == '\'' || rest.front() == '"') &&
                      rest.find(' ') == std::string_view::npos;
  return is_cut ? std::optional<std::string>(rest.substr(1)) : std::nullopt;
}

/// The line above shows the part taken out of what was loaded: `checkpoint["dims"]`, `torch.load(path)['dims']`.
bool is_taken_from_file(std::string_view text, std::string_view key) {
  constexpr std::string_view kLoaded[] = {"checkpoint", "ckpt",  "torch.load(", "saved",
                                          "pretrained", "state", "loaded"};
  constexpr std::size_t kNear = 60;
  for (const std::string_view quote : {"'", "\""}) {
    const std::string subscript = "[" + std::string(quote) + std::string(key) + std::string(quote) + "]";
    const auto at = text.find(subscript);
    if (at == std::string_view::npos) continue;
    const std::size_t begin = at > kNear ? at - kNear : 0;
    if (has_any(text.substr(begin, at - begin), kLoaded)) return true;
  }
  return false;
}

/// `KeyError: 'state_dict'`: the program asked the loaded dict for a part. Names with dots are other stories.
void read_key_errors(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("KeyError: ");) {
    const std::size_t start = in.position();
    const auto key = told_key(in);
    const std::string_view told = text.substr(start, in.position() - start);
    constexpr std::ptrdiff_t kMostBlanks = 4;  // a terminal wraps a name; a sentence has more
    if (std::count(told.begin(), told.end(), ' ') > kMostBlanks) continue;
    if (!key || key->empty() || key->find_first_of("\"/:") != std::string::npos) continue;
    const std::string shown = "KeyError: " + std::string(text.substr(start, key->size() + 2));
    if (key->find('.') == std::string::npos) facts.note(Symptom::AbsentMember, *key, shown);
    constexpr std::size_t kLinesAbove = 1'000;  // of the traceback that the error ends
    const std::size_t above = start > kLinesAbove ? start - kLinesAbove : 0;
    if (key->find('.') == std::string::npos && is_taken_from_file(text.substr(above, start - above), *key))
      facts.note(Symptom::AbsentPart, *key, shown);
    if (is_optimizer_member(*key)) facts.note(Symptom::OptimizerMember, *key, shown);
    if (key->find('.') == std::string::npos || facts.tells_keys()) continue;
    facts.missing.push_back(*key);
    facts.is_first_only = true;
  }
}

/// A window's axes, small and first (Keras: 3, 3, in, out) or last (PyTorch: out, in, 3, 3).
bool has_window(const Shape& shape, bool at_front) {
  constexpr std::int64_t kLargestWindow = 11;
  if (shape.size() != 4) return false;
  const std::size_t at = at_front ? 0 : 2, other = at_front ? 2 : 0;
  return shape[at] <= kLargestWindow && shape[at] == shape[at + 1] && shape[other] > kLargestWindow;
}

/// `Layer weight shape (1024, 4) not compatible with provided weight shape (1024, 5)`; `Weight expects shape (4, 4,
/// 128, 256). Received saved weight with shape (...)`: the layer comes first. Keras keeps outputs on the last axis.
void read_kernel_shapes(std::string_view text, TextFacts& facts) {
  constexpr std::size_t kBetween = 200;
  for (const std::string_view words : {"Layer shape ", "Layer weight shape ", "expects shape "})
    for (Scanner in(text); in.find(words);) {
      const std::size_t start = in.position();
      const auto wanted = in.shape();
      if (!wanted || wanted->empty() || !in.until("shape ", kBetween)) continue;
      const auto saved = in.shape();
      if (!saved || saved->size() != wanted->size() || *saved == *wanted) continue;
      const std::string_view shown = text.substr(start);
      if (std::equal(saved->begin(), saved->end() - 1, wanted->begin()))
        facts.note(Symptom::KernelOutputs, std::to_string(saved->back()) + " and " + std::to_string(wanted->back()),
                   shown);
      if ((has_window(*wanted, true) && has_window(*saved, false)) ||
          (has_window(*wanted, false) && has_window(*saved, true)))
        facts.note(Symptom::KernelTurned, "", shown);
    }
}

std::optional<std::int64_t> number_before(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
  constexpr std::size_t kMostDigits = 9;
  if (begin == end || end - begin > kMostDigits) return std::nullopt;
  return std::stoll(std::string(text.substr(begin, end - begin)));
}

/// `a weight file containing 45 layers into a model with 147 layers`, `Model expected 33 layers, found 47 saved
/// layers`.
void read_layer_counts(std::string_view text, TextFacts& facts) {
  if (facts.find(Symptom::LayerCount) == nullptr) return;
  constexpr std::size_t kMost = 8;
  std::vector<std::int64_t> counts;
  for (const std::string_view words : {" layers", " saved layers"})
    for (auto at = text.find(words); at != std::string_view::npos && counts.size() < kMost;
         at = text.find(words, at + 1))
      if (const auto count = number_before(text, at)) counts.push_back(*count);
  if (counts.size() != 2) return;
  const auto [fewer, more] = std::minmax(counts[0], counts[1]);
  if (fewer == 0 || more * 2 < fewer * 3) return;
  const std::string both = std::to_string(counts[0]) + " and " + std::to_string(counts[1]);
  facts.note(Symptom::LayerCountsFar, both, both + " layers");
}

/// TensorFlow stops at the first variable that is not there: `Key conv1/weights not found in checkpoint`.
void read_absent_variable(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kEnd = " not found in checkpoint";
  const auto end = text.find(kEnd);
  if (end == std::string_view::npos || facts.tells_keys()) return;
  const auto space = text.substr(0, end).rfind(' ');
  const std::size_t begin = space == std::string_view::npos ? 0 : space + 1;
  std::string name(text.substr(begin, end - begin));
  if (name.find('/') == std::string::npos || name.size() > kMaxDetailBytes) return;
  std::replace(name.begin(), name.end(), '/', '.');
  facts.missing.push_back(std::move(name));
  facts.is_first_only = true;
}

/// A shard of a checkpoint in several files that is not there: `No such file or directory:
/// '.../model-00003-of-00004.safetensors'`.
void read_absent_shard(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kAbsent[] = {"No such file", "not found", "does not exist", "not exist", "missing"};
  constexpr std::size_t kNear = 200;
  for (auto at = text.find("-of-"); at != std::string_view::npos; at = text.find("-of-", at + 1)) {
    if (!number_before(text, at) || at + 4 >= text.size() || text[at + 4] < '0' || text[at + 4] > '9') continue;
    const std::size_t begin = at > kNear ? at - kNear : 0;
    const std::string_view around = text.substr(begin, 2 * kNear);
    const bool is_absent = std::any_of(std::begin(kAbsent), std::end(kAbsent), [&](std::string_view words) {
      return around.find(words) != std::string_view::npos;
    });
    const auto start = text.find_last_of(" '\"/\\", at);
    const std::size_t first = start == std::string_view::npos ? 0 : start + 1;
    const std::string_view name = text.substr(first, text.find_first_of(" '\"", at) - first);
    if (is_absent) facts.note(Symptom::AbsentShard, name, name);
  }
}

/// A program of C++ or another language complains, and no Python stands around it: what Python would say of the same
/// file (`RuntimeError: ...`, a traceback) is not there. Its reader then is LibTorch's, and the file mostly Python's.
void read_native_program(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kNative[] = {"c10::Error",
                                          "what():",
                                          "terminate called",
                                          "libc++abi",
                                          "inline_container",
                                          "torch/csrc",
                                          "torch\\csrc",
                                          "System.Runtime.Interop",
                                          "TorchSharp",
                                          "Internal torch error",
                                          "torch error:",
                                          "cpp_load",
                                          "TchError",
                                          "TensorNameNotFound",
                                          "[TRT]",
                                          ".wts",
                                          "torch::jit",
                                          "torch::load",
                                          "torch::serialize",
                                          "com.facebook.jni",
                                          "org.pytorch",
                                          "Error: Argument '"};
  constexpr std::string_view kPython[] = {"Traceback (most", "RuntimeError", "File \"",  "import torch",
                                          "ValueError",      ".py\", line",  "torch._C."};
  const auto stands = [&](std::string_view words) { return text.find(words) != std::string_view::npos; };
  if (std::any_of(std::begin(kPython), std::end(kPython), stands)) return;
  const auto seen = std::find_if(std::begin(kNative), std::end(kNative), stands);
  if (seen != std::end(kNative)) facts.note(Symptom::NativeProgram, *seen, *seen);
}

}  // namespace

void recognise_symptoms(const PlainText& plain, TextFacts& facts) {
  const std::string_view text = plain.flat;
  read_phrases(text, facts);
  read_wrong_objects(text, facts);
  read_tensor_types(text, facts);
  read_memory_error(text, facts);
  read_key_errors(text, facts);
  read_kernel_shapes(text, facts);
  read_layer_counts(text, facts);
  read_layer_pair(text, facts);
  read_absent_shard(text, facts);
  read_absent_variable(text, facts);
  read_native_program(text, facts);
}

}  // namespace tenon::diagnosis
