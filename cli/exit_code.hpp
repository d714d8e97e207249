// The contract's exit codes, in one place.
#pragma once

#include <tenon/error.hpp>

namespace tenon::cli {

inline constexpr int kYes = 0;         ///< yes, fits, same, done
inline constexpr int kNo = 1;          ///< the answer is no: mismatch, differs, damaged
inline constexpr int kUsage = 2;       ///< the request makes no sense
inline constexpr int kUnreadable = 3;  ///< an input cannot be read
inline constexpr int kUnwritten = 4;   ///< an output could not be written; the old one is untouched
inline constexpr int kBug = 70;        ///< tenon itself is wrong
inline constexpr int kInterrupted = 130;

inline constexpr int exit_code(Code code) {
  switch (code) {
    case Code::NotFound:
    case Code::Read:
    case Code::Corrupt:
    case Code::Unsupported:
    case Code::Limit: return kUnreadable;
    case Code::Write:
    case Code::Exists:
    case Code::Refused: return kUnwritten;
    case Code::Invalid: return kUsage;
    case Code::Cancelled: return kInterrupted;
  }
  return kBug;
}

}  // namespace tenon::cli
