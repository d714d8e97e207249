// scan: does loading a file run code, and whose? Nothing in the file is executed, imported or unpickled to find out.
//
//   safe          only what describes tensors and plain data, by an allow-list of exact names; every byte that a loader
//                 reads was understood
//   unknown_code  loading calls classes or functions that no list knows, or something could not be looked into
//   malformed     the file contradicts its format: loaders disagree about it, or fail
//   dangerous     loading runs commands, code or reads and writes other files
//
// A file has the worst verdict of its findings, in the order safe < unknown_code < malformed < dangerous.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/export.hpp>
#include <tenon/limits.hpp>

namespace tenon {

enum class ScanVerdict : std::uint8_t { Safe, UnknownCode, Malformed, Dangerous };

/// `safe`, `unknown_code`, `malformed`, `dangerous`.
TENON_API std::string_view scan_verdict_name(ScanVerdict verdict);

/// One reason why a file is not safe, and where it stands.
struct ScanFinding {
  std::string rule;  ///< stable id of the rule, for filters and SARIF: `pickle-dangerous-global`
  ScanVerdict verdict = ScanVerdict::UnknownCode;
  std::string member;                   ///< archive entry, `outer.zip > inner.pkl` for nested ones; "" for the file
  std::optional<std::uint64_t> offset;  ///< byte in the member, or in the file when there is no member
  std::optional<std::uint64_t> opcode;  ///< count of pickle opcodes before this one
  std::string global;                   ///< `module.name` as written in the file; "" where none is meant
  std::string preview;                  ///< the arguments it is called with, escaped, at most 80 characters
  std::string why;                      ///< one clause; the canonical name where it differs from `global`
  std::string reference;                ///< where more is told: a document's name; "" for none
};

/// A class or function that a pickle names.
struct ScannedGlobal {
  std::string name;  ///< `module.name` as written in the file
  ScanVerdict verdict = ScanVerdict::Safe;
};

/// Bytes that belong to nothing that the format explains.
struct UnexplainedBytes {
  std::string member;
  std::uint64_t offset = 0, bytes = 0;
};

struct ScannedFile {
  std::string file;  ///< path as given, or as found in a folder
  ScanVerdict verdict = ScanVerdict::Safe;
  std::string format;                  ///< what the content is: "PyTorch archive", "pickle", ...
  std::vector<ScanFinding> findings;   ///< in file order of discovery, worst first
  std::vector<ScannedGlobal> globals;  ///< every one, once, whatever its verdict
  std::vector<UnexplainedBytes> unexplained;
  std::vector<std::string> notes;   ///< what was seen and changes no verdict
  std::uint64_t scanned_bytes = 0;  ///< of what was looked into; tensor bytes are passed over
};

struct ScanOptions {
  Limits limits = {};
};

/// Scans one file. What is wrong with the bytes is an answer; throws Error only where they cannot be had: NotFound,
/// Read. Tensor bytes are not read. Side files that the file names are looked at by name and size, never opened.
TENON_API ScannedFile scan(const std::string& path, const ScanOptions& options = {});

/// The same for bytes in memory; `name` is for messages. Side files are not looked at.
TENON_API ScannedFile scan(std::span<const std::byte> bytes, const std::string& name, const ScanOptions& options = {});

/// All that is no folder below a folder, in the order of its name; a file stands for itself. Links are listed: scan()
/// reads the file that one leads to, and throws for a link to a folder and for what is no regular file.
/// Throws Error: NotFound (also of a folder without files), Read (a folder that cannot be listed).
TENON_API std::vector<std::string> files_to_scan(const std::string& path);

}  // namespace tenon
