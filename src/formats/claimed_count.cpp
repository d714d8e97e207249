#include "formats/claimed_count.hpp"

#include <string>

#include "base/limit_error.hpp"
#include "base/text.hpp"

namespace tenon::formats {

std::uint64_t claimed_count(const base::Cursor& in, std::uint64_t at, std::uint64_t found, std::string_view things,
                            std::uint64_t least_bytes, const Limits& limits, std::string_view next) {
  const std::string what = "the file has too many " + std::string(things);
  if (found > limits.tabled_tensors)
    throw base::limit_error(in.where(at), what, {&Limits::tabled_tensors, limits}, base::count_text(found),
                            std::string(next));
  if (const std::uint64_t most = in.remaining() / least_bytes; found > most)
    throw in.error_at(at, Code::Corrupt, what, "at most " + base::count_text(most), base::count_text(found),
                      std::string(next));
  return found;
}

}  // namespace tenon::formats
