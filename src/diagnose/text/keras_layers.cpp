#include "diagnose/text/keras_layers.hpp"

#include <algorithm>
#include <string>

#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMostBytes = 200;

/// `conv2d` of `conv2d_12`, `dense` of `Dense`.
std::string kind_of(std::string_view name) {
  const auto end = name.find_last_not_of("0123456789");
  if (end != std::string_view::npos && name[end] == '_') name = name.substr(0, end);
  return lowered(name);
}

/// Keras 1 wrote kinds in full: `convolution2d`, `batchnormalization`.
bool is_of_old_release(const std::string& saved, const std::string& wanted) {
  if (saved.starts_with("convolution") && wanted.starts_with("conv")) return true;
  std::string joined = wanted;
  joined.erase(std::remove(joined.begin(), joined.end(), '_'), joined.end());
  return joined != wanted && joined == saved;
}

}  // namespace

void read_layer_pair(std::string_view text, TextFacts& facts) {
  Scanner in(text);
  if (!in.find("(named ")) return;
  const auto wanted = in.quoted();
  if (!wanted || !in.until("to correspond to layer ", kMostBytes)) return;
  const auto saved = in.until(" ", kMostBytes);
  if (!saved) return;
  const std::string have = kind_of(*saved), want = kind_of(*wanted);
  const Symptom symptom = have == want                    ? Symptom::LayerOfOneKind
                          : is_of_old_release(have, want) ? Symptom::LayerOfOldName
                                                          : Symptom::LayerOfOtherKind;
  facts.note(symptom, *saved + " for " + *wanted, *saved + " in the file for " + *wanted);
}

}  // namespace tenon::diagnosis
