// Sentences about one tensor in words that no dialect's table lists: what is read is what every such sentence must
// tell.
//
//   two shapes   Shape of head.0.weight in checkpoint is torch.Size([80, 128]), while ... in model is torch.Size([6, 128])
//                the words beside each shape say whose it is: checkpoint, saved, loaded - model, current, expected
//   a name       Layer mlp has no parameter 'w13.weight'        Could not find lm_head.weight in the file
//                a name with a tensor's ending, and a word that says that it is not there, or not wanted
//   a count      ### missing keys: 560; ### unexpected keys: 0;       the checkpoint is missing 3 state keys
//
// They are read only where no dialect was known: a guess at words must not add to what is certain.
#include <algorithm>
#include <array>

#include "diagnose/families.hpp"
#include "diagnose/names.hpp"
#include "diagnose/shape_relation.hpp"
#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kLongestLine = 4'000;

template <class Words>
bool is_among(std::string_view word, const Words& words) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

template <class Words>
bool has_any(std::string_view text, const Words& words) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

std::string lowered(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

/// A word of a line without the marks around it.
std::string_view bare(std::string_view word) {
  constexpr std::string_view kMarks = "'\"`()[]{}<>,;:!?=";
  while (!word.empty() && kMarks.find(word.front()) != std::string_view::npos) word.remove_prefix(1);
  while (!word.empty() && (kMarks.find(word.back()) != std::string_view::npos || word.back() == '.'))
    word.remove_suffix(1);
  return word;
}

/// Calls `take(word, begin)` for the words between blanks.
template <class Take>
void for_each_word(std::string_view line, Take take) {
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    if (end > at) take(line.substr(at, end - at), at);
    at = end + 1;
  }
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
         c == '*';
}

/// The name of a tensor: levels with dots between them, and a last one as tensors are called. Files, modules of Python
/// and numbers have dots, too.
bool is_tensor_name(std::string_view word) {
  constexpr std::string_view kPackages[] = {"torch", "numpy", "np", "nn", "tensorflow", "tf", "keras", "os", "self"};
  if (word.find('.') == std::string_view::npos || word.front() == '.' ||
      !std::all_of(word.begin(), word.end(), is_name_char) || is_among(first_level(word), kPackages))
    return false;
  const std::string_view leaf = leaf_of(word);
  return is_plain_leaf(leaf) || leaf == "*" || family_of(word) != Family::None;
}

std::string name_in(std::string_view line) {
  std::string name;
  for_each_word(line, [&](std::string_view word, std::size_t) {
    if (name.empty() && is_tensor_name(bare(word))) name = bare(word);
  });
  return name;
}

// Two shapes.

enum class Side : std::uint8_t { Unknown, File, Model };

Side side_of(std::string_view word) {
  constexpr std::string_view kFile[] = {"checkpoint", "ckpt",   "saved",  "loaded", "loading", "file",  "pretrained",
                                        "pre-trained", "source", "stored", "provided", "got",   "found", "weights"};
  constexpr std::string_view kModel[] = {"model",  "current", "expected", "expects", "target",
                                         "layer",  "network", "required", "needs",   "module"};
  const std::string plain = lowered(bare(word));
  return is_among(plain, kFile) ? Side::File : is_among(plain, kModel) ? Side::Model : Side::Unknown;
}

/// The last word of a stretch that tells a side, or the first one.
Side side_in(std::string_view stretch, bool last) {
  Side side = Side::Unknown;
  for_each_word(stretch, [&](std::string_view word, std::size_t) {
    const Side told = side_of(word);
    if (told != Side::Unknown && (last || side == Side::Unknown)) side = told;
  });
  return side;
}

struct Placed {
  Shape shape;
  std::size_t begin = 0, end = 0;
};

/// The shapes of a line that have an axis or more, at most three: two are a comparison.
std::vector<Placed> shapes_in(std::string_view line) {
  std::vector<Placed> shapes;
  for (std::size_t at = line.find_first_of("[("); at != std::string_view::npos && shapes.size() < 3;
       at = line.find_first_of("[(", at)) {
    Scanner in(line);
    in.move_to(at);
    const auto shape = in.shape();
    if (shape && !shape->empty()) shapes.push_back({*shape, at, in.position()});
    at = std::max(in.position(), at + 1);
  }
  return shapes;
}

/// Two shapes and no name: whether the outer axis alone differs, which is that of a last layer's outputs.
void note_shapes(std::string_view line, const Shape& a, const Shape& b, TextFacts& facts) {
  const auto axis = only_axis(a, b);
  const bool are_outputs = axis && (*axis == 0 || *axis + 1 == a.size());
  const Symptom symptom = are_outputs ? Symptom::KernelOutputs : Symptom::KernelShape;
  if (facts.find(Symptom::KernelOutputs) != nullptr || facts.find(symptom) != nullptr) return;
  const std::string both = are_outputs ? std::to_string(a[*axis]) + " and " + std::to_string(b[*axis]) : "";
  facts.sightings.push_back({symptom, both, std::string(line.substr(0, 120))});
}

void read_two_shapes(std::string_view line, TextFacts& facts) {
  const auto shapes = shapes_in(line);
  if (shapes.size() != 2 || shapes[0].shape == shapes[1].shape) return;
  const std::string name = name_in(line);
  if (name.empty()) {
    note_shapes(line, shapes[0].shape, shapes[1].shape, facts);
    return;
  }
  const std::string_view before = line.substr(0, shapes[0].begin), after = line.substr(shapes[1].end);
  const std::string_view between = line.substr(shapes[0].end, shapes[1].begin - shapes[0].end);
  Side first = side_in(before, true), second = side_in(between, true);
  if (first == Side::Unknown || second == Side::Unknown || first == second) {  // the words stand behind the shapes
    first = side_in(between, false);
    second = side_in(after, false);
  }
  if (first == Side::Unknown || second == Side::Unknown || first == second) return;
  const bool is_file_first = first == Side::File;
  facts.mismatched.push_back({name, shapes[is_file_first ? 0 : 1].shape, shapes[is_file_first ? 1 : 0].shape});
}

// A name that is not there, or not wanted.

constexpr std::string_view kUnwanted[] = {"unexpected",    "unused",          "not used",       "no parameter",
                                          "not have a parameter", "not in model", "not in the model", "unknown",
                                          "not exist in model",   "not found in model", "not found in the model",
                                          "unrecognized",  "surplus",         "no attribute"};
constexpr std::string_view kAbsent[] = {"missing",  "not found",   "not find",    "cannot find", "can't find", "no such",
                                        "not present", "not exist",   "doesn't exist", "not contain",  "absent",
                                        "not in ",  "no key",      "notfound",      "no tensor"};

/// `has no parameter 'w1'`, `a buffer named zeros`: a name without dots, told to be one.
std::string told_name(std::string_view line) {
  for (const std::string_view words : {"no parameter ", "buffer named ", "parameter named ", "tensor named "}) {
    const auto at = line.find(words);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = line.substr(at + words.size());
    const std::string_view word = bare(rest.substr(0, rest.find(' ')));
    if (!word.empty() && std::all_of(word.begin(), word.end(), is_name_char)) return std::string(word);
  }
  return {};
}

void read_absent_name(std::string_view line, TextFacts& facts) {
  const std::string plain = lowered(line);
  const bool is_unwanted = has_any(plain, kUnwanted);
  if (!is_unwanted && !has_any(plain, kAbsent)) return;
  auto& names = is_unwanted ? facts.unexpected : facts.missing;
  const std::size_t before = names.size();
  for_each_word(line, [&](std::string_view word, std::size_t) {
    const std::string_view name = bare(word);
    if (!is_tensor_name(name)) return;
    names.push_back(leaf_of(name) == "*" ? std::string(module_of(name)) + ".weight" : std::string(name));
  });
  if (auto name = told_name(line); names.size() == before && !name.empty()) names.push_back(std::move(name));
  facts.is_first_only = names.size() == 1;
}

// What is told in prose.

/// `the accuracy drops after loading`: no error, a word for results and one for their change.
void read_silence(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kErrors[] = {"error", "exception", "traceback", "failed", "cannot"};
  constexpr std::string_view kResults[] = {"accuracy", "result", "prediction", "output", "loss", "performance", "metric",
                                           "score",    "quality"};
  constexpr std::string_view kChanges[] = {"differ", "wrong",  "drop",  "worse",        "random",  "change",
                                           "not the same",     "bad ",  "inconsistent", "restart", " nan",
                                           "zero",   "mismatch"};
  const std::string plain = lowered(text);
  if (has_any(plain, kErrors) || !has_any(plain, kResults) || !has_any(plain, kChanges)) return;
  facts.sightings.push_back({Symptom::SilentWords, "", std::string(text.substr(0, 120))});
}

// A count.

bool is_number(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

/// `missing keys: 560`, `missing 3 state keys`, `3 missing keys`: a number within two words of "missing".
void read_count(std::string_view line, TextFacts& facts) {
  constexpr std::size_t kWindow = 3;
  std::array<std::string, kWindow> last;  // the words before
  std::size_t count = 0;
  for_each_word(line, [&](std::string_view raw, std::size_t) {
    const std::string word = lowered(bare(raw));
    const auto has = [&](std::string_view wanted) { return word == wanted || is_among(wanted, last); };
    const bool is_of_keys = has("keys") || has("key") || has("keys(s)") || has("parameters") || has("tensors");
    const auto number = is_number(word) ? word : std::find_if(last.begin(), last.end(), is_number) != last.end()
                                                     ? *std::find_if(last.begin(), last.end(), is_number)
                                                     : std::string();
    if (has("missing") && is_of_keys && !number.empty() && number != "0" && facts.find(Symptom::MissingCount) == nullptr)
      facts.sightings.push_back({Symptom::MissingCount, number, std::string(line.substr(0, 120))});
    last[count++ % kWindow] = word;
  });
}

}  // namespace

void recognise_sentences(const PlainText& text, TextFacts& facts) {
  if (facts.tells_keys()) return;
  const bool is_unknown = facts.sightings.empty();  // names in a text that is understood otherwise are its examples
  for (std::string_view rest = text.lined; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.size() > kLongestLine) continue;
    read_two_shapes(line, facts);
    if (is_unknown) read_absent_name(line, facts);
    if (is_unknown) read_count(line, facts);
  }
  if (!facts.tells_failure() && text.flat.size() <= kLongestLine) read_silence(text.flat, facts);
}

}  // namespace tenon::diagnosis
