// One sentence for one tensor whose shapes differ, as other libraries than PyTorch word it.
//
//   detectron2     Skip loading parameter 'K' to the model due to incompatible shapes: (81, 1024) in the checkpoint
//                    but (4, 1024) in the model!
//   transformers   - K: found shape torch.Size([2, 768]) in the checkpoint and torch.Size([3, 768]) in the model
//                    instantiated
//   diffusers      K expected shape torch.Size([320, 9, 3, 3]), but got torch.Size([320, 4, 3, 3])   (model first)
//                  K expected shape tensor(..., device='meta', size=(320, 9, 3, 3)), but got torch.Size([320, 4, 3, 3])
//   patched mmcv   copying a param with shape ('K', torch.Size([81])) from checkpoint,the shape in current model is ...
//   TensorFlow     Shape of variable K ([5]) doesn't match with shape of tensor K ([10]) from checkpoint reader.
//                    (model first)
//   a script       No match: K Shape in my_modeltorch.Size([5]). Shape in checkpoint: torch.Size([10])
//                    (model first)
#include <algorithm>

#include "diagnose/text/nameless_shapes.hpp"
#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxNameBytes = 500;
constexpr std::size_t kMaxWordsBytes = 100;

void keep(std::string key, const std::optional<Shape>& checkpoint, const std::optional<Shape>& model,
          TextFacts& facts) {
  key.erase(
      std::remove_if(key.begin(), key.end(), [](char c) { return c == ' ' || c == '\'' || c == '"' || c == '`'; }),
      key.end());
  if (checkpoint && model && *checkpoint != *model && !key.empty())
    facts.mismatched.push_back({std::move(key), *checkpoint, *model});
}

/// The word that ends at `end`: the key before a phrase.
std::string word_before(std::string_view text, std::size_t end) {
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == ':')) --end;
  const std::size_t from = end > kMaxNameBytes ? end - kMaxNameBytes : 0;
  const auto space = text.substr(from, end - from).find_last_of(" \n");
  const std::size_t begin = space == std::string_view::npos ? from : from + space + 1;
  return std::string(text.substr(begin, end - begin));
}

void read_detectron(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kMiddle = " to the model due to incompatible shapes: ";
  for (Scanner in(text); in.find(kMiddle);) {
    const std::string key = word_before(text, in.position() - kMiddle.size());
    const auto saved = in.shape();
    if (!saved || !in.accept("in the checkpoint but")) continue;
    keep(key, saved, in.shape(), facts);
  }
}

void read_transformers(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kMiddle = ": found shape ";
  for (Scanner in(text); in.find(kMiddle);) {
    const std::string key = word_before(text, in.position() - kMiddle.size());
    const auto saved = in.shape();
    if (!saved || !in.accept("in the checkpoint and")) continue;
    keep(key, saved, in.shape(), facts);
  }
}

void read_diffusers(std::string_view text, TextFacts& facts) {
  constexpr std::string_view kMiddle = " expected shape ";
  for (Scanner in(text); in.find(kMiddle);) {
    const std::string key = word_before(text, in.position() - kMiddle.size());
    if (in.accept("tensor(") && !in.until("size=", kMaxWordsBytes)) continue;
    const auto wanted = in.shape();
    if (!wanted || !in.until("but got ", kMaxWordsBytes)) continue;
    keep(key, in.shape(), wanted, facts);
  }
}

void read_patched(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("copying a param with shape (");) {
    const auto key = in.quoted();
    if (!key || !in.accept(",")) continue;
    const auto saved = in.shape();
    in.accept(")");
    if (!saved || !in.until("the shape in current model is", kMaxWordsBytes)) continue;
    keep(*key, saved, in.shape(), facts);
  }
}

void read_tensorflow(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("hape of variable ");) {
    const auto key = in.until(" (", kMaxNameBytes);
    if (!key) continue;
    const auto wanted = in.shape();
    if (!wanted || !in.until(" (", kMaxNameBytes)) continue;
    keep(*key, in.shape(), wanted, facts);
  }
}

void read_script(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("No match: ");) {
    const auto key = in.until(" Shape in ", kMaxNameBytes);
    if (!key || !in.until("torch.Size", kMaxWordsBytes)) continue;
    const auto wanted = in.shape();
    if (!wanted || !in.until("heckpoint: ", kMaxWordsBytes)) continue;
    keep(*key, in.shape(), wanted, facts);
  }
}

/// A dense layer's inputs stand first, too.
Shape as_outputs_first(const Shape& shape) {
  return shape.size() == 2 ? Shape{shape[1], shape[0]} : with_outputs_first(shape);
}

/// The shape that the layer has, which comes next, and behind `between` the one that was saved.
void keep_layer(const std::string& layer, Scanner& in, std::string_view between, TextFacts& facts) {
  const auto wanted = in.shape();
  if (!wanted || wanted->empty() || !in.until(between, kMaxWordsBytes)) return;
  const auto saved = in.shape();
  if (!saved || saved->empty()) return;
  keep(layer + (wanted->size() > 1 ? ".weight" : ".bias"), as_outputs_first(*saved), as_outputs_first(*wanted), facts);
}

/// Keras, by name: Layer #389 (named "conv2d_59"), weight <tf.Variable ...> has shape (1, 1, 1024, 18), but the saved
/// weight has shape (255, 1024, 1, 1).
void read_keras(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("(named ");) {
    const auto layer = in.quoted();
    if (!layer || !in.until(" has shape ", kMaxNameBytes)) continue;
    keep_layer(*layer, in, "saved weight has shape ", facts);
  }
}

/// Keras, by order: layer #3 (named dense_1) for weight dense_1/kernel. Weight expects shape (128, 10). Received saved
/// weight with shape (128, 100)
void read_keras_order(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("(named ");) {
    auto layer = in.until(")", kMaxNameBytes);
    if (!layer || !in.until("expects shape ", kMaxWordsBytes)) continue;
    std::erase_if(*layer, [](char c) { return c == '\'' || c == '"'; });
    keep_layer(*layer, in, "aved weight with shape ", facts);
  }
}

/// DCP: Size mismatch between saved torch.Size([8, 4]) and current: torch.Size([32]) for K
void read_distributed(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("ize mismatch between saved ");) {
    const auto saved = in.shape();
    if (!saved || !in.accept("and current:")) continue;
    const auto wanted = in.shape();
    if (!wanted || !in.accept("for ")) continue;
    keep(in.until(" ", kMaxNameBytes).value_or("tensor"), saved, wanted, facts);
  }
}

}  // namespace

void recognise_shape_pairs(const PlainText& text, TextFacts& facts) {
  for (const auto read : {read_detectron, read_transformers, read_diffusers, read_patched, read_tensorflow, read_script,
                          read_keras, read_keras_order, read_distributed})
    read(text.flat, facts);
}

}  // namespace tenon::diagnosis
