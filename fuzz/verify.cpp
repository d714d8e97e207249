// libFuzzer: whatever the bytes, verify() gives an Error or an answer that says what is wrong. Digests that stand in
// the bytes are signed anew, so that what they are about is compared, and not only that they are damaged.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/verify.hpp>

#include "base/cursor.hpp"
#include "sign.hpp"
#include "small_limits.hpp"
#include "verify/verify_file.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

tenon::VerifyOptions options_of(tenon::Finite finite) {
  tenon::VerifyOptions options;
  options.finite = finite;
  options.limits = tenon::fuzz::small_limits();
  options.limits.expanded_view_bytes = 1 << 16;  // a view may repeat its bytes, and each tensor may be one
  return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  if (size % 2 == 0) tenon::fuzz::sign_archive(text);  // odd: damage of archives is told, too
  tenon::fuzz::sign_digests(text);
  const auto bytes = tenon::base::as_bytes(text);
  const auto file =
      tenon::io::MappedFile::of_bytes(std::vector<std::byte>(bytes.begin(), bytes.end()), "/nonexistent/fuzzed");
  for (const auto finite : {tenon::Finite::Ignore, tenon::Finite::Require}) try {
      const tenon::VerifiedFile answer =
          tenon::verification::verify_file(file, "/nonexistent/fuzzed", options_of(finite));
      require(answer.ok == answer.problems.empty());
      for (const tenon::Problem& problem : answer.problems) require(!problem.what.empty());
    } catch (const tenon::Error&) {
    }
  return 0;
}
