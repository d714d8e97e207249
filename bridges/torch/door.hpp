// The door between LibTorch and tenon: c10::Error goes out as tenon::Error. The only place that catches it.
#pragma once

#include <string>
#include <utility>

#include <torch/torch.h>

#include <tenon/error.hpp>

namespace tenon::torch_bridge {

/// Runs `work`; what LibTorch throws becomes Error Invalid about `file`.
template <class Work>
auto at_the_door(const std::string& file, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const c10::Error& error) {
    throw Error(Code::Invalid, {.file = file, .member = {}, .key = {}, .byte = {}}, "LibTorch refused the request", {},
                error.what_without_backtrace());
  }
}

}  // namespace tenon::torch_bridge
