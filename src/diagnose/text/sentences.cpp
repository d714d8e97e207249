// Sentences about one tensor in words that no dialect's table lists: what is read is what every such sentence must
// tell.
//
//   two shapes   Shape of head.0.weight in checkpoint is torch.Size([80, 128]), while in model it is torch.Size([6, 8])
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
#include "diagnose/text/cues.hpp"
#include "diagnose/text/nameless_shapes.hpp"
#include "diagnose/text/printed_loops.hpp"
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
  constexpr std::string_view kFiles[] = {"py",    "pt",          "pth", "bin",  "json", "cpp", "cc",   "h",    "so",
                                         "ckpt",  "safetensors", "h5",  "onnx", "txt",  "zip", "tar",  "yaml", "model",
                                         "vocab", "csv",         "log", "md",   "pkl",  "npz", "gguf", "com",  "org"};
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

/// TensorFlow's name of a variable with levels (`block1/conv/kernel:0`), with dots between them.
std::string variable_in(std::string_view line) {
  std::string name;
  for_each_word(line, [&](std::string_view word, std::size_t) {
    constexpr std::string_view kEnd = ":0";
    const std::string_view plain = bare(word);
    if (name.empty() && plain.ends_with(kEnd) && plain.find('/') != std::string_view::npos)
      name = plain.substr(0, plain.size() - kEnd.size());
  });
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

/// The tensor that a line with shapes speaks of: a name with levels, or one that only positions have.
std::string name_in(std::string_view line) {
  std::string name;
  for_each_word(line, [&](std::string_view word, std::size_t) {
    const std::string_view plain = bare(word);
    const bool is_table = plain.find('_') != std::string_view::npos && is_position_table(plain);
    const bool is_error = plain.ends_with("Error") || plain.ends_with("Exception");
    if (name.empty() && !is_error && (is_dotted_name(plain) || is_table)) name = plain;
  });
  return name;
}

// Two shapes.

enum class Side : std::uint8_t { Unknown, File, Model };

Side side_of(std::string_view word) {
  constexpr std::string_view kFile[] = {"checkpoint", "ckpt",        "saved",  "loaded", "loading",  "file",
                                        "pretrained", "pre-trained", "source", "stored", "provided", "got",
                                        "found",      "weights",     "src",    "value",  "array"};
  constexpr std::string_view kModel[] = {"model",   "current",  "expected", "expects", "target",   "layer",
                                         "network", "required", "needs",    "module",  "variable", "pointer"};
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

/// The shapes of a line that have an axis or more, at most three: two are a comparison. What an assertion shows once
/// more behind its message is left out.
std::vector<Placed> bracketed_shapes(std::string_view line) {
  std::vector<Placed> shapes;
  for (std::size_t at = line.find_first_of("[("); at != std::string_view::npos && shapes.size() < 3;
       at = line.find_first_of("[(", at)) {
    Scanner in(line);
    in.move_to(at);
    const auto shape = in.shape();
    const bool is_repeat = shape && shapes.size() == 2 && (*shape == shapes[0].shape || *shape == shapes[1].shape);
    if (shape && !shape->empty() && !is_repeat) shapes.push_back({*shape, at, in.position()});
    at = std::max(in.position(), at + 1);
  }
  return shapes;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The number at `at`, which is passed; nothing where none stands, or one that is no extent.
std::optional<std::int64_t> number_at(std::string_view line, std::size_t& at) {
  constexpr std::size_t kMostDigits = 12;
  const std::size_t begin = at;
  while (at < line.size() && is_digit(line[at])) ++at;
  if (at == begin || at - begin > kMostDigits) return std::nullopt;
  return std::stoll(std::string(line.substr(begin, at - begin)));
}

/// Numbers in a row between blanks, commas, `x` or `*`: `64 1 7 7`, `4096, 32000`, `64x3x7x7`; `at` is passed.
Shape row_of_numbers(std::string_view line, std::size_t& at) {
  Shape shape;
  for (std::size_t next = at;;) {
    const auto number = number_at(line, next);
    if (!number) break;
    shape.push_back(*number);
    at = next;
    while (next < line.size() && (line[next] == ' ' || line[next] == ',' || line[next] == 'x' || line[next] == '*'))
      ++next;
  }
  return shape;
}

/// Shapes without brackets, at most three: two numbers or more in a row, which begin as a word. Axes of one element at
/// the end of one of them are a format's filling.
std::vector<Placed> plain_shapes(std::string_view line) {
  std::vector<Placed> shapes;
  for (std::size_t at = 0; at < line.size() && shapes.size() < 3;) {
    const bool begins_word = at == 0 || line[at - 1] == ' ';
    const std::size_t begin = at;
    const Shape shape = begins_word ? row_of_numbers(line, at) : Shape();
    if (shape.size() >= 2 && (at == line.size() || std::string_view(" ,;.)").find(line[at]) != std::string_view::npos))
      shapes.push_back({shape, begin, at});
    at = std::max(at, begin + 1);
  }
  if (shapes.size() == 2) {
    Shape& longer = shapes[shapes[0].shape.size() > shapes[1].shape.size() ? 0 : 1].shape;
    const std::size_t fewer = std::min(shapes[0].shape.size(), shapes[1].shape.size());
    while (longer.size() > fewer && longer.back() == 1) longer.pop_back();
  }
  return shapes;
}

constexpr std::string_view kShapeWords[] = {"shape", "size", "dimension", "mismatch", "match"};

/// GGML lists the axis that runs fastest first; everyone else lists it last.
void turn_if_ggml(std::string_view line, std::vector<Placed>& shapes) {
  if (line.find("' has wrong shape; expected ") == std::string_view::npos) return;
  for (Placed& placed : shapes) std::reverse(placed.shape.begin(), placed.shape.end());
}

std::vector<Placed> shapes_in(std::string_view line) {
  auto shapes = bracketed_shapes(line);
  const bool are_counts =
      std::all_of(shapes.begin(), shapes.end(), [](const Placed& placed) { return placed.shape.size() == 1; });
  if ((shapes.size() >= 2 && !are_counts) || !has_any(lowered(line), kShapeWords)) return shapes;
  auto plain = plain_shapes(line);
  turn_if_ggml(line, plain);
  return plain.size() == 2 ? plain : shapes;
}

/// A dense kernel of Keras has its inputs first, too; its name tells it.
Shape as_outputs_first(std::string_view name, const Shape& shape) {
  if (shape.size() == 2 && name.find("kernel") != std::string_view::npos) return {shape[1], shape[0]};
  return with_outputs_first(shape);
}

/// A layer told by its word: `for layer conv2d_59`, `layer 'conv1/7x7_s2'`. Its tensor is the weight, or with one axis
/// the bias.
std::string layer_in(std::string_view line, std::size_t axes) {
  constexpr std::string_view kWord = "layer ";
  for (auto at = line.find(kWord); at != std::string_view::npos; at = line.find(kWord, at + 1)) {
    const std::string_view rest = line.substr(at + kWord.size());
    const std::string_view word = bare(rest.substr(0, rest.find(' ')));
    const bool is_name = word.find_first_of("_/0123456789") != std::string_view::npos && !is_digit(word.front());
    if (is_name) return std::string(word) + (axes > 1 ? ".weight" : ".bias");
  }
  return {};
}

/// Whether the first of two shapes is the file's, by the words beside them; loaders that do not say name it first.
bool is_file_first(std::string_view line, const std::vector<Placed>& shapes) {
  const std::string_view before = line.substr(0, shapes[0].begin), after = line.substr(shapes[1].end);
  const std::string_view between = line.substr(shapes[0].end, shapes[1].begin - shapes[0].end);
  Side first = side_in(before, true), second = side_in(between, true);
  if (first == Side::Unknown || second == Side::Unknown || first == second) {  // the words stand behind the shapes
    first = side_in(between, false);
    second = side_in(after, false);
  }
  return first == second || (first != Side::Model && second != Side::File);
}

/// Keras stops at the first variable that differs: its layer's other tensors are not told, and where only the outputs
/// differ it is as good as without a name.
bool is_of_lone_outputs(std::string_view name, const Shape& saved, const Shape& wanted) {
  return only_axis(saved, wanted) == std::size_t{0} && (name.ends_with(".kernel") || name.ends_with(".bias"));
}

void read_two_shapes(std::string_view line, TextFacts& facts) {
  const auto shapes = shapes_in(line);
  if (facts.find(Symptom::KernelTurned) != nullptr) return;  // then the axes differ, not the extents
  if (shapes.size() == 1 && line.find("is invalid for input") != std::string_view::npos)
    note_unfilled_shape(line, shapes[0].shape, facts);
  if (shapes.size() != 2 || shapes[0].shape == shapes[1].shape) return;
  const std::string variable = variable_in(line);
  std::string name = name_in(line);
  if (name.empty()) name = variable;
  if (name.empty()) name = layer_in(line, shapes[0].shape.size());
  const std::size_t file = is_file_first(line, shapes) ? 0 : 1;
  const Shape saved = as_outputs_first(name, shapes[file].shape),
              wanted = as_outputs_first(name, shapes[1 - file].shape);
  if (name.empty() || (name == variable && is_of_lone_outputs(name, saved, wanted))) {
    if (has_any(lowered(line), kShapeWords)) note_nameless_shapes(line, shapes[0].shape, shapes[1].shape, facts);
  } else if (saved != wanted) {
    facts.mismatched.push_back({name, saved, wanted});
  }
}

// Names that are not there, or not wanted.

/// The cue that a name stands behind; in front of all cues, the first one.
const CuePlace& cue_of(const std::vector<CuePlace>& cues, std::size_t at) {
  const CuePlace* found = &cues.front();
  for (const CuePlace& cue : cues)
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
  AbsentNames(TextFacts& facts, std::string_view text) : facts_(facts), loops_(text) {}

  void read(std::string_view line) {
    auto cues = cues_in(lowered(line));
    if (cues.empty() && heading_) cues.push_back({0, *heading_});
    heading_.reset();
    if (cues.empty()) return;
    if (const auto name = loops_.name_in(line, cues)) return keep(*name, cue_of(cues, 0).is_unwanted);
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

  bool are_printed() const { return loops_.has_long(); }

  void close() { facts_.is_first_only = facts_.missing.size() + facts_.unexpected.size() == 1; }

 private:
  static bool is_quoted(std::string_view word) { return word.find_first_of("'\"`") != std::string_view::npos; }

  void keep(std::string_view name, bool is_unwanted) {
    if (name.empty()) return;
    auto& names = is_unwanted ? facts_.unexpected : facts_.missing;
    names.push_back(leaf_of(name) == "*" ? std::string(module_of(name)) + ".weight" : std::string(name));
  }

  TextFacts& facts_;
  PrintedLoops loops_;
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
    if (has("missing") && is_of_keys && !number.empty() && number != "0")
      facts.note(Symptom::MissingCount, number, line);
    last[count++ % kWindow] = word;
  });
}

}  // namespace

void recognise_sentences(const PlainText& text, TextFacts& facts) {
  if (facts.tells_keys()) return;
  AbsentNames names(facts, text.lined);
  // names in a text that is understood otherwise are its examples
  const bool is_unknown = facts.sightings.empty() || names.are_printed();
  for (std::string_view rest = text.lined; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.size() > kLongestLine) continue;
    const std::size_t rows = facts.mismatched.size();
    read_two_shapes(line, facts);
    if (facts.mismatched.size() > rows) continue;  // what a line says of a shape is not said of a name
    if (is_unknown) names.read(line);
    if (is_unknown) read_count(line, facts);
  }
  if (is_unknown) names.close();
}

}  // namespace tenon::diagnosis
