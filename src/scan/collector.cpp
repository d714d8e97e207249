#include "scan/collector.hpp"

#include <algorithm>
#include <utility>

#include "base/limit_error.hpp"
#include "base/text.hpp"

namespace tenon::scanning {

Part Part::inside(std::span<const std::byte> content, const std::string& name) const {
  return {content, member.empty() ? name : member + " > " + name, 0, depth + 1};
}

Collector::Collector(std::string file, const Limits& limits) : limits_(limits), budget_(std::make_shared<Budget>()) {
  result_.file = std::move(file);
}

Collector::Collector(const Collector& parent, std::shared_ptr<Budget> shared)
    : limits_(parent.limits_), budget_(std::move(shared)) {
  result_.file = parent.result_.file;
}

void Collector::add(ScanFinding finding) {
  result_.verdict = std::max(result_.verdict, finding.verdict);
  std::string identity = finding.rule + '\n' + finding.member + '\n' + finding.global + '\n';
  if (finding.global.empty()) identity += finding.why + '\n' + std::to_string(finding.offset.value_or(0));
  if (!seen_.insert(std::move(identity)).second) return;
  if (result_.findings.size() >= limits_.scan_findings && finding.verdict < ScanVerdict::Dangerous) {
    ++dropped_;
    return;
  }
  result_.findings.push_back(std::move(finding));
}

void Collector::add(ScanVerdict verdict, std::string_view rule, const Part& part, std::uint64_t offset,
                    std::string why) {
  ScanFinding finding;
  finding.rule = rule;
  finding.verdict = verdict;
  finding.member = part.member;
  finding.offset = part.origin + offset;
  finding.why = std::move(why);
  add(std::move(finding));
}

void Collector::add(const Error& error, std::string_view rule, const Part& part, ScanVerdict verdict) {
  ScanFinding finding;
  finding.rule = rule;
  finding.verdict = verdict;
  finding.member = part.member;
  finding.offset = error.where.byte ? *error.where.byte : part.origin;
  finding.why = (error.limit.empty() ? "" : "limit " + error.limit + ": ") + error.what_happened;
  if (!error.expected.empty()) finding.why += "; expected " + error.expected;
  if (!error.found.empty()) finding.why += (error.expected.empty() ? "; found " : ", found ") + error.found;
  add(std::move(finding));
}

void Collector::add_limit(ScanVerdict verdict, std::uint64_t Limits::*limit, std::string what, const Part& part,
                          std::uint64_t offset) {
  Where where;
  where.byte = part.origin + offset;
  add(base::limit_error(std::move(where), std::move(what), {limit, limits_}), "scan-limit", part, verdict);
}

void Collector::add_global(std::string name, ScanVerdict verdict) {
  const auto [row, is_new] = global_rows_.try_emplace(name, result_.globals.size());
  if (is_new)
    result_.globals.push_back({std::move(name), verdict});
  else
    result_.globals[row->second].verdict = std::max(result_.globals[row->second].verdict, verdict);
}

void Collector::add_unexplained(const Part& part, std::uint64_t offset, std::uint64_t bytes) {
  if (bytes > 0 && result_.unexplained.size() < limits_.scan_findings)
    result_.unexplained.push_back({part.member, part.origin + offset, bytes});
}

void Collector::note(std::string text) {
  if (std::find(result_.notes.begin(), result_.notes.end(), text) == result_.notes.end() &&
      result_.notes.size() < limits_.scan_findings)
    result_.notes.push_back(std::move(text));
}

void Collector::name_format(std::string_view name) {
  if (result_.format.empty()) result_.format = name;
}

void Collector::merge(ScannedFile other, ScanVerdict worst) {
  for (ScanFinding& finding : other.findings) {
    finding.verdict = std::min(finding.verdict, worst);
    add(std::move(finding));
  }
  result_.verdict = std::max(result_.verdict, std::min(other.verdict, worst));
  for (ScannedGlobal& global : other.globals) add_global(std::move(global.name), std::min(global.verdict, worst));
  for (UnexplainedBytes& bytes : other.unexplained) result_.unexplained.push_back(std::move(bytes));
  for (std::string& text : other.notes) note(std::move(text));
}

ScannedFile Collector::take() {
  if (dropped_ > 0) note(base::plural(dropped_, "finding") + " more of the same kinds");
  std::stable_sort(result_.findings.begin(), result_.findings.end(),
                   [](const ScanFinding& a, const ScanFinding& b) { return a.verdict > b.verdict; });
  result_.scanned_bytes = budget_->scanned_bytes;
  return std::move(result_);
}

}  // namespace tenon::scanning
