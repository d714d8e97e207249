#include <tenon/error.hpp>

#include <utility>

namespace tenon {

namespace {

std::string one_line(const Error& error) {
  std::string line;
  const auto add = [&](std::string_view separator, std::string_view part) {
    if (part.empty()) return;
    if (!line.empty()) line += separator;
    line += part;
  };
  add("", error.where.file);
  add(": ", error.where.member);
  add(": ", error.where.key);
  if (error.where.byte) add(": ", "byte " + std::to_string(*error.where.byte));
  add(": ", error.what_happened);
  if (!error.expected.empty()) add(", ", "expected " + error.expected);
  if (!error.found.empty()) add(", ", "found " + error.found);
  return line;
}

}  // namespace

Error::Error(Code error_code, Where place, std::string happened, std::string expected_facts, std::string found_facts,
             std::string next_step)
    : code(error_code),
      where(std::move(place)),
      what_happened(std::move(happened)),
      expected(std::move(expected_facts)),
      found(std::move(found_facts)),
      next(std::move(next_step)) {
  line_ = one_line(*this);
}

std::string_view code_name(Code code) {
  switch (code) {
    case Code::NotFound: return "not_found";
    case Code::Read: return "read";
    case Code::Corrupt: return "corrupt";
    case Code::Unsupported: return "unsupported";
    case Code::Limit: return "limit";
    case Code::Write: return "write";
    case Code::Exists: return "exists";
    case Code::Invalid: return "invalid";
    case Code::Refused: return "refused";
    case Code::Cancelled: return "cancelled";
  }
  throw Bug("unknown Code");
}

}  // namespace tenon
