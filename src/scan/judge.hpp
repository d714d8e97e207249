// Judge: what it means that a pickle names a class or function. Exact names decide what is safe; all else is at best
// unknown.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tenon/scan.hpp>

#include "scan/allowed_globals.hpp"

namespace tenon::scanning {

struct Judgement {
  ScanVerdict verdict = ScanVerdict::UnknownCode;
  std::string why;
  std::optional<Use> use;  ///< of a safe one
};

enum class Home : std::uint8_t {
  Pickle,      ///< anywhere
  Archive,     ///< an archive of PyTorch's without code
  BareScript,  ///< an archive of LibTorch or TorchScript whose code defines no function
};

/// `module` and `name` as written in the file.
Judgement judge(std::string_view module, std::string_view name, Home home);

/// `__builtin__` of Python 2 is `builtins`, `copy_reg` is `copyreg`.
std::string_view modern_module(std::string_view module);

}  // namespace tenon::scanning
