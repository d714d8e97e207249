// The classes and functions that describe tensors and plain data: exact pairs of module and name, and nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::scanning {

/// What an allowed class or function may be given. Everything a call hands on is judged for itself as well.
enum class Use : std::uint8_t {
  Value,          ///< a class, constant or function that is harmless whatever it gets
  Type,           ///< one of Python's own types: may also make the values of a defaultdict
  Rebuild,        ///< makes a tensor: may also be what _rebuild_from_type calls
  DefaultDict,    ///< its factory must be a Type
  Encode,         ///< to Latin-1 or UTF-8 only: other codecs are looked up by name
  Reconstructor,  ///< its first two arguments must be classes by name
  FromType,       ///< its first argument must be a Rebuild
};

/// How the pair may be used; nothing when it is not on the list. `module` in Python 3's spelling (`builtins`).
std::optional<Use> allowed_use(std::string_view module, std::string_view name);

/// Only inside an archive whose code records define no function: LibTorch's and TorchScript's own calls.
bool is_allowed_in_bare_script(std::string_view module, std::string_view name);

}  // namespace tenon::scanning
