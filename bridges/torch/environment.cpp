#include "torch/environment.hpp"

#include <string>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "torch/dtypes.hpp"

namespace tenon::torch_bridge {
namespace {

std::string release() {
  return "libtorch " + std::to_string(TORCH_VERSION_MAJOR) + "." + std::to_string(TORCH_VERSION_MINOR) + "." +
         std::to_string(TORCH_VERSION_PATCH);
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__);
#elif defined(__GNUC__)
  return "GCC " + std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__);
#else
  return "unknown";
#endif
}

std::string system() {
#if defined(__x86_64__)
  const std::string machine = "x86_64";
#elif defined(__aarch64__)
  const std::string machine = "aarch64";
#else
  const std::string machine = "unknown";
#endif
#if defined(__linux__)
  return "Linux " + machine;
#elif defined(__APPLE__)
  return "Darwin " + machine;
#else
  return "unknown " + machine;
#endif
}

/// LibTorch says it in one line of its configuration only.
std::string cpu() {
  constexpr std::string_view kBefore = "CPU capability usage: ";
  const std::string config = at::show_config();
  const auto at = config.find(kBefore);
  if (at == std::string::npos) return "null";
  const auto begin = at + kBefore.size();
  return as_json(config.substr(begin, config.find_first_of("\n ", begin) - begin));
}

/// As Python writes it: `float32`.
std::string default_dtype() {
  const auto type = ::torch::typeMetaToScalarType(::torch::get_default_dtype());
  const auto dtype = dtype_of(type);
  return dtype ? std::string(dtype_name(*dtype)) : ::torch::toString(type);
}

}  // namespace

JsonMembers environment() {
  return {{"compiler", as_json(compiler())},
          {"cpu", cpu()},
          {"default_dtype", as_json(default_dtype())},
          {"deterministic", at::globalContext().deterministicAlgorithms() ? "true" : "false"},
          {"framework", as_json(release())},
          {"os", as_json(system())},
          {"threads", std::to_string(at::get_num_threads())}};
}

}  // namespace tenon::torch_bridge
