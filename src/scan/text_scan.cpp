#include "scan/text_scan.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "base/cursor.hpp"
#include "base/utf8.hpp"
#include "scan/json_tree.hpp"
#include "scan/keras_scan.hpp"
#include "scan/pickle_scan.hpp"
#include "scan/preview.hpp"
#include "scan/side_files.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// `word` with nothing of a word on either side.
bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word(text[at - 1]);
    const std::size_t end = at + word.size();
    if (begins && (end == text.size() || !is_word(text[end]))) return true;
  }
  return false;
}

/// Code without the words in its quotes.
std::string without_literals(std::string_view code) {
  std::string out;
  char quote = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (quote != 0 && code[i] == '\\') {
      ++i;
    } else if (quote != 0) {
      if (code[i] == quote) quote = 0;
    } else if (code[i] == '\'' || code[i] == '"') {
      quote = code[i];
    } else {
      out += code[i];
    }
  }
  return out;
}

/// Shards are named by single relative components; anything else makes a loader open another file.
void check_index(const JsonValue& map, const Part& part, Collector& out) {
  for (const auto& [key, value] : map.members) {
    if (value.kind != JsonValue::Kind::String) {
      out.add(ScanVerdict::Malformed, "index-path", part, value.at,
              "the index maps a tensor to something that is no file name");
      continue;
    }
    const SidePath path = judge_side_path(value.text);
    if (path == SidePath::Leaves)
      out.add(ScanVerdict::Dangerous, "index-path", part, value.at,
              "the index names a file outside its folder: `" + preview(value.text) + "`");
    else if (path == SidePath::Below)
      out.add(ScanVerdict::Malformed, "index-path", part, value.at,
              "the index names a file in another folder: `" + preview(value.text) + "`");
  }
}

/// Templates of tokenizers anywhere in a configuration, and code that it tells loaders to fetch.
void check_settings(const JsonValue& value, const Part& part, Collector& out) {
  for (const auto& [key, member] : value.members) {
    if ((key == "chat_template" || key == "template") && member.kind == JsonValue::Kind::String)
      check_template(member.text, part, member.at, out);
    if (key == "chat_template")
      for (const JsonValue& item : member.items)
        if (item.kind == JsonValue::Kind::String) check_template(item.text, part, item.at, out);
    if (key == "auto_map" && member.kind == JsonValue::Kind::Object)
      out.add(ScanVerdict::UnknownCode, "remote-code", part, member.at,
              "names classes in Python files beside the model, which loaders run when they trust remote code");
    check_settings(member, part, out);
  }
  for (const JsonValue& item : value.items) check_settings(item, part, out);
}

/// Where the literal that begins at `at` ends: behind its closing quote.
std::size_t end_of_literal(std::string_view code, std::size_t at) {
  const char quote = code[at];
  for (std::size_t i = at + 1; i < code.size(); ++i) {
    if (code[i] == '\\')
      ++i;
    else if (code[i] == quote)
      return i + 1;
  }
  return code.size();
}

bool is_quote(char c) { return c == '\'' || c == '"'; }

/// Jinja reads Python's escapes in literals: `\x5f`, `\u005F`, `\137`, `\N{LOW LINE}`.
bool hides_underscores(std::string_view block) {
  const std::string low = lower(block);
  return low.find("\\x5f") != std::string::npos || low.find("\\u005f") != std::string::npos ||
         low.find("\\u0000005f") != std::string::npos || low.find("\\137") != std::string::npos ||
         low.find("\\n{low line}") != std::string::npos;
}

std::string_view dangerous_block(std::string_view block) {
  if (block.find("__") != std::string_view::npos) return "the template reaches for Python's internals (`__`)";
  if (hides_underscores(block)) return "the template hides underscores behind escapes";
  const std::string code = without_literals(block);
  for (const std::string_view word : {"mro", "globals", "subclasses", "popen"})
    if (has_word(block, word)) return "the template reaches for Python's internals (`mro`, `globals` and the like)";
  for (const std::string_view word :
       {"lipsum", "cycler", "joiner", "attr", "getattr", "import", "include", "os", "subprocess"})
    if (has_word(code, word))
      return "the template reaches beyond the text that it formats (`attr`, `import` and the like)";
  return {};
}

/// An expression that makes a text out of others: `~`, or a literal with an operator or filter beside it.
bool is_computed_text(std::string_view code) {
  bool has_literal = false, has_operator = false;
  for (std::size_t i = 0; i < code.size();) {
    if (is_quote(code[i])) {
      has_literal = true;
      i = end_of_literal(code, i);
      has_operator = has_operator || code.substr(i).starts_with('.');  // one of its methods
      continue;
    }
    if (code[i] == '~') return true;
    has_operator = has_operator || std::string_view("+*%|").find(code[i]) != std::string_view::npos;
    ++i;
  }
  return has_literal && has_operator;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

std::string_view leading_name(std::string_view code) {
  const auto end = std::find_if(code.begin(), code.end(), [](char c) { return !is_word(c) && c != '.'; });
  return code.substr(0, static_cast<std::size_t>(end - code.begin()));
}

/// `in [...]` is a list, `x[...]` is a subscript.
bool ends_in_keyword(std::string_view code) {
  for (const std::string_view word : {"in", "if", "else", "elif", "and", "or", "not", "is"})
    if (code.ends_with(word) && (code.size() == word.size() || !is_word(code[code.size() - word.size() - 1])))
      return true;
  return false;
}

/// The names that a block sets to a computed text: `set NAME = ...`, `set NAME` with a body, `for NAME in ...`,
/// `with NAME = ...`, and macros, which return text.
void note_computed(std::string_view block, std::set<std::string, std::less<>>& computed) {
  if (!block.starts_with("{%")) return;
  std::string_view code = block.substr(2);
  if (code.starts_with('-') || code.starts_with('+')) code.remove_prefix(1);
  code = trimmed(code);
  const std::string_view word = leading_name(code);
  if (word != "set" && word != "for" && word != "with" && word != "macro") return;
  code = trimmed(code.substr(word.size()));
  if (word == "macro") return static_cast<void>(computed.emplace(leading_name(code)));
  const std::size_t equals = code.find(word == "for" ? std::string_view(" in ") : std::string_view("="));
  if (equals != std::string_view::npos && !is_computed_text(code.substr(equals + 1))) return;
  std::string_view names = code.substr(0, equals);
  while (!names.empty()) {
    const std::string_view name = leading_name(names);
    if (!name.empty()) computed.emplace(name);
    names.remove_prefix(std::max<std::size_t>(name.size(), 1));
  }
}

/// The text from `at` to the bracket that closes what stands open there.
std::string_view up_to_closing(std::string_view code, std::size_t at) {
  int open = 0;
  for (std::size_t i = at; i < code.size();) {
    if (is_quote(code[i])) {
      i = end_of_literal(code, i);
      continue;
    }
    if (code[i] == '(' || code[i] == '[' || code[i] == '{') ++open;
    if ((code[i] == ')' || code[i] == ']' || code[i] == '}') && open-- == 0) return code.substr(at, i - at);
    ++i;
  }
  return code.substr(at);
}

bool is_slice(std::string_view subscript) { return without_literals(subscript).find(':') != std::string::npos; }

/// A plain text or number, and whatever follows it as a further argument.
bool begins_as_plain_literal(std::string_view argument) {
  argument = trimmed(argument);
  if (argument.empty()) return false;
  const std::size_t digits = std::min(argument.find_first_not_of("0123456789"), argument.size());
  if (!is_quote(argument[0]) && digits == 0) return false;
  const std::string_view rest = trimmed(argument.substr(digits > 0 ? digits : end_of_literal(argument, 0)));
  return rest.empty() || rest[0] == ',' || rest[0] == ')';
}

/// Filters that take an attribute's name, as `attribute=` or as their first argument.
bool takes_computed_attribute(std::string_view code) {
  for (const std::string_view word : {"attribute", "selectattr", "rejectattr", "groupby"}) {
    for (std::size_t at = code.find(word); at != std::string_view::npos; at = code.find(word, at + 1)) {
      std::string_view rest = trimmed(code.substr(at + word.size()));
      const bool is_named = word == "attribute" && rest.starts_with('=') && !rest.starts_with("==");
      const bool is_called = word != "attribute" && rest.starts_with('(');
      if (!is_named && !is_called) continue;
      rest.remove_prefix(1);
      if (trimmed(rest).starts_with("attribute")) continue;  // told when that word is met
      if (!begins_as_plain_literal(up_to_closing(rest, 0))) return true;
    }
  }
  return false;
}

/// Text before a literal ends in a call that only looks for it or takes it out.
bool is_argument_of_replacing(std::string_view before) {
  const std::size_t open = before.rfind('(');
  if (open == std::string_view::npos || before.find(')', open) != std::string_view::npos) return false;
  const std::string_view function = trimmed(before.substr(0, open));
  for (const std::string_view name : {"replace", "split", "strip", "rstrip", "lstrip", "startswith", "endswith"})
    if (function.ends_with(name)) return true;
  return false;
}

/// Why a block may look up a name that stands nowhere in the template.
std::string_view computed_name(std::string_view block, const std::set<std::string, std::less<>>& computed) {
  if (takes_computed_attribute(block)) return "the template takes attributes by a computed name";
  for (std::size_t i = 2; i < block.size();) {
    if (is_quote(block[i])) {
      const std::size_t end = end_of_literal(block, i);
      const std::string_view literal = block.substr(i + 1, end - i - 1);
      if (literal.size() == 2 && literal[0] == '_' && !is_argument_of_replacing(block.substr(0, i)))
        return "the template makes a name out of single underscores";
      i = end;
      continue;
    }
    const std::string_view before = trimmed(block.substr(0, i));
    const bool is_subscript =
        block[i] == '[' && !before.empty() && !ends_in_keyword(before) &&
        (is_word(before.back()) || is_quote(before.back()) || before.back() == ')' || before.back() == ']');
    if (is_subscript) {
      const std::string_view subscript = trimmed(up_to_closing(block, i + 1));
      if (!is_slice(subscript) && (is_computed_text(subscript) || computed.contains(leading_name(subscript))))
        return "the template looks up a computed name";
    }
    ++i;
  }
  return {};
}

/// What begins with a tag of a template, or is named as the files are in which loaders look for one.
bool is_template(std::string_view body, std::string_view file) {
  const std::string name = lower(file.substr(file.rfind('/') + 1));
  if (body.starts_with("{%") || body.starts_with("{#")) return true;
  return name.ends_with(".jinja") || name.ends_with(".jinja2") || name.ends_with(".j2");
}

void scan_json(const Part& part, Collector& out) {
  const std::string_view text = as_text(part.bytes);
  try {
    const JsonTree tree = read_json_tree(text, out.limits().json_depth);
    const JsonValue* map = tree.root.find("weight_map");
    const bool is_keras = is_keras_config(tree.root);
    out.name_format(map != nullptr ? "shard index" : is_keras ? "Keras configuration" : "JSON");
    if (is_keras)
      scan_keras_config(tree, part, 0, out);
    else if (tree.repeated_key && map != nullptr)
      out.add(ScanVerdict::Malformed, "json-duplicate-key", part, tree.repeated_at,
              "the key `" + preview(*tree.repeated_key) + "` stands twice: readers disagree about which counts");
    if (map != nullptr) check_index(*map, part, out);
    check_settings(tree.root, part, out);
  } catch (const Error& error) {
    out.name_format("text");
    const bool matters =
        text.find("weight_map") != std::string_view::npos || text.find("class_name") != std::string_view::npos;
    if (matters) out.add(error, "json-malformed", part);
  }
}

}  // namespace

bool looks_like_text(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 4096);
  return !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\b' ||
           c == '\x1b';
  });
}

TemplateJudgement judge_template(std::string_view text) {
  TemplateJudgement worst;
  std::set<std::string, std::less<>> computed;
  for (const int round : {1, 2}) {  // a name may be used in front of the block that computes it, by a loop
    for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at + 1)) {
      if (at + 1 >= text.size() || (text[at + 1] != '{' && text[at + 1] != '%')) continue;
      const std::string_view closing = text[at + 1] == '{' ? "}}" : "%}";
      const std::string_view block = text.substr(at, std::min(text.find(closing, at), text.size()) - at);
      if (round == 1) {
        if (const auto why = dangerous_block(block); !why.empty()) return {ScanVerdict::Dangerous, why};
        note_computed(block, computed);
      } else if (const auto why = computed_name(block, computed); !why.empty()) {
        worst = {ScanVerdict::UnknownCode, why};
      }
    }
  }
  return worst;
}

void check_template(std::string_view text, const Part& part, std::uint64_t offset, Collector& out) {
  const TemplateJudgement judgement = judge_template(text);
  if (judgement.verdict == ScanVerdict::Safe) return;
  ScanFinding finding;
  finding.rule = "chat-template";
  finding.verdict = judgement.verdict;
  finding.member = part.member;
  finding.offset = part.origin + offset;
  finding.preview = preview(text);
  finding.why = std::string(judgement.why);
  out.add(std::move(finding));
}

std::string_view suspicious_text(std::string_view text) {
  const std::string low = lower(text);
  const auto has = [&](std::string_view part) { return low.find(part) != std::string::npos; };
  if (has("<script") || has("javascript:") || has("onerror=")) return "holds a script that a page showing it would run";
  if (has("rm -rf") || has("chmod 777") || has("curl http") || has("wget http") || has("| sh") || has("|sh") ||
      has("| bash") || has("powershell ") || has("/dev/tcp/"))
    return "holds a shell command";
  if (has("import subprocess") || has("import os;") || has("__import__(") || has("eval(") || has("exec("))
    return "holds Python code";
  constexpr std::string_view kScheme = "http://";
  if (has(kScheme) && (has("payload") || has("exfil") || has("malware") || has("evil")))
    return "holds an address that a program may fetch";
  if (has("https://") && (has("payload") || has("malicious") || has("attacker") || has("malware")))
    return "holds an address that a program may fetch";
  return {};
}

void scan_text(const Part& part, Collector& out) {
  const std::string_view text = as_text(part.bytes);
  if (text.starts_with("version https://git-lfs")) {
    out.name_format("git-lfs pointer");
    out.note("a git-lfs pointer, not the file that it stands for: `git lfs pull` fetches that");
    return;
  }
  if (scan_pickles(part, Start::Likely, {}, out)) return out.name_format("pickle");
  std::string_view body = text;
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  body.remove_prefix(std::min(body.find_first_not_of(" \t\r\n"), body.size()));
  if (is_template(body, part.member.empty() ? out.file() : part.member)) {
    out.name_format("chat template");
    return check_template(text, part, 0, out);
  }
  if (body.starts_with('{') || body.starts_with('[')) return scan_json(part, out);
  out.name_format(lower(body.substr(0, 9)).starts_with("<!doctype") || lower(body.substr(0, 5)) == "<html" ? "web page"
                                                                                                           : "text");
  if (text.find("!!python/") != std::string_view::npos)
    out.add(ScanVerdict::Dangerous, "yaml-python-object", part, text.find("!!python/"),
            "YAML that makes Python objects when it is loaded");
}

}  // namespace tenon::scanning
