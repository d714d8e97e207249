#include "scan/judge.hpp"

#include <algorithm>
#include <utility>

#include "scan/denied_globals.hpp"

namespace tenon::scanning {

namespace {

constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {
    {"__builtin__", "builtins"},
    {"__builtins__", "builtins"},
    {"copy_reg", "copyreg"},
};

bool is_dunder(std::string_view part) { return part.size() > 4 && part.starts_with("__") && part.ends_with("__"); }

/// What pickles of plain objects name: `copyreg.__newobj__`.
bool is_constructor(std::string_view name) {
  return name == "__init__" || name == "__new__" || name == "__newobj__" || name == "__newobj_ex__";
}

std::string full_name(std::string_view module, std::string_view name) {
  std::string full(module);
  full += '.';
  full += name;
  return full;
}

/// A dotted name is looked up attribute by attribute: `collections` + `abc.sys.exit` leaves the module that it begins
/// in. Each part is judged as what it may be, and so is the rest from each part on.
std::optional<std::string> way_out(std::string_view name) {
  for (std::string_view rest = name;;) {
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    if (is_dunder(part) && (part != name || !is_constructor(part)))
      return "goes through `" + std::string(part) + "`, from which everything can be reached";
    if (is_dangerous_attribute(part)) return "takes `" + std::string(part) + "` out of a module that only imports it";
    if (part != name) {
      const auto denial = denial_of(rest);
      if (denial && denial->dangerous && (dot != std::string_view::npos || rest == name))
        return "reaches `" + std::string(rest) + "`, which " + std::string(denial->why);
    }
    if (dot == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(dot + 1);
  }
}

std::string in_python3(std::string_view written, std::string_view modern, std::string_view name) {
  return written == modern ? "" : " (" + full_name(modern, name) + " in Python 3)";
}

std::string_view family_of(std::string_view module) {
  const std::string_view top = module.substr(0, module.find('.'));
  if (top == "__main__") return "is a class of the script that saved the file: loading imports and calls it";
  if (top == "__torch__") return "is a class that the archive's own code defines";
  if (is_standard_library(top)) return "is a part of Python's library that is not on the list of plain data";
  return "is on no list: loading imports the package and calls it";
}

}  // namespace

std::string_view modern_module(std::string_view module) {
  for (const auto& [old, modern] : kRenamed)
    if (module == old) return modern;
  return module;
}

Judgement judge(std::string_view module, std::string_view name, Home home) {
  if (module.empty() && name.empty())
    return {ScanVerdict::UnknownCode, "the name is computed while loading, so that it cannot be told", {}};
  const std::string_view modern = modern_module(module);
  if (const auto use = allowed_use(modern, name)) return {ScanVerdict::Safe, "describes tensors or plain data", use};
  const bool is_own = home == Home::BareScript || (home == Home::Archive && module == "torch.jit._pickle");
  if (is_own && is_allowed_in_bare_script(module, name))
    return {ScanVerdict::Safe, "makes a list or an object of a class that the archive itself declares", Use::Value};
  const std::string aside = in_python3(module, modern, name);
  if (!is_own_package(module))
    if (const auto denial = denial_of(full_name(modern, name)); denial && denial->dangerous)
      return {ScanVerdict::Dangerous, std::string(denial->why) + aside, {}};
  if (auto out = way_out(name)) return {ScanVerdict::Dangerous, *out + aside, {}};
  return {ScanVerdict::UnknownCode, std::string(family_of(modern)) + aside, {}};
}

}  // namespace tenon::scanning
