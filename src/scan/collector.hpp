// Collector: gathers what a scan finds in one file, and holds the budgets that keep a forged file from costing more
// than a real one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include <tenon/error.hpp>
#include <tenon/limits.hpp>
#include <tenon/scan.hpp>

namespace tenon::scanning {

/// Bytes that are looked into for themselves: the file, an archive's entry, a pickle inside a pickle.
struct Part {
  std::span<const std::byte> bytes;
  std::string member;        ///< "" for the file itself
  std::uint64_t origin = 0;  ///< offset of `bytes` within the member, for messages
  unsigned depth = 0;        ///< how many other parts are around it

  Part inside(std::span<const std::byte> content, const std::string& name) const;
  Part from(std::uint64_t offset) const { return {bytes.subspan(offset), member, origin + offset, depth}; }
};

/// What all parts of one file use up together.
struct Budget {
  std::uint64_t unpacked_bytes = 0;
  std::uint64_t attempts = 0;
  std::uint64_t stray_opcodes = 0;
  std::uint64_t scanned_bytes = 0;
  std::uint64_t checked_bytes = 0;  ///< of tensors, for their checksums
  bool looks_beside = false;        ///< the file has a folder, in which the files that it names may stand
};

class Collector {
 public:
  Collector(std::string file, const Limits& limits);
  /// Gathers for itself and draws on the same budgets.
  Collector(const Collector& parent, std::shared_ptr<Budget> shared);
  Collector separate() const { return {*this, budget_}; }

  const std::string& file() const { return result_.file; }
  const Limits& limits() const { return limits_; }
  Budget& budget() { return *budget_; }

  void add(ScanFinding finding);
  void add(ScanVerdict verdict, std::string_view rule, const Part& part, std::uint64_t offset, std::string why);
  /// A reader's Error as what it says about the file.
  void add(const Error& error, std::string_view rule, const Part& part, ScanVerdict verdict = ScanVerdict::Malformed);
  void add_global(std::string name, ScanVerdict verdict);
  void add_unexplained(const Part& part, std::uint64_t offset, std::uint64_t bytes);
  void note(std::string text);
  void name_format(std::string_view name);  ///< the first, outermost name stays
  /// Says once per part that a limit ended the search: the file asks for too much, or is too much to look through.
  void add_limit(ScanVerdict verdict, std::uint64_t Limits::*limit, std::string what, const Part& part,
                 std::uint64_t offset = 0);

  /// Takes over another's findings; `worst` caps their verdicts.
  void merge(ScannedFile other, ScanVerdict worst = ScanVerdict::Dangerous);

  ScanVerdict verdict() const { return result_.verdict; }
  bool has_dangerous() const { return result_.verdict == ScanVerdict::Dangerous; }
  ScannedFile take();

 private:
  ScannedFile result_;
  Limits limits_;
  std::shared_ptr<Budget> budget_;
  std::uint64_t dropped_ = 0;
  std::unordered_map<std::string, std::size_t> global_rows_;
  std::set<std::string> seen_;  ///< (rule, member, global, why): told once
};

}  // namespace tenon::scanning
