// Hashes of small things, the same on every run.
#pragma once

#include <cstdint>

namespace tenon::match {

inline std::uint64_t mixed(std::uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

inline std::uint64_t combined(std::uint64_t a, std::uint64_t b) { return mixed(a ^ mixed(b)); }

}  // namespace tenon::match
