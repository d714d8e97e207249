// The door between LibTorch and tenon: c10::Error goes out as tenon::Error. The only place that catches it.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <torch/torch.h>

#include <tenon/error.hpp>

namespace tenon::torch_bridge {

[[noreturn]] inline void refuse(const std::string& file, std::string words) {
  throw Error(Code::Invalid, {.file = file, .member = {}, .key = {}, .byte = {}}, "LibTorch refused the request", {},
              std::move(words));
}

/// Runs `work`; what LibTorch throws becomes Error Invalid about `file`. Some of its checks throw std::runtime_error
/// (ATen/InferSize.h), which tenon itself never does.
template <class Work>
auto at_the_door(const std::string& file, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const c10::Error& error) {
    refuse(file, error.what_without_backtrace());
  } catch (const std::runtime_error& error) {
    refuse(file, error.what());
  }
}

}  // namespace tenon::torch_bridge
