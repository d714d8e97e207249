#include "scan/text_scan.hpp"

#include <algorithm>
#include <cctype>
#include <string>

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
      if (const auto why = template_danger(member.text); !why.empty())
        out.add(ScanVerdict::Dangerous, "chat-template", part, member.at, std::string(why));
    if (key == "auto_map" && member.kind == JsonValue::Kind::Object)
      out.add(ScanVerdict::UnknownCode, "remote-code", part, member.at,
              "names classes in Python files beside the model, which loaders run when they trust remote code");
    check_settings(member, part, out);
  }
  for (const JsonValue& item : value.items) check_settings(item, part, out);
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

std::string_view template_danger(std::string_view text) {
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at + 1)) {
    if (at + 1 >= text.size() || (text[at + 1] != '{' && text[at + 1] != '%')) continue;
    const std::string_view closing = text[at + 1] == '{' ? "}}" : "%}";
    const std::string_view block = text.substr(at, std::min(text.find(closing, at), text.size()) - at);
    if (block.find("__") != std::string_view::npos) return "the template reaches for Python's internals (`__`)";
    if (block.find("\\x5f") != std::string_view::npos || block.find("\\u005f") != std::string_view::npos)
      return "the template hides underscores behind escapes";
    const std::string code = without_literals(block);
    for (const std::string_view word : {"mro", "globals", "subclasses", "popen"})
      if (has_word(block, word)) return "the template reaches for Python's internals (`mro`, `globals` and the like)";
    for (const std::string_view word :
         {"lipsum", "cycler", "joiner", "attr", "getattr", "import", "include", "os", "subprocess"})
      if (has_word(code, word))
        return "the template reaches beyond the text that it formats (`attr`, `import` and the like)";
  }
  return {};
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
  if (body.starts_with('{') || body.starts_with('[')) return scan_json(part, out);
  out.name_format(lower(body.substr(0, 9)).starts_with("<!doctype") || lower(body.substr(0, 5)) == "<html" ? "web page"
                                                                                                           : "text");
  if (text.find("!!python/") != std::string_view::npos)
    out.add(ScanVerdict::Dangerous, "yaml-python-object", part, text.find("!!python/"),
            "YAML that makes Python objects when it is loaded");
}

}  // namespace tenon::scanning
