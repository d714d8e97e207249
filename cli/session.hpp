// Session: what all commands share: where the answer goes, how it looks, and the options that every command takes.
//
// A command is one file: options struct -> library call -> render -> exit code. Its add_*() declares the options and
// leaves in `Session::run` what to do; main() runs it behind the one door that turns exceptions into messages.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>
#include <tenon/limits.hpp>
#include <tenon/render.hpp>

namespace tenon::cli {

enum class ColourMode { Auto, Always, Never };

struct Session {
  std::string command;  ///< `inspect`, ...; "" while none is known
  bool json = false;
  bool quiet = false;
  ColourMode colour = ColourMode::Auto;
  Limits limits;          ///< what a file may ask of a reader; --limit changes one
  bool no_check = false;  ///< --no-check
  std::function<int(Session&)> run;

  /// How files are opened whose values are wanted.
  OpenOptions open_options(Salvage salvage) const;

  /// How text for stdout, or for stderr, is to look.
  TextStyle answer_style() const;
  TextStyle message_style() const;

  /// Writes the answer to stdout. Throws Error Write when it cannot be written whole; a reader that went away
  /// (`| head`) is no error. Throws Error Read instead when a file changed under the reader: see io/lost_pages.hpp.
  void answer(std::string_view text) const;

  /// A line or more on stderr, unless --quiet. Never fails.
  void remark(std::string_view text) const;
  /// `tenon: warning: ...` on stderr, unless --quiet.
  void warn(std::string_view text) const;
};

/// Writes to stderr, whatever happens.
void complain(std::string_view text);

/// A subcommand with the options that every command takes. `examples` end its help, one a line.
CLI::App* add_command(CLI::App& app, Session& session, const std::string& name, const std::string& what,
                      const std::string& examples);

/// `--no-check`, for commands that read values.
void add_no_check(CLI::App* command, Session& session);

/// Lets `run` be what the program does when the subcommand was parsed.
void on_run(CLI::App* command, Session& session, std::function<int(Session&)> run);

/// Throws Error Invalid for `-`: a checkpoint is mapped, not streamed.
void require_path(const std::string& path);

void add_inspect(CLI::App& app, Session& session);
void add_convert(CLI::App& app, Session& session);
void add_verify(CLI::App& app, Session& session);
void add_scan(CLI::App& app, Session& session);
void add_diff(CLI::App& app, Session& session);
void add_check(CLI::App& app, Session& session);
void add_explain(CLI::App& app, Session& session);
void add_adapt(CLI::App& app, Session& session);
void add_blueprint(CLI::App& app, Session& session);
void add_log(CLI::App& app, Session& session);
void add_help(CLI::App& app, Session& session);

}  // namespace tenon::cli
