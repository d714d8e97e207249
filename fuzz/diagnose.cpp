// libFuzzer: two lists of names and shapes, made of the field's words and of numbers that rules look for, get a report
// that holds together, from the listings, from one of them, and from the text of a failed load alone.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <tenon/diagnose.hpp>
#include <tenon/error.hpp>
#include <tenon/plan.hpp>
#include <tenon/render.hpp>

namespace {

constexpr const char* kLevels[] = {
    "module",      "model",  "backbone", "encoder", "decoder", "layers", "layer1",  "blocks",     "h",
    "head",        "fc",     "lm_head",  "conv1",   "stem",    "bn1",    "norm",    "attn",       "self_attn",
    "q_proj",      "k_proj", "v_proj",   "qkv",     "in_proj", "mlp",    "experts", "embed",      "wte",
    "embeddings",  "ema",    "student",  "lora_A",  "lora_B",  "base",   "default", "optimizer",  "classifier",
    "class_embed", "rotary", "running",  "0",       "1",       "2",      "11",      "patch_embed"};
constexpr const char* kLeaves[] = {"weight",
                                   "bias",
                                   "running_mean",
                                   "running_var",
                                   "weight_g",
                                   "weight_v",
                                   "gamma",
                                   "beta",
                                   "num_batches_tracked",
                                   "pos_embed",
                                   "in_proj_weight",
                                   "weight_ih_l0",
                                   "inv_freq",
                                   "qweight",
                                   "scales",
                                   "relative_position_bias_table",
                                   "relative_position_index",
                                   "position_ids",
                                   "kernel",
                                   "cls_token"};
constexpr std::int64_t kExtents[] = {0,   1,   2,   3,    4,    5,    7,      8,         9,         14,
                                     16,  64,  65,  75,   80,   91,   192,    197,       255,       256,
                                     512, 577, 768, 1000, 1025, 3072, 32'000, 1LL << 31, 1LL << 62, INT64_MAX};
constexpr tenon::DType kTypes[] = {tenon::DType::Float32, tenon::DType::Float16, tenon::DType::Int64,
                                   tenon::DType::QInt8, tenon::DType::Unknown};

void require(bool holds) {
  if (!holds) std::abort();
}

std::string name_from(FuzzedDataProvider& bytes) {
  std::string name;
  for (int levels = bytes.ConsumeIntegralInRange(0, 4); levels > 0; --levels)
    name += std::string(bytes.PickValueInArray(kLevels)) + ".";
  return name + bytes.PickValueInArray(kLeaves);
}

tenon::Shape shape_from(FuzzedDataProvider& bytes) {
  tenon::Shape shape(bytes.ConsumeIntegralInRange<std::size_t>(0, 5));
  for (std::int64_t& extent : shape) extent = bytes.PickValueInArray(kExtents);
  return shape;
}

/// Readers refuse other shapes.
bool can_be_counted(const tenon::Shape& shape) {
  try {
    tenon::byte_size(shape, tenon::DType::Float64);
    return true;
  } catch (const tenon::Error&) {
    return false;
  }
}

/// No reader gives two tensors one name.
void add(tenon::Listing& listing, const std::string& name, tenon::DType dtype, const tenon::Shape& shape) {
  const auto is_same = [&](const tenon::TensorSpec& spec) { return spec.name == name; };
  if (std::none_of(listing.tensors.begin(), listing.tensors.end(), is_same))
    listing.tensors.push_back({name, dtype, shape, tenon::Role::Unknown, {}});
}

/// How the second list differs from the first, row by row: the same, another shape, another name, absent.
void add_rows(FuzzedDataProvider& bytes, tenon::Listing& have, tenon::Listing& want) {
  const std::string name = name_from(bytes);
  const tenon::Shape shape = shape_from(bytes);
  const tenon::DType dtype = bytes.PickValueInArray(kTypes);
  const int repeats = bytes.ConsumeIntegralInRange(0, 1) == 0 ? 1 : 3;  // "blocks.0.", "blocks.1.", "blocks.2."
  const auto kind = bytes.ConsumeIntegralInRange(0, 4);
  const std::string other_name = kind == 2 ? name_from(bytes) : name;
  const tenon::Shape other_shape = kind == 1 ? shape_from(bytes) : shape;
  for (int i = 0; i < repeats; ++i) {
    const std::string prefix = repeats == 1 ? "" : "blocks." + std::to_string(i) + ".";
    if (kind != 3 && can_be_counted(shape)) add(have, prefix + name, dtype, shape);
    if (kind != 4) add(want, prefix + other_name, tenon::DType::Float32, other_shape);
  }
}

std::string text_of(const tenon::Listing& have, const tenon::Listing& want) {
  std::string text = "RuntimeError: Error(s) in loading state_dict for Net:\n";
  const auto find = [](const tenon::Listing& in, const std::string& name) -> const tenon::TensorSpec* {
    for (const tenon::TensorSpec& spec : in.tensors)
      if (spec.name == name) return &spec;
    return nullptr;
  };
  for (const tenon::TensorSpec& spec : want.tensors) {
    const tenon::TensorSpec* const found = find(have, spec.name);
    if (found == nullptr)
      text += fmt::format("\tMissing key(s) in state_dict: \"{}\". \n", spec.name);
    else if (*found->shape != *spec.shape)
      text += fmt::format(
          "\tsize mismatch for {}: copying a param with shape torch.Size([{}]) from checkpoint, the shape in current "
          "model is torch.Size([{}]).\n",
          spec.name, fmt::join(*found->shape, ", "), fmt::join(*spec.shape, ", "));
  }
  for (const tenon::TensorSpec& spec : have.tensors)
    if (find(want, spec.name) == nullptr)
      text += fmt::format("\tUnexpected key(s) in state_dict: \"{}\". \n", spec.name);
  return text;
}

void look_at(const tenon::Report& report, const tenon::Listing* checkpoint) {
  require(report.causes.size() <= 5);
  for (const tenon::Cause& cause : report.causes) {
    require(!cause.summary.empty() && cause.confidence > 0 && cause.confidence <= 1);
    for (const std::size_t op : cause.ops) require(op < report.plan.ops.size());
  }
  tenon::render_text(report, tenon::CommandHint{}, tenon::TextStyle{});
  tenon::render_json(report, "check");
  if (checkpoint != nullptr) tenon::rehearse(report.plan, *checkpoint);  // what is shown has been replayed
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider bytes(data, size);
  tenon::Listing have, want;
  while (bytes.remaining_bytes() > 0 && have.tensors.size() + want.tensors.size() < 200) add_rows(bytes, have, want);
  look_at(tenon::diagnose(have, want), &have);
  const std::string text = text_of(have, want);
  look_at(tenon::explain({text, {}, {}}), nullptr);
  look_at(tenon::explain({text, have, {}}), nullptr);
  look_at(tenon::explain({text, {}, want}), nullptr);
  return 0;
}
