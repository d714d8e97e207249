// Error: the one exception type of tenon, made of facts. The sentence is built by render/, never here.
//
// A mismatch between a checkpoint and a model is an answer (a Report), not an Error. An Error means that the question
// could not be answered: a file is missing, damaged, of an unknown kind, or an output could not be written.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <tenon/export.hpp>

namespace tenon {

/// One code per decision that a caller can take.
enum class Code : std::uint8_t {
  NotFound,     ///< a file, member or key is not there
  Read,         ///< the operating system refused to read, or the file changed while it was open
  Corrupt,      ///< the bytes contradict their format or themselves
  Unsupported,  ///< a known format or feature that tenon does not read
  Limit,        ///< a limit of `Limits` was passed; see `expected`
  Write,        ///< an output could not be written; the old output is untouched
  Exists,       ///< the output exists and replacing it was not asked for
  Invalid,      ///< the caller's request makes no sense (arguments, options, a plan)
  Refused,      ///< saving would store nonsense (no tensors, placeholders, colliding names)
  Cancelled,    ///< the caller asked to stop
};

/// Where a fact was found. Empty members are unknown.
struct Where {
  std::string file;                   ///< path as given by the caller
  std::string member;                 ///< entry of an archive, e.g. `archive/data.pkl`
  std::string key;                    ///< name of a tensor or of a field
  std::optional<std::uint64_t> byte;  ///< offset in the member, or in the file when there is no member
};

/// Thrown where the facts are known; caught at the doors only (main, bridges).
class TENON_API Error : public std::exception {
 public:
  Error(Code error_code, Where place, std::string happened, std::string expected_facts = {},
        std::string found_facts = {}, std::string next_step = {});

  /// One line for logs: `file: member: what, expected ..., found ...`. Lives as long as the Error.
  const char* what() const noexcept override { return line_.c_str(); }

  Code code;
  Where where;
  std::string what_happened;  ///< one clause, lower case, no full stop
  std::string expected;
  std::string found;
  std::string next;  ///< what the user can do now
  /// The member of `Limits` that was passed; "" where none is, or it is no limit of a file.
  std::string limit;

 private:
  std::string line_;
};

/// Thrown by TENON_ASSERT: tenon itself is wrong. Never caused by a file or an argument.
class TENON_API Bug : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The stable name of a code in JSON: `not_found`, `corrupt`, ...
TENON_API std::string_view code_name(Code code);

}  // namespace tenon

#define TENON_STRINGIFY_(x) #x
#define TENON_STRINGIFY(x) TENON_STRINGIFY_(x)
/// States what must hold whatever the input; throws Bug, never aborts the host process.
#define TENON_ASSERT(condition)                                                                   \
  do {                                                                                            \
    if (!(condition)) throw ::tenon::Bug(__FILE__ ":" TENON_STRINGIFY(__LINE__) ": " #condition); \
  } while (false)
