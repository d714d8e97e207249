// Sentences about one tensor in words that no dialect's table lists: what is read is what every such sentence must
// tell.
//
//   two shapes   Shape of head.0.weight in checkpoint is torch.Size([80, 128]), while ... in model is torch.Size([6,
//   128])
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
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '*';
}

/// The name of a tensor: levels with dots between them, and a last one as tensors are called. Files, modules of Python
/// and numbers have dots, too.
bool is_dotted_name(std::string_view word) {
  constexpr std::string_view kPackages[] = {"torch", "numpy", "np",   "nn",           "tensorflow", "tf",
                                            "keras", "os",    "self", "transformers", "diffusers",  "www"};
  constexpr std::string_view kFiles[] = {"py",   "pt",   "pth",         "bin",  "json", "cpp", "cc",  "h",
                                         "so",   "ckpt", "safetensors", "h5",   "onnx", "txt", "zip", "tar",
                                         "yaml", "pkl",  "npz",         "gguf", "com",  "org"};
  if (word.find('.') == std::string_view::npos || word.front() == '.') return false;
  const bool has_letter =
      std::any_of(word.begin(), word.end(), [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; });
  return has_letter && std::all_of(word.begin(), word.end(), is_name_char) && !is_among(first_level(word), kPackages) &&
         !is_among(leaf_of(word), kFiles);
}

bool is_tensor_name(std::string_view word) {
  if (!is_dotted_name(word)) return false;
  const std::string_view leaf = leaf_of(word);
  return is_plain_leaf(leaf) || leaf == "*" || family_of(word) != Family::None;
}

/// The tensor that a line with shapes speaks of: a name with levels, or one that only positions have.
std::string name_in(std::string_view line) {
  std::string name;
  for_each_word(line, [&](std::string_view word, std::size_t) {
    const std::string_view plain = bare(word);
    const bool is_table = plain.find('_') != std::string_view::npos && is_position_table(plain);
    if (name.empty() && (is_dotted_name(plain) || is_table)) name = plain;
  });
  return name;
}

// Two shapes.

enum class Side : std::uint8_t { Unknown, File, Model };

Side side_of(std::string_view word) {
  constexpr std::string_view kFile[] = {"checkpoint",  "ckpt",   "saved",  "loaded",   "loading", "file",  "pretrained",
                                        "pre-trained", "source", "stored", "provided", "got",     "found", "weights"};
  constexpr std::string_view kModel[] = {"model", "current", "expected", "expects", "target",
                                         "layer", "network", "required", "needs",   "module"};
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
  constexpr std::string_view kWords[] = {"shape", "size", "dimension", "mismatch", "match"};
  if (std::max(a.size(), b.size()) < 2 || !has_any(lowered(line), kWords)) return;
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
  const bool is_model_first = first != second && (first == Side::Model || second == Side::File);
  const bool is_file_first = !is_model_first;  // loaders that do not say name the checkpoint's first
  facts.mismatched.push_back({name, shapes[is_file_first ? 0 : 1].shape, shapes[is_file_first ? 1 : 0].shape});
}

// Names that are not there, or not wanted.

struct Cue {
  std::string_view words;
  bool is_unwanted;
};
constexpr Cue kCues[] = {
    {"unexpected", true},
    {"unused", true},
    {"not used", true},
    {"no parameter", true},
    {"not have a parameter", true},
    {"not in model", true},
    {"not in the model", true},
    {"unknown", true},
    {"not exist in model", true},
    {"not found in model", true},
    {"not found in the model", true},
    {"unrecognized", true},
    {"surplus", true},
    {"not loaded keys", true},
    {"ignored keys", true},
    {"missing", false},
    {"not found", false},
    {"not find", false},
    {"cannot find", false},
    {"can't find", false},
    {"no such", false},
    {"not present", false},
    {"not exist", false},
    {"doesn't exist", false},
    {"not contain", false},
    {"absent", false},
    {"not in ", false},
    {"no key", false},
    {"notfound", false},
    {"no tensor", false},
    {"not loaded", false},
    {"not initialized", false},
};

struct Place {
  std::size_t at = 0;
  bool is_unwanted = false;
};

/// Where the cues of a line stand; of two at one place the longer one speaks, which the table has first.
std::vector<Place> cues_in(std::string_view plain) {
  std::vector<Place> places;
  for (const Cue& cue : kCues)
    for (auto at = plain.find(cue.words); at != std::string_view::npos; at = plain.find(cue.words, at + 1))
      if (std::none_of(places.begin(), places.end(), [&](const Place& other) { return other.at == at; }))
        places.push_back({at, cue.is_unwanted});
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.at < b.at; });
  return places;
}

/// The cue that a name stands behind; in front of all cues, the first one.
const Place& cue_of(const std::vector<Place>& cues, std::size_t at) {
  const Place* found = &cues.front();
  for (const Place& cue : cues)
    if (cue.at <= at) found = &cue;
  return *found;
}

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

/// Reads a text line by line; a heading's side (`missing keys:`) goes on over the lines of names below it.
class AbsentNames {
 public:
  explicit AbsentNames(TextFacts& facts) : facts_(facts) {}

  void read(std::string_view line) {
    auto cues = cues_in(lowered(line));
    if (cues.empty() && heading_) cues.push_back({0, *heading_});
    heading_.reset();
    if (cues.empty()) return;
    std::size_t names = 0;
    for_each_word(line, [&](std::string_view word, std::size_t at) {
      const std::string_view name = bare(word);
      if (!is_tensor_name(name) && !(is_quoted(word) && is_dotted_name(name))) return;
      keep(name, cue_of(cues, at).is_unwanted);
      ++names;
    });
    if (names == 0) keep(told_name(line), cues.front().is_unwanted);
    if (names > 0 || line.ends_with(':')) heading_ = cues.back().is_unwanted;
  }

  void close() { facts_.is_first_only = facts_.missing.size() + facts_.unexpected.size() == 1; }

 private:
  static bool is_quoted(std::string_view word) { return word.find_first_of("'\"`") != std::string_view::npos; }

  void keep(std::string_view name, bool is_unwanted) {
    if (name.empty()) return;
    auto& names = is_unwanted ? facts_.unexpected : facts_.missing;
    names.push_back(leaf_of(name) == "*" ? std::string(module_of(name)) + ".weight" : std::string(name));
  }

  TextFacts& facts_;
  std::optional<bool> heading_;
};

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
    const auto number = is_number(word) ? word
                        : std::find_if(last.begin(), last.end(), is_number) != last.end()
                            ? *std::find_if(last.begin(), last.end(), is_number)
                            : std::string();
    if (has("missing") && is_of_keys && !number.empty() && number != "0" &&
        facts.find(Symptom::MissingCount) == nullptr)
      facts.sightings.push_back({Symptom::MissingCount, number, std::string(line.substr(0, 120))});
    last[count++ % kWindow] = word;
  });
}

}  // namespace

void recognise_sentences(const PlainText& text, TextFacts& facts) {
  if (facts.tells_keys()) return;
  AbsentNames names(facts);
  const bool is_unknown = facts.sightings.empty();  // names in a text that is understood otherwise are its examples
  for (std::string_view rest = text.lined; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.size() > kLongestLine) continue;
    read_two_shapes(line, facts);
    if (is_unknown) names.read(line);
    if (is_unknown) read_count(line, facts);
  }
  if (is_unknown) names.close();
}

}  // namespace tenon::diagnosis
