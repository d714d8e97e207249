#include "scan/pickle_scan.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "scan/denied_globals.hpp"
#include "scan/joblib_arrays.hpp"
#include "scan/pickle_judge.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;
using container::NodeId;
using container::NodeKind;
using container::PickleAttempt;
using container::PickleTree;

bool is_dotted_name(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const bool ascii =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    return ascii || static_cast<signed char>(c) < 0;
  });
}

bool names_danger(const PickleTree& tree) {
  return std::any_of(tree.globals().begin(), tree.globals().end(), [](const container::PickleGlobal& global) {
    return is_dotted_name(global.module) &&
           judge(global.module, global.name, Home::Pickle).verdict == ScanVerdict::Dangerous;
  });
}

bool calls_something(const PickleTree& tree) {
  for (NodeId node = 0; node < tree.node_count(); ++node) {
    if (tree.kind(node) != NodeKind::Call) continue;
    const NodeId function = tree.call(node).function;
    if (tree.kind(function) != NodeKind::Global) continue;
    const auto& global = tree.global(function);
    if (is_dotted_name(global.module) && is_dotted_name(global.name)) return true;
  }
  return false;
}

bool is_a_pickle(const PickleAttempt& attempt, Start start) {
  switch (start) {
    case Start::Certain: return true;
    case Start::Likely: return attempt.complete() || names_danger(attempt.tree) || calls_something(attempt.tree);
    case Start::Stray:
      return (attempt.complete() && (!attempt.tree.globals().empty() || attempt.opcodes > 8)) ||
             names_danger(attempt.tree) || calls_something(attempt.tree);
  }
  return false;
}

/// What the pickle names before its end could be imported, and it ends well or names something dangerous.
bool reaches_a_name(const PickleAttempt& attempt) {
  if (names_danger(attempt.tree)) return true;
  const auto globals = attempt.tree.globals();
  return attempt.complete() && std::any_of(globals.begin(), globals.end(), [](const container::PickleGlobal& global) {
           return is_dotted_name(global.module) && is_dotted_name(global.name);
         });
}

/// The limits of an attempt where nothing says that a pickle starts; nothing when the file has had its share of them.
std::optional<Limits> limits_of_attempt(const Part& part, Collector& out) {
  Budget& budget = out.budget();
  Limits limits = out.limits();
  const bool is_many = ++budget.attempts > limits.scan_attempts;
  if (is_many || budget.stray_opcodes >= limits.scan_stray_opcodes) {
    out.add_limit(ScanVerdict::UnknownCode, is_many ? &Limits::scan_attempts : &Limits::scan_stray_opcodes,
                  "too many places where a pickle may start", part);
    return std::nullopt;
  }
  limits.pickle_opcodes = std::min(limits.pickle_opcodes, limits.scan_stray_opcodes - budget.stray_opcodes);
  return limits;
}

void add_problems(const PickleAttempt& attempt, const Part& part, Collector& out) {
  for (const Error& complaint : attempt.complaints) out.add(complaint, "pickle-malformed", part);
  if (attempt.error) out.add(*attempt.error, "pickle-malformed", part);
}

bool is_padding(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) {
    return b == std::byte{0} || b == std::byte{' '} || b == std::byte{'\n'} || b == std::byte{'\r'} ||
           b == std::byte{'\t'};
  });
}

/// `c` or `i` and two lines of names: a GLOBAL of protocol 0 in the middle of something.
bool begins_like_global(std::string_view text) {
  if (text.size() < 5 || (text[0] != 'c' && text[0] != 'i' && text[0] != '(')) return false;
  if (text[0] == '(') return text.size() > 5 && (text[1] == 'c' || text[1] == 'S' || text[1] == 'V' || text[1] == 'i');
  const std::size_t first = text.substr(0, 200).find('\n');
  if (first == std::string_view::npos || !is_dotted_name(text.substr(1, first - 1))) return false;
  const std::size_t second = text.substr(0, first + 200).find('\n', first + 1);
  return second != std::string_view::npos && is_dotted_name(text.substr(first + 1, second - first - 1));
}

/// The next place at or behind `at` where a pickle may start.
std::size_t next_start(std::string_view text, std::size_t at) {
  for (; at + 4 < text.size(); ++at) {
    at = text.find_first_of(std::string_view("\x80"
                                             "ci",
                                             3),
                            at);
    if (at == std::string_view::npos || at + 4 >= text.size()) break;
    if (begins_like_pickle(text.substr(at)) || begins_like_global(text.substr(at))) return at;
  }
  return std::string_view::npos;
}

void scan_rest(const Part& rest, Collector& out) {
  out.add_unexplained(rest, 0, rest.bytes.size());
  out.add(ScanVerdict::UnknownCode, "pickle-trailing-bytes", rest, 0,
          base::plural(rest.bytes.size(), "byte") + " that belong to no pickle follow");
  scan_strays(rest, out);
}

}  // namespace

bool begins_like_pickle(std::string_view bytes) {
  return bytes.size() > 1 && bytes[0] == '\x80' && bytes[1] >= 0 && bytes[1] <= 5;
}

std::optional<PickleAttempt> scan_one_pickle(const Part& part, Start start, const PickleSetting& setting,
                                             Collector& out) {
  Budget& budget = out.budget();
  Limits limits = out.limits();
  if (start == Start::Stray) {
    const auto fewer = limits_of_attempt(part, out);
    if (!fewer) return std::nullopt;
    limits = *fewer;
  }
  const auto raw_arrays = [&](const PickleTree& tree, NodeId built, std::uint64_t position) {
    return joblib_array_bytes(tree, built, part.from(position), out);
  };
  PickleAttempt attempt =
      container::attempt_pickle({part.bytes, out.file(), part.member, part.origin}, limits, raw_arrays);
  if (start == Start::Stray) budget.stray_opcodes += attempt.opcodes;
  if (!is_a_pickle(attempt, start)) return std::nullopt;
  budget.scanned_bytes += attempt.end_bytes;
  judge_pickle(attempt.tree, part, setting, out);
  add_problems(attempt, part, out);
  return attempt;
}

bool scan_head(const Part& part, Collector& out) {
  constexpr int kMostPickles = 16;  // PyTorch reads three small ones before that of the tensors
  bool found = false;
  Part rest = part;
  for (int i = 0; i < kMostPickles && !rest.bytes.empty(); ++i) {
    const auto limits = limits_of_attempt(rest, out);
    if (!limits) break;
    const PickleAttempt attempt =
        container::attempt_pickle({rest.bytes, out.file(), rest.member, rest.origin}, *limits, {});
    out.budget().stray_opcodes += attempt.opcodes;
    if (attempt.error && attempt.error->code == Code::Limit)
      out.add(*attempt.error, "scan-limit", rest, ScanVerdict::UnknownCode);
    if (reaches_a_name(attempt)) {
      if (!std::exchange(found, true))
        out.add(ScanVerdict::Malformed, "polyglot", part, 0,
                "the file is of one format and begins as a pickle as well");
      judge_pickle(attempt.tree, rest, {}, out);
    }
    if (!attempt.complete()) break;
    rest = rest.from(attempt.end_bytes);
  }
  return found;
}

void scan_strays(const Part& part, Collector& out) {
  const std::string_view text = as_text(part.bytes);
  for (std::size_t at = next_start(text, 0); at != std::string_view::npos; at = next_start(text, at)) {
    const auto found = scan_one_pickle(part.from(at), Start::Stray, {}, out);
    if (out.budget().attempts > out.limits().scan_attempts) return;
    at += found && found->end_bytes > 0 ? found->end_bytes : 1;
  }
}

bool scan_pickles(const Part& part, Start start, const PickleSetting& setting, Collector& out) {
  auto attempt = scan_one_pickle(part, start, setting, out);
  if (!attempt) return false;
  std::uint64_t at = 0;
  for (;;) {
    at += attempt->end_bytes;
    const Part rest = part.from(at);
    if (attempt->error) {
      scan_strays(rest.bytes.empty() ? rest : rest.from(1), out);
      out.add_unexplained(rest, 0, rest.bytes.size());
      return true;
    }
    if (is_padding(rest.bytes)) return true;
    attempt =
        scan_one_pickle(rest, begins_like_pickle(as_text(rest.bytes)) ? Start::Certain : Start::Likely, setting, out);
    if (!attempt) {
      scan_rest(rest, out);
      return true;
    }
  }
}

}  // namespace tenon::scanning
