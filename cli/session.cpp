#include "session.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include <tenon/limit_names.hpp>

#include "base/utf8.hpp"
#include "io/lost_pages.hpp"

namespace tenon::cli {

namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view(value);
}

/// Widths beyond these come from broken terminals, or make tables that nobody can read.
constexpr std::size_t kNarrowest = 40, kWidest = 400, kPiped = 80;

std::size_t width_of(int stream) {
  std::size_t width = 0;
  const std::string_view columns = environment("COLUMNS");
  if (!columns.empty() && columns.size() <= 4 && columns.find_first_not_of("0123456789") == std::string_view::npos)
    width = static_cast<std::size_t>(std::stoul(std::string(columns)));
  winsize size{};
  if (width == 0 && ::isatty(stream) == 1 && ::ioctl(stream, TIOCGWINSZ, &size) == 0) width = size.ws_col;
  return width == 0 ? kPiped : std::clamp(width, kNarrowest, kWidest);
}

bool wants_colour(int stream, ColourMode mode) {
  switch (mode) {
    case ColourMode::Always: return true;
    case ColourMode::Never: return false;
    case ColourMode::Auto: break;
  }
  if (!environment("NO_COLOR").empty()) return false;
  const std::string_view force = environment("CLICOLOR_FORCE");
  if (!force.empty() && force != "0") return true;
  return ::isatty(stream) == 1 && environment("TERM") != "dumb";
}

/// What the locale says, without loading it: the first of the three that is set decides.
bool speaks_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string locale(environment(name));
    if (locale.empty()) continue;
    std::transform(locale.begin(), locale.end(), locale.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  return false;
}

TextStyle style_of(int stream, ColourMode mode) {
  return {.colour = wants_colour(stream, mode), .unicode = speaks_utf8(), .all = false, .width = width_of(stream)};
}

/// 0, or the errno of the write that failed.
int write_all(int stream, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(stream, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0 ? EIO : errno;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

}  // namespace

OpenOptions Session::open_options(Salvage salvage) const {
  return {.mode = ReadMode::Map, .salvage = salvage, .limits = limits, .check = no_check ? Check::No : Check::Yes};
}

TextStyle Session::answer_style() const { return style_of(STDOUT_FILENO, colour); }
TextStyle Session::message_style() const { return style_of(STDERR_FILENO, colour); }

void Session::answer(std::string_view text) const {
  io::throw_if_pages_were_lost();
  const int failed = write_all(STDOUT_FILENO, text);
  if (failed == 0 || failed == EPIPE) return;
  const bool full = failed == ENOSPC || failed == EDQUOT;
  throw Error(Code::Write, Where{"standard output", {}, {}, {}},
              full ? "no space left on the device" : "the answer could not be written", {},
              full ? "" : std::strerror(failed), full ? "free some space, or write the answer to another disk" : "");
}

void Session::remark(std::string_view text) const {
  if (!quiet) complain(text);
}

void Session::warn(std::string_view text) const { remark("tenon: warning: " + base::escape_for_terminal(text) + "\n"); }

void complain(std::string_view text) { static_cast<void>(write_all(STDERR_FILENO, text)); }

namespace {

/// `zip_entries=5000000`. Throws what CLI11 turns into wrong usage.
void set_limit_from(const std::string& text, Limits& limits) {
  const std::size_t equals = text.find('=');
  std::uint64_t value = 0;
  if (equals == std::string::npos || !CLI::detail::lexical_cast(text.substr(equals + 1), value))
    throw CLI::ValidationError("--limit", "expected NAME=NUMBER, found " + text);
  try {
    set_limit(limits, text.substr(0, equals), value);
  } catch (const Error& error) {
    throw CLI::ValidationError("--limit", "there is no limit " + error.found +
                                              (error.expected.empty() ? "; include/tenon/limits.hpp lists them"
                                                                      : "; near it: " + error.expected));
  }
}

}  // namespace

CLI::App* add_command(CLI::App& app, Session& session, const std::string& name, const std::string& what,
                      const std::string& examples) {
  static const std::map<std::string, ColourMode> kModes{
      {"auto", ColourMode::Auto}, {"always", ColourMode::Always}, {"never", ColourMode::Never}};
  CLI::App* command = app.add_subcommand(name, what);
  command->group("Commands");
  command->footer("Examples:\n" + examples);
  command->add_flag("--json", session.json, "One JSON document on stdout");
  command->add_flag("-q,--quiet", session.quiet, "The verdict only");
  command
      ->add_option_function<std::vector<std::string>>(
          "--limit",
          [&session](const std::vector<std::string>& all) {
            for (const std::string& one : all) set_limit_from(one, session.limits);
          },
          "What a file may ask of a reader, e.g. safetensors_header_bytes=200000000")
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false);
  command->add_option("--color", session.colour, "auto, always or never")
      ->transform(CLI::CheckedTransformer(kModes, CLI::ignore_case).description(""))
      ->type_name("WHEN");
  return command;
}

void add_no_check(CLI::App* command, Session& session) {
  command->add_flag("--no-check", session.no_check, "Take values as they are: compare no digest and no checksum");
}

void on_run(CLI::App* command, Session& session, std::function<int(Session&)> run) {
  command->callback([command, &session, run = std::move(run)] {
    session.command = command->get_name();
    session.run = run;
  });
}

void require_path(const std::string& path) {
  if (path == "-")
    throw Error(Code::Invalid, Where{"-", {}, {}, {}}, "a checkpoint cannot be read from standard input",
                "the path of a file, because checkpoints are mapped and not streamed", {},
                "write the stream to a file first");
}

}  // namespace tenon::cli
