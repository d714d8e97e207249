// What the words of single frameworks mean, over made-up names: Keras, TensorFlow, Caffe, Darknet, Gluon, Flax, MLX,
// GGUF, and readers that stop at the first tensor.
#include <gtest/gtest.h>

#include <tenon/diagnose.hpp>

namespace tenon {
namespace {

struct DialectCase {
  const char* name;
  const char* cause;
  const char* text;
};
class Dialect : public testing::TestWithParam<DialectCase> {};

TEST_P(Dialect, NamesTheCause) {
  const Report report = explain({GetParam().text, std::nullopt, std::nullopt});
  ASSERT_FALSE(report.causes.empty());
  EXPECT_EQ(report.causes.front().id, GetParam().cause);
}

std::string name_of(const testing::TestParamInfo<DialectCase>& row) { return row.param.name; }

const DialectCase kShapes[] = {
    {"KerasTurnsTheWindow", "head_changed", "ValueError: Shapes (1, 1, 64, 18) and (255, 64, 1, 1) are incompatible"},
    {"KerasInnerWidth", "different_architecture",
     "ValueError: Cannot assign to variable zor_block1_conv/kernel:0 due to variable shape (1, 1, 256, 512) and value "
     "shape (512, 128, 1, 1) are incompatible"},
    {"PaddleKeepsInputsFirst", "head_changed",
     "Shape of pretrained params fc.weight doesn't match.(Pretrained: (1280, 1000), Actual: [1280, 4])\n"
     "Shape of pretrained params fc.bias doesn't match.(Pretrained: (1000,), Actual: [4])\n"},
    {"ATableOfTokens", "vocab_changed",
     "inconsistent tensor size, expected tensor [51919 x 100] and src [51920 x 100] to have the same number of "
     "elements"},
    {"ABiasOfClasses", "head_changed",
     "Assign requires shapes of both tensors to match. lhs shape= [41] rhs shape= [29]"},
    {"DarknetRunsShortAtAScale", "head_changed", "size '[18 x 256 x 1 x 1]' is invalid for input with 4607 elements"},
    {"DarknetRunsShort", "different_config", "ValueError: cannot reshape array of size 76070 into shape (256,128,3,3)"},
    {"SingleShotHeads", "head_changed",
     "Cannot copy param 0 weights from layer 'zor_mbox_conf'; shape mismatch.  Source param shape is 84 512 3 3 "
     "(387072); target param shape is 176 512 3 3 (811008)."},
    {"CaffeFlattens", "layout_changed",
     "Cannot copy param 0 weights from layer 'zor4'; shape mismatch. Source param shape is 512 4096 (2097152); target "
     "param shape is 512 256 4 4 (2097152)."},
    {"FlaxKeepsAxesOfOne", "layout_changed",
     "Trying to load the pretrained weight for ('zor', 'norm', 'bias') failed: checkpoint has shape (1, 1, 1, 512) "
     "which is incompatible with the model shape (512,)."},
    {"PartsAlongOtherAxes", "sharded_distributed",
     "The value updated is not the same shape as the original. Updated: (2560, 13696), original: (5120, 6848) for "
     "parameter 'zor.layers.0.mlp.proj.weight'"},
    {"APaddedTableIsSplit", "sharded_distributed",
     "size mismatch for word_embeddings.weight: copying a param with shape torch.Size([25216, 64]) from checkpoint, "
     "the "
     "shape in current model is torch.Size([50304, 64])."},
    {"AnotherVocabularyIsNotSplit", "vocab_changed",
     "size mismatch for word_embeddings.weight: copying a param with shape torch.Size([32000, 64]) from checkpoint, "
     "the "
     "shape in current model is torch.Size([128256, 64])."},
    {"ASquareLayerIsSplit", "sharded_distributed",
     "size mismatch for zor.layers.15.dense.weight: copying a param with shape torch.Size([1024, 64]) from checkpoint, "
     "the shape in current model is torch.Size([1024, 1024])."},
    {"AnErrorsClassIsNoTensor", "resolution_changed",
     "zor.core.LoadingException: Global shape mismatch for loaded ((1024, 768)) and expected ((512, 768)) tensor for "
     "key model.position_embeddings.weight"},
    {"AnAssertionShowsShapesTwice", "different_config",
     "AssertionError: ('Pointer shape torch.Size([312]) and array shape (128,) mismatched', torch.Size([312]), "
     "(128,))"},
    {"SkippedTensorsAreNotMissing", "head_changed",
     "Skip loading parameter 'heads.weight' to the model due to incompatible shapes: (487, 64) in the checkpoint but "
     "(9, 64) in the model!\nSome model parameters or buffers are not found in the checkpoint:\n  heads.weight\n"},
};
INSTANTIATE_TEST_SUITE_P(Shapes, Dialect, testing::ValuesIn(kShapes), name_of);

const DialectCase kNames[] = {
    {"GluonCountsAnew", "renamed_modules",
     "AssertionError: Parameter 'zor.0.network1_lstm0_l0_i2h_weight' is missing in file 'tmp.params', which contains "
     "parameters: 'zor.0.network0_lstm0_l0_i2h_weight', 'zor.0.network0_lstm0_l0_h2h_weight'."},
    {"MlxKeepsBiasesBesideScales", "quantized",
     "ValueError: Received parameters not in model: zor.layers.2.up_proj.biases zor.layers.5.up_proj.scales "
     "zor.layers.1.q_proj.scales zor.layers.2.q_proj.biases."},
    {"LayersThatTheModelHasInNoForm", "different_config",
     "ValueError: Received 7 parameters not in model:\nzor.layers.24.k_norm.weight,\nzor.layers.24.k_proj.biases,\n"
     "zor.layers.24.k_proj.scales,\nzor.layers.24.k_proj.weight,\nzor.layers.25.k_norm.weight,\n"
     "zor.layers.25.k_proj.biases,\nzor.layers.25.k_proj.weight.\n"},
    {"OneProjectionOfThree", "fused_or_split",
     "ValueError: There is no module or parameter named 'k_proj' in ZorSelfAttention."},
    {"SlotsOfAnOptimizer", "optimizer_state",
     "W op_kernel.cc:1192] Not found: Key zor/Conv2d_2/weights/Adam_1 not found in checkpoint\n"
     "W op_kernel.cc:1192] Not found: Key zor/Conv2d_1/weights/Adam not found in checkpoint\n"},
    {"KerasLayersOfTwoKinds", "different_architecture",
     "ValueError: Layer #1 (named \"bidirectional_1\" in the current model) was found to correspond to layer "
     "embedding_1 in the save file. However the new layer bidirectional_1 expects 6 weights, but the saved weights "
     "have 1 elements."},
    {"KerasOneLayersNames", "version_drift",
     "ValueError: Layer #0 (named \"conv2d_1\" in the current model) was found to correspond to layer "
     "convolution2d_1 in the save file. However the new layer conv2d_1 expects 1 weights, but the saved weights have "
     "2 elements."},
    {"GgufCountsTensors", "version_drift",
     "error loading model: done_getting_tensors: wrong number of tensors; expected 292, got 291"},
    {"ALibrarysOwnFunction", "version_drift", "AttributeError: module 'zor._utils' has no attribute 'is_vab'"},
    {"SpacesOfAnEnvironment", "input_channels_changed",
     "ValueError: Observation spaces do not match: Box(-1.0, 1.0, (6,), float32) != Box(-1.0, 1.0, (18,), float32)"},
    {"ALoggersMark", "new_modules",
     "INFO:root:zor.l_linear.weight is not in the checkpoint\nINFO:root:zor.l_linear.bias is not in the checkpoint\n"
     "INFO:root:zor.l_out.weight is not in the checkpoint\n"},
};
INSTANTIATE_TEST_SUITE_P(Names, Dialect, testing::ValuesIn(kNames), name_of);

}  // namespace
}  // namespace tenon
