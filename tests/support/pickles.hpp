// The parts of a pickle as strings, protocol 2 without memo: for tests that assemble one by hand.
#pragma once

#include <string>
#include <string_view>

namespace tenon::test::pickles {

inline std::string text(std::string_view s) {
  std::string out = "X";
  for (int i = 0; i < 4; ++i) out += static_cast<char>(s.size() >> (8 * i));
  return out.append(s);
}
inline std::string number(int n) {
  return "J" + std::string{static_cast<char>(n), static_cast<char>(n >> 8), static_cast<char>(n >> 16),
                           static_cast<char>(n >> 24)};
}
template <class... Parts>
std::string tuple(const Parts&... parts) {
  return "(" + (std::string() + ... + parts) + "t";
}
template <class... Parts>
std::string list(const Parts&... parts) {
  return "](" + (std::string() + ... + parts) + "e";
}
template <class... Parts>
std::string dict(const Parts&... parts) {
  return "}(" + (std::string() + ... + parts) + "u";
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
template <class... Parts>
std::string call(std::string_view module, std::string_view name, const Parts&... parts) {
  return global(module, name) + tuple(parts...) + "R";
}
inline std::string object(std::string_view module, std::string_view name, const std::string& state) {
  return global(module, name) + ")\x81" + state + "b";
}
inline const std::string kNone = "N";
inline const std::string kTrue = "\x88";
inline const std::string kFalse = "\x89";
inline const std::string kOrdered = call("collections", "OrderedDict");

inline std::string storage(std::string_view key, int count, std::string_view kind = "FloatStorage") {
  return tuple(text("storage"), global("torch", kind), text(key), text("cpu"), number(count)) + "Q";
}
/// A float32 tensor of two elements over storage `key`, from element `offset` on.
inline std::string pair(std::string_view key = "0", int offset = 0) {
  return call("torch._utils", "_rebuild_tensor_v2", storage(key, 4), number(offset), tuple(number(2)), tuple(number(1)),
              kFalse, kOrdered);
}

}  // namespace tenon::test::pickles
