// Options of LibTorch's modules. The ones that decide most are read from their typed structs, exactly; the others from
// what pretty_print shows, which leaves out defaults and rounds to six digits.
#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <type_traits>

#include "torch/module_tree.hpp"

namespace tenon::torch_bridge {
namespace {

namespace nn = ::torch::nn;

std::string value_of(double value) { return as_json(value); }
std::string value_of(bool value) { return value ? "true" : "false"; }
std::string value_of(std::int64_t value) { return std::to_string(value); }
std::string value_of(const std::vector<std::int64_t>& values) { return as_json(values); }
std::string value_of(const std::string& value) { return as_json(value); }
std::string value_of(const std::vector<double>& values) {
  std::string text = "[";
  for (const double value : values) text += (text.size() > 1 ? "," : "") + as_json(value);
  return text + "]";
}
template <std::size_t D>
std::string value_of(const ::torch::ExpandingArray<D>& array) {
  return as_json(std::vector<std::int64_t>(array->begin(), array->end()));
}
template <class... Choices>
std::string value_of(const c10::variant<Choices...>& choice) {
  return as_json(::torch::enumtype::get_enum_name(choice));
}
template <class T>
std::string value_of(const c10::optional<T>& value) {
  return value ? value_of(*value) : "null";
}

struct Reader {
  JsonMembers rows;
  template <class T>
  Reader& add(const char* name, const T& value) {
    rows.emplace_back(name, value_of(value));
    return *this;
  }
};

template <class Options>
void read_window(Reader& reader, const Options& o) {
  reader.add("kernel_size", o.kernel_size()).add("stride", o.stride()).add("padding", o.padding());
}

/// A number for each axis, or a rule by name.
template <class Padding>
void read_padding(Reader& reader, const Padding& choice) {
  c10::visit(
      [&reader](const auto& padding) {
        using P = std::decay_t<decltype(padding)>;
        if constexpr (std::is_same_v<P, ::torch::enumtype::kSame>)
          reader.add("padding", std::string("same"));
        else if constexpr (std::is_same_v<P, ::torch::enumtype::kValid>)
          reader.add("padding", std::string("valid"));
        else
          reader.add("padding", padding);
      },
      choice);
}

template <class Impl>
bool read_convolution(const nn::Module& module, Reader& reader) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  const auto& o = impl->options;
  reader.add("in_channels", o.in_channels()).add("out_channels", o.out_channels());
  reader.add("kernel_size", o.kernel_size()).add("stride", o.stride()).add("dilation", o.dilation());
  reader.add("groups", o.groups()).add("transposed", o.transposed());
  reader.add("padding_mode", o.padding_mode());
  read_padding(reader, o.padding());
  return true;
}

template <class Impl>
bool read_transposed(const nn::Module& module, Reader& reader) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  const auto& o = impl->options;
  reader.add("in_channels", o.in_channels()).add("out_channels", o.out_channels());
  reader.add("kernel_size", o.kernel_size()).add("stride", o.stride()).add("dilation", o.dilation());
  reader.add("groups", o.groups()).add("output_padding", o.output_padding());
  read_padding(reader, o.padding());
  return true;
}

template <class Impl>
bool read_norm(const nn::Module& module, Reader& reader) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  const auto& o = impl->options;
  reader.add("num_features", o.num_features()).add("eps", o.eps()).add("momentum", o.momentum());
  reader.add("affine", o.affine()).add("track_running_stats", o.track_running_stats());
  return true;
}

template <class Impl>
bool read_max_pool(const nn::Module& module, Reader& reader) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  read_window(reader, impl->options);
  reader.add("dilation", impl->options.dilation()).add("ceil_mode", impl->options.ceil_mode());
  return true;
}

template <class Impl>
bool read_avg_pool(const nn::Module& module, Reader& reader) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  read_window(reader, impl->options);
  reader.add("ceil_mode", impl->options.ceil_mode()).add("count_include_pad", impl->options.count_include_pad());
  return true;
}

template <class Impl>
bool read_dropout(const nn::Module& module, Reader& reader) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  reader.add("p", impl->options.p());
  return true;
}

template <class Impl, class Read>
bool read_as(const nn::Module& module, Read read) {
  const auto* impl = dynamic_cast<const Impl*>(&module);
  if (impl == nullptr) return false;
  read(impl->options);
  return true;
}

bool read_others(const nn::Module& m, Reader& r) {
  return read_as<nn::LinearImpl>(
             m, [&](const auto& o) { r.add("in_features", o.in_features()).add("out_features", o.out_features()); }) ||
         read_as<nn::LayerNormImpl>(m,
                                    [&](const auto& o) {
                                      r.add("normalized_shape", o.normalized_shape()).add("eps", o.eps());
                                      r.add("elementwise_affine", o.elementwise_affine());
                                    }) ||
         read_as<nn::GroupNormImpl>(m,
                                    [&](const auto& o) {
                                      r.add("num_groups", o.num_groups()).add("num_channels", o.num_channels());
                                      r.add("eps", o.eps()).add("affine", o.affine());
                                    }) ||
         read_as<nn::EmbeddingImpl>(m,
                                    [&](const auto& o) {
                                      r.add("num_embeddings", o.num_embeddings());
                                      r.add("embedding_dim", o.embedding_dim()).add("padding_idx", o.padding_idx());
                                      r.add("max_norm", o.max_norm()).add("norm_type", o.norm_type());
                                      r.add("scale_grad_by_freq", o.scale_grad_by_freq()).add("sparse", o.sparse());
                                    }) ||
         read_as<nn::EmbeddingBagImpl>(m,
                                       [&](const auto& o) {
                                         r.add("num_embeddings", o.num_embeddings());
                                         r.add("embedding_dim", o.embedding_dim()).add("max_norm", o.max_norm());
                                         r.add("mode", o.mode()).add("padding_idx", o.padding_idx());
                                       }) ||
         read_as<nn::UpsampleImpl>(m,
                                   [&](const auto& o) {
                                     r.add("size", o.size()).add("scale_factor", o.scale_factor());
                                     r.add("mode", o.mode()).add("align_corners", o.align_corners());
                                   }) ||
         read_as<nn::GELUImpl>(m, [&](const auto& o) { r.add("approximate", o.approximate()); }) ||
         read_as<nn::RNNImpl>(m,
                              [&](const auto& o) {
                                r.add("input_size", o.input_size()).add("hidden_size", o.hidden_size());
                                r.add("num_layers", o.num_layers()).add("nonlinearity", o.nonlinearity());
                                r.add("batch_first", o.batch_first()).add("dropout", o.dropout());
                                r.add("bidirectional", o.bidirectional());
                              }) ||
         read_as<nn::TransformerEncoderLayerImpl>(
             m, [&](const auto& o) { r.add("nhead", o.nhead()).add("dropout", o.dropout()); }) ||
         read_as<nn::TransformerDecoderLayerImpl>(
             m, [&](const auto& o) { r.add("nhead", o.nhead()).add("dropout", o.dropout()); }) ||
         read_as<nn::LeakyReLUImpl>(m, [&](const auto& o) { r.add("negative_slope", o.negative_slope()); }) ||
         read_as<nn::ELUImpl>(m, [&](const auto& o) { r.add("alpha", o.alpha()); }) ||
         read_as<nn::CELUImpl>(m, [&](const auto& o) { r.add("alpha", o.alpha()); }) ||
         read_as<nn::SoftmaxImpl>(m, [&](const auto& o) { r.add("dim", o.dim()); }) ||
         read_as<nn::LogSoftmaxImpl>(m, [&](const auto& o) { r.add("dim", o.dim()); }) ||
         read_as<nn::FlattenImpl>(
             m, [&](const auto& o) { r.add("start_dim", o.start_dim()).add("end_dim", o.end_dim()); }) ||
         read_as<nn::MultiheadAttentionImpl>(m, [&](const auto& o) {
           r.add("embed_dim", o.embed_dim()).add("num_heads", o.num_heads()).add("dropout", o.dropout());
         });
}

template <class Impl>
bool read_recurrent(const nn::Module& module, Reader& reader) {
  return read_as<Impl>(module, [&](const auto& o) {
    reader.add("input_size", o.input_size()).add("hidden_size", o.hidden_size()).add("num_layers", o.num_layers());
    reader.add("bias", o.bias()).add("batch_first", o.batch_first()).add("dropout", o.dropout());
    reader.add("bidirectional", o.bidirectional());
  });
}

bool read_typed(const nn::Module& m, Reader& r) {
  return read_convolution<nn::Conv1dImpl>(m, r) || read_convolution<nn::Conv2dImpl>(m, r) ||
         read_convolution<nn::Conv3dImpl>(m, r) || read_transposed<nn::ConvTranspose1dImpl>(m, r) ||
         read_transposed<nn::ConvTranspose2dImpl>(m, r) || read_transposed<nn::ConvTranspose3dImpl>(m, r) ||
         read_norm<nn::BatchNorm1dImpl>(m, r) || read_norm<nn::BatchNorm2dImpl>(m, r) ||
         read_norm<nn::BatchNorm3dImpl>(m, r) || read_norm<nn::InstanceNorm1dImpl>(m, r) ||
         read_norm<nn::InstanceNorm2dImpl>(m, r) || read_norm<nn::InstanceNorm3dImpl>(m, r) ||
         read_max_pool<nn::MaxPool1dImpl>(m, r) || read_max_pool<nn::MaxPool2dImpl>(m, r) ||
         read_max_pool<nn::MaxPool3dImpl>(m, r) || read_avg_pool<nn::AvgPool1dImpl>(m, r) ||
         read_avg_pool<nn::AvgPool2dImpl>(m, r) || read_avg_pool<nn::AvgPool3dImpl>(m, r) ||
         read_dropout<nn::DropoutImpl>(m, r) || read_dropout<nn::Dropout2dImpl>(m, r) ||
         read_dropout<nn::Dropout3dImpl>(m, r) || read_dropout<nn::AlphaDropoutImpl>(m, r) ||
         read_recurrent<nn::LSTMImpl>(m, r) || read_recurrent<nn::GRUImpl>(m, r) || read_others(m, r);
}

/// `a=1, b=[2, 3]` cut at commas outside brackets.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '(') ++depth;
    if (c == ']' || c == ')') --depth;
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else if (c != ' ' || !parts.back().empty())
      parts.back() += c;
  }
  return parts;
}

/// Numbers and booleans keep their type, all else is a text.
std::string plain_json(const std::string& text) {
  if (text == "true" || text == "false") return text;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' ? as_json(number) : as_json(text);
}

/// What stands between the parentheses of `torch::nn::Hardtanh(min_val=-1, max_val=1)`; positional ones by number.
JsonMembers printed(const nn::Module& module) {
  std::ostringstream stream;
  module.pretty_print(stream);
  const std::string text = stream.str();
  const auto open = text.find('('), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open || text.find('\n') != std::string::npos)
    return {};
  JsonMembers rows;
  std::size_t position = 0;
  for (const std::string& part : split(text.substr(open + 1, close - open - 1))) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const std::string value = equals == std::string::npos ? part : part.substr(equals + 1);
    rows.emplace_back(equals == std::string::npos ? "argument_" + std::to_string(position++) : part.substr(0, equals),
                      plain_json(value));
  }
  return rows;
}

}  // namespace

JsonMembers module_options(const nn::Module& module) {
  Reader reader;
  if (!read_typed(module, reader) && module.name().rfind("torch::nn::", 0) == 0 && module.children().empty())
    reader.rows = printed(module);
  std::sort(reader.rows.begin(), reader.rows.end());
  return std::move(reader.rows);
}

}  // namespace tenon::torch_bridge
