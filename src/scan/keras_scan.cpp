// Source: keras/src/saving/serialization_lib.py (deserialize_keras_object), keras/src/layers; the advisories of Keras
// on `Lambda`, `function` and classes of other modules.
#include "scan/keras_scan.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "scan/content.hpp"
#include "scan/denied_globals.hpp"
#include "scan/encodings.hpp"
#include "scan/judge.hpp"
#include "scan/preview.hpp"

#include "base/cursor.hpp"

namespace tenon::scanning {

namespace {

/// Keras's own classes whose configuration is numbers and names.
constexpr std::string_view kClasses =
    "Sequential Functional Model InputLayer Input Activation Add Average Concatenate Dot Maximum Minimum "
    "Multiply Subtract AdditiveAttention Attention MultiHeadAttention GroupQueryAttention GroupedQueryAttention "
    "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D "
    "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GlobalMaxPooling3D AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveMaxPooling1D "
    "AdaptiveMaxPooling2D BatchNormalization BatchNormalizationV1 SyncBatchNormalization LayerNormalization "
    "GroupNormalization UnitNormalization SpectralNormalization RMSNormalization Normalization Bidirectional "
    "TimeDistributed Wrapper RNN StackedRNNCells SimpleRNN SimpleRNNCell LSTM LSTMCell GRU GRUCell CuDNNLSTM "
    "CuDNNGRU ConvLSTM1D ConvLSTM2D ConvLSTM3D Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose "
    "Conv3DTranspose DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D Convolution1D Convolution2D "
    "LocallyConnected1D LocallyConnected2D Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D "
    "ZeroPadding3D UpSampling1D UpSampling2D UpSampling3D Dense EinsumDense Embedding ReversibleEmbedding "
    "Flatten Identity Masking Permute Reshape RepeatVector ActivityRegularization ReLU LeakyReLU PReLU ELU "
    "Softmax ThresholdedReLU Rescaling Resizing CenterCrop RandomCrop RandomFlip RandomRotation "
    "RandomTranslation RandomZoom RandomContrast RandomBrightness RandomHeight RandomWidth RandomShear "
    "RandomGrayscale RandomHue RandomSaturation RandomColorJitter RandomErasing RandomGaussianBlur RandomInvert "
    "RandomPerspective RandomPosterization RandomSharpness AutoContrast AugMix CutMix MixUp RandAugment "
    "Equalization Solarization Pipeline MaxNumBoundingBoxes MelSpectrogram STFTSpectrogram CategoryEncoding "
    "Discretization Hashing HashedCrossing IntegerLookup StringLookup TextVectorization Zeros Ones Constant "
    "RandomNormal RandomUniform TruncatedNormal VarianceScaling GlorotNormal GlorotUniform HeNormal HeUniform "
    "LecunNormal LecunUniform Orthogonal OrthogonalInitializer IdentityInitializer STFT STFTInitializer L1 L2 "
    "L1L2 OrthogonalRegularizer MaxNorm MinMaxNorm NonNeg UnitNorm RadialConstraint SGD RMSprop Adam AdamW "
    "Adadelta Adagrad Adamax Adafactor Nadam Ftrl Lion Lamb Muon LossScaleOptimizer ExponentialDecay "
    "PiecewiseConstantDecay PolynomialDecay InverseTimeDecay CosineDecay CosineDecayRestarts MeanSquaredError "
    "MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError BinaryCrossentropy "
    "BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy SparseCategoricalCrossentropy "
    "CosineSimilarity Hinge SquaredHinge CategoricalHinge Huber KLDivergence LogCosh Poisson Dice Tversky Circle "
    "CTC CategoricalGeneralizedCrossEntropy Accuracy BinaryAccuracy CategoricalAccuracy "
    "SparseCategoricalAccuracy TopKCategoricalAccuracy SparseTopKCategoricalAccuracy AUC Precision Recall "
    "TruePositives TrueNegatives FalsePositives FalseNegatives PrecisionAtRecall RecallAtPrecision "
    "SensitivityAtSpecificity SpecificityAtSensitivity Mean Sum MeanMetricWrapper RootMeanSquaredError F1Score "
    "FBetaScore R2Score IoU BinaryIoU MeanIoU OneHotIoU OneHotMeanIoU LogCoshError PearsonCorrelation "
    "ConcordanceCorrelation Policy DTypePolicy DTypePolicyMap FloatDTypePolicy QuantizedDTypePolicy "
    "QuantizedFloat8DTypePolicy PolicyV1 SeedGenerator CompileConfig Tensor KerasTensor __keras_tensor__ "
    "__tensor__ __numpy__ __ellipsis__ __tuple__ __bytes__ __set__ __typespec__ TensorShape DType slice TypeSpec "
    "Variable";

struct Danger {
  std::string_view class_name, why;
};
constexpr Danger kDangers[] = {
    {"Lambda", "holds Python code, which loading the model makes a function of and calling it runs"},
    {"__lambda__", "is Python code, which loading the model makes a function of"},
    {"TFSMLayer", "loads another saved model, with its code, from a path"},
    {"TorchModuleWrapper", "unpickles a PyTorch module"},
    {"JaxLayer", "unpickles or loads functions"},
    {"FlaxLayer", "unpickles or loads functions"},
    {"get_file", "downloads and unpacks a file"},
    {"load_model", "loads another model"},
};

std::unordered_set<std::string_view> own_classes() {
  std::unordered_set<std::string_view> set;
  for (std::size_t at = 0; at < kClasses.size();) {
    const std::size_t end = std::min(kClasses.find(' ', at), kClasses.size());
    set.insert(kClasses.substr(at, end - at));
    at = end + 1;
  }
  return set;
}

bool is_own_class(std::string_view name) {
  static const auto set = own_classes();
  return set.contains(name);
}

bool is_keras_module(std::string_view module) {
  for (const std::string_view own :
       {"keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "keras_core", "tensorflow", "builtins"})
    if (module == own || (module.starts_with(own) && module[own.size()] == '.')) return true;
  return module.empty();
}

class ConfigScan {
 public:
  ConfigScan(const Part& part, std::uint64_t at, Collector& out) : part_(part), at_(at), out_(out) {}

  // As deep as the JSON reader let the tree become.
  void walk(const JsonValue& value) {
    for (const JsonValue& item : value.items) walk(item);
    for (const auto& [name, member] : value.members) walk(member);
    if (value.kind == JsonValue::Kind::String) look_into(value);
    if (value.kind != JsonValue::Kind::Object) return;
    const JsonValue* named = value.find("class_name");
    if (named != nullptr && named->kind == JsonValue::Kind::String) judge_object(value, named->text);
  }

 private:
  void judge_object(const JsonValue& object, const std::string& name) {
    const std::string module(object.string("module"));
    for (const Danger& danger : kDangers)
      if (danger.class_name == name) return add(ScanVerdict::Dangerous, object, module, name, std::string(danger.why));
    if (name == "function") return judge_function(object, module);
    if (!is_keras_module(module)) return judge_foreign(object, module, name);
    if (is_own_class(name.substr(name.rfind('>') + 1)) && name.find('>') == std::string::npos) return;
    add(ScanVerdict::UnknownCode, object, module, name,
        "is none of Keras's own classes: loading asks the program for it");
  }

  void judge_function(const JsonValue& object, const std::string& module) {
    std::string name(object.string("config"));
    if (name.empty()) name = object.string("registered_name");
    for (const Danger& danger : kDangers)
      if (danger.class_name == name) return add(ScanVerdict::Dangerous, object, module, name, std::string(danger.why));
    const Judgement judged = judge(module.empty() ? "builtins" : module, name, Home::Pickle);
    const bool is_dangerous = judged.verdict == ScanVerdict::Dangerous || !is_keras_module(module);
    add(is_dangerous ? ScanVerdict::Dangerous : ScanVerdict::UnknownCode, object, module, name,
        judged.verdict == ScanVerdict::Dangerous ? judged.why : "is a function that loading looks up by its name");
  }

  void judge_foreign(const JsonValue& object, const std::string& module, const std::string& name) {
    const Judgement judged = judge(module, name, Home::Pickle);
    add(std::max(judged.verdict, ScanVerdict::UnknownCode), object, module, name,
        judged.verdict == ScanVerdict::Dangerous ? judged.why
                                                 : "is a class of a module that is not Keras's: loading imports it");
  }

  /// A pickle in base64 or hexadecimal among the configuration's strings.
  void look_into(const JsonValue& value) {
    const auto bytes = decode_encoded_pickle(value.text);
    if (!bytes || part_.depth >= out_.limits().scan_depth) return;
    scan_content(part_.inside(base::as_bytes(*bytes), "string at byte " + std::to_string(at_ + value.at)),
                 Place::Argument, out_);
  }

  void add(ScanVerdict verdict, const JsonValue& object, const std::string& module, const std::string& name,
           std::string why) {
    ScanFinding finding;
    finding.rule = verdict == ScanVerdict::Dangerous ? "keras-dangerous-class" : "keras-unknown-class";
    finding.verdict = verdict;
    finding.member = part_.member;
    finding.offset = part_.origin + at_ + object.at;
    finding.global = module.empty() ? name : module + "." + name;
    finding.why = std::move(why);
    finding.reference = "docs/scan.md#keras";
    if (!module.empty() && module != "builtins") out_.add_global(finding.global, verdict);
    out_.add(std::move(finding));
  }

  const Part& part_;
  std::uint64_t at_;
  Collector& out_;
};

}  // namespace

bool is_keras_config(const JsonValue& value) {
  if (value.kind == JsonValue::Kind::Object && value.find("class_name") != nullptr) return true;
  return std::any_of(value.items.begin(), value.items.end(), is_keras_config) ||
         std::any_of(value.members.begin(), value.members.end(),
                     [](const auto& row) { return is_keras_config(row.second); });
}

void scan_keras_config(const JsonTree& tree, const Part& part, std::uint64_t at, Collector& out) {
  if (tree.repeated_key)
    out.add(ScanVerdict::Malformed, "json-duplicate-key", part, at + tree.repeated_at,
            "the key `" + preview(*tree.repeated_key) + "` stands twice: readers disagree about which counts");
  ConfigScan(part, at, out).walk(tree.root);
}

}  // namespace tenon::scanning
