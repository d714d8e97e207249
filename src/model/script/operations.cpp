#include "model/script/operations.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::model::script {
namespace {

using Json = nlohmann::json;

/// `name` or `name=default`, by position; after `|` what decides no value. Source: native_functions.yaml of torch 1.13.
constexpr std::pair<std::string_view, std::string_view> kSignatures[] = {
    {"linear", "input weight bias"},
    {"conv1d", "input weight bias stride=[1] padding=[0] dilation=[1] groups=1"},
    {"conv2d", "input weight bias stride=[1,1] padding=[0,0] dilation=[1,1] groups=1"},
    {"conv3d", "input weight bias stride=[1,1,1] padding=[0,0,0] dilation=[1,1,1] groups=1"},
    {"conv_transpose1d", "input weight bias stride=[1] padding=[0] output_padding=[0] groups=1 dilation=[1]"},
    {"conv_transpose2d", "input weight bias stride=[1,1] padding=[0,0] output_padding=[0,0] groups=1 dilation=[1,1]"},
    {"conv_transpose3d",
     "input weight bias stride=[1,1,1] padding=[0,0,0] output_padding=[0,0,0] groups=1 dilation=[1,1,1]"},
    {"batch_norm", "input weight bias running_mean running_var training momentum eps | cudnn_enabled"},
    {"instance_norm", "input weight bias running_mean running_var use_input_stats momentum eps | cudnn_enabled"},
    {"layer_norm", "input normalized_shape weight bias eps=1e-05 | cudnn_enable"},
    {"group_norm", "input num_groups weight bias eps=1e-05 | cudnn_enabled"},
    {"local_response_norm", "input size alpha beta k"},
    {"max_pool1d", "input kernel_size stride=[] padding=[0] dilation=[1] ceil_mode=false"},
    {"max_pool2d", "input kernel_size stride=[] padding=[0,0] dilation=[1,1] ceil_mode=false"},
    {"max_pool3d", "input kernel_size stride=[] padding=[0,0,0] dilation=[1,1,1] ceil_mode=false"},
    {"avg_pool1d", "input kernel_size stride=[] padding=[0] ceil_mode=false count_include_pad=true"},
    {"avg_pool2d",
     "input kernel_size stride=[] padding=[0,0] ceil_mode=false count_include_pad=true divisor_override=null"},
    {"avg_pool3d",
     "input kernel_size stride=[] padding=[0,0,0] ceil_mode=false count_include_pad=true divisor_override=null"},
    {"adaptive_avg_pool1d", "input output_size"},
    {"adaptive_avg_pool2d", "input output_size"},
    {"adaptive_avg_pool3d", "input output_size"},
    {"adaptive_max_pool1d", "input output_size"},
    {"adaptive_max_pool2d", "input output_size"},
    {"adaptive_max_pool3d", "input output_size"},
    {"dropout", "input p train"},
    {"feature_dropout", "input p train"},
    {"alpha_dropout", "input p train"},
    {"feature_alpha_dropout", "input p train"},
    {"leaky_relu", "input negative_slope=0.01"},
    {"elu", "input alpha=1 scale=1 input_scale=1"},
    {"celu", "input alpha=1.0"},
    {"gelu", "input approximate=\"none\""},
    {"hardtanh", "input min_val=-1 max_val=1"},
    {"hardshrink", "input lambd=0.5"},
    {"softshrink", "input lambd=0.5"},
    {"softplus", "input beta=1 threshold=20"},
    {"threshold", "input threshold value"},
    {"rrelu", "input lower=0.125 upper=0.333333 training=false"},
    {"glu", "input dim=-1"},
    {"softmax", "input dim dtype=null"},
    {"log_softmax", "input dim dtype=null"},
    {"logsumexp", "input dim keepdim=false"},
    {"embedding", "weight indices padding_idx=-1 scale_grad_by_freq=false sparse=false"},
    {"embedding_bag",
     "weight indices offsets scale_grad_by_freq=false mode=0 sparse=false per_sample_weights "
     "include_last_offset=false padding_idx=null"},
    {"flatten", "input start_dim=0 end_dim=-1"},
    {"unsqueeze", "input dim"},
    {"transpose", "input dim0 dim1"},
    {"permute", "input dims"},
    {"cat", "tensors dim=0"},
    {"stack", "tensors dim=0"},
    {"add", "input other alpha=1"},
    {"sub", "input other alpha=1"},
    {"rsub", "input other alpha=1"},
    {"addmm", "input mat1 mat2 beta=1 alpha=1"},
    {"baddbmm", "input batch1 batch2 beta=1 alpha=1"},
    {"div", "input other rounding_mode=null"},
    {"mean", "input dim=null keepdim=false dtype=null"},
    {"sum", "input dim=null keepdim=false dtype=null"},
    {"clamp", "input min=null max=null"},
    {"pixel_shuffle", "input upscale_factor"},
    {"pixel_unshuffle", "input downscale_factor"},
    {"channel_shuffle", "input groups"},
    {"normalize", "input p dim eps"},
    {"constant_pad_nd", "input padding value=0"},
    {"reflection_pad1d", "input padding"},
    {"reflection_pad2d", "input padding"},
    {"replication_pad1d", "input padding"},
    {"replication_pad2d", "input padding"},
    {"scaled_dot_product_attention", "query key value attn_mask dropout_p=0 is_causal=false scale=null"},
    {"lstm", "input hx params has_biases num_layers dropout train bidirectional batch_first"},
    {"gru", "input hx params has_biases num_layers dropout train bidirectional batch_first"},
};

constexpr std::string_view kPassOn[] = {"detach",
                                        "contiguous",
                                        "clone",
                                        "alias",
                                        "lift_fresh",
                                        "lift_fresh_copy",
                                        "prim.data",
                                        "prim.NumToTensor",
                                        "prim.unchecked_unwrap_optional",
                                        "requires_grad",
                                        "cpu",
                                        "cuda"};
constexpr std::string_view kTellNoTensor[] = {"size",
                                              "dim",
                                              "len",
                                              "numel",
                                              "stride",
                                              "storage_offset",
                                              "is_contiguous",
                                              "get_device",
                                              "element_size",
                                              "item",
                                              "is_complex",
                                              "is_floating_point",
                                              "format",
                                              "warn",
                                              "Bool",
                                              "Int",
                                              "Float",
                                              "IntImplicit",
                                              "FloatImplicit",
                                              "ScalarImplicit",
                                              "__is__",
                                              "__isnot__",
                                              "__contains__",
                                              "prim.dtype",
                                              "prim.device",
                                              "prim.layout",
                                              "prim.requires_grad",
                                              "prim.is_cuda",
                                              "prim.is_quantized",
                                              "prim.is_sparse",
                                              "prim.shape",
                                              "prim.RaiseException",
                                              "device",
                                              "is_grad_enabled",
                                              "manual_seed",
                                              "is_nonzero",
                                              "ndimension",
                                              "is_same_size",
                                              "prim.type",
                                              "prim.ndim",
                                              "prim.is_nested"};
constexpr std::string_view kMakeTensor[] = {
    "zeros",           "ones",          "empty",     "full",         "rand",        "randn",          "randint",
    "arange",          "linspace",      "eye",       "tensor",       "randperm",    "normal",         "logspace",
    "scalar_tensor",   "tril_indices",  "range",     "triu_indices", "hann_window", "hamming_window", "bartlett_window",
    "blackman_window", "kaiser_window", "as_tensor", "from_file"};

struct NamedArgument {
  std::string name;
  std::optional<Json> initial;
  bool decides = true;
};
using Signature = std::vector<NamedArgument>;

Signature signature_of(std::string_view text) {
  Signature signature;
  bool decides = true;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word == "|") {
      decides = false;
      continue;
    }
    const auto equals = word.find('=');
    std::optional<Json> initial;
    if (equals != std::string_view::npos) initial = Json::parse(word.substr(equals + 1), nullptr, false);
    signature.push_back({std::string(word.substr(0, equals)), std::move(initial), decides});
  }
  return signature;
}

const Signature* find_signature(const std::string& op) {
  static const auto kBySignature = [] {
    std::map<std::string, Signature, std::less<>> known;
    for (const auto& [name, text] : kSignatures) known.emplace(name, signature_of(text));
    return known;
  }();
  const auto found = kBySignature.find(op);
  return found == kBySignature.end() ? nullptr : &found->second;
}

bool is_keyword(const Json& argument) { return argument.is_object() && argument.size() == 1; }

/// `_convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, flags...)`: what
/// tracing prints for all convolutions. The flags say how, not what.
void name_convolution(std::string& op, Json& args) {
  if ((op != "_convolution" && op != "convolution") || args.size() < 9 || !args[3].is_array() || !args[6].is_boolean())
    return;
  const std::string extents = std::to_string(args[3].size()) + "d";
  Json named = Json::array({args[0], args[1], args[2], args[3], args[4]});
  if (args[6].get<bool>()) {
    op = "conv_transpose" + extents;
    for (const std::size_t index : {7U, 8U, 5U}) named.push_back(args[index]);
  } else {
    op = "conv" + extents;
    for (const std::size_t index : {5U, 8U}) named.push_back(args[index]);
  }
  args = std::move(named);
}

/// A window's stride that is left out is the window.
void fill_stride(std::map<std::string, Json>& named) {
  const auto stride = named.find("stride"), kernel = named.find("kernel_size");
  if (stride == named.end() || kernel == named.end()) return;
  if (stride->second.is_null() || (stride->second.is_array() && stride->second.empty()))
    stride->second = kernel->second;
}

/// Tensors stand among the operands. Where a literal stands before one, its place says so: `pow(2, x)`.
Json without_tensors(const std::string& op, Json args, std::size_t positional) {
  const bool has_condition = op == "if" || op == "loop";
  const bool literal_first = positional > 0 && !args[0].is_null() && !has_condition;
  while (!literal_first && positional > 0 && args[positional - 1].is_null()) args.erase(--positional);
  while (positional > 0 && args[0].is_null()) args.erase(0), --positional;
  return args;
}

bool is_in(const auto& names, std::string_view op) {
  return std::find(std::begin(names), std::end(names), op) != std::end(names);
}

}  // namespace

bool passes_on(std::string_view op) { return is_in(kPassOn, op); }
bool tells_no_tensor(std::string_view op) { return is_in(kTellNoTensor, op); }
bool makes_tensor(std::string_view op) { return is_in(kMakeTensor, op); }

void name_arguments(std::string& op, Json& args) {
  name_convolution(op, args);
  const Signature* signature = find_signature(op);
  std::size_t positional = 0;
  while (positional < args.size() && !is_keyword(args[positional])) ++positional;
  if (signature == nullptr || positional > signature->size()) {
    args = without_tensors(op, std::move(args), positional);
    return;
  }
  std::map<std::string, Json> named;
  for (const NamedArgument& argument : *signature)
    if (argument.initial) named[argument.name] = *argument.initial;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string name = i < positional ? (*signature)[i].name : args[i].begin().key();
    const Json& value = i < positional ? args[i] : args[i].begin().value();
    if (!value.is_null() || named.count(name) > 0) named[name] = value;
  }
  fill_stride(named);
  for (const NamedArgument& argument : *signature)
    if (!argument.decides || (argument.initial && argument.initial->is_null() && named[argument.name].is_null()))
      named.erase(argument.name);
  args = Json::array();
  for (auto& [name, value] : named) args.push_back(Json{{name, std::move(value)}});
}

JsonMembers options_of(const GraphNode& node) {
  JsonMembers options;
  if (find_signature(node.op) == nullptr) return options;
  const Json args = Json::parse(node.args, nullptr, false);
  for (const Json& argument : args) {
    if (!is_keyword(argument)) continue;
    const std::string& name = argument.begin().key();
    const bool is_mode = name == "training" || name == "train" || name == "use_input_stats";
    if (!is_mode && !argument.begin().value().is_null()) options.emplace_back(name, argument.begin().value().dump());
  }
  return options;
}

}  // namespace tenon::model::script
