// tenon: reads, explains, repairs and durably saves the checkpoints of neural networks.
//
// The door of the command line: arguments in, one exit code out. Every exception ends here as a message with a place,
// what was expected, what was found and what to do next.
#include <fcntl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <unistd.h>

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <tenon/version.hpp>

#include "base/utf8.hpp"
#include "exit_code.hpp"
#include "help_format.hpp"
#include "interrupt.hpp"
#include "io/lost_pages.hpp"
#include "session.hpp"
#include "usage.hpp"

namespace tenon::cli {

namespace {

/// A standard stream that the caller closed would lend its number to the next file opened, and the answer would be
/// written into that.
void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) == -1) static_cast<void>(::open("/dev/null", O_RDWR));
}

void declare(CLI::App& app, Session& session) {
  app.formatter(std::make_shared<HelpFormat>());
  app.set_version_flag("--version", "tenon " + std::string(version()), "Show the version");
  app.set_help_flag("-h,--help", "Show this help");
  app.require_subcommand(0, 1);
  add_inspect(app, session);
  add_check(app, session);
  add_explain(app, session);
  add_adapt(app, session);
  add_convert(app, session);
  add_verify(app, session);
  add_scan(app, session);
  add_diff(app, session);
  add_blueprint(app, session);
  add_log(app, session);
  add_help(app, session);
  app.footer(
      "Examples:\n"
      "  tenon explain error.txt                              what does this error mean?\n"
      "  tenon check old.pth --against new.safetensors        does it fit, and if not, why?\n"
      "  tenon adapt old.pth --to new.safetensors -o out.safetensors\n"
      "\n"
      "tenon COMMAND --help has the options, tenon help CAUSE the long page of a cause.\n"
      "Exit codes: 0 yes, 1 the answer is no, 2 wrong usage, 3 an input cannot be read,\n"
      "4 an output cannot be written, 70 a bug in tenon, 130 interrupted.");
}

int report_error(const Session& session, const Error& error) {
  if (session.json) session.answer(render_json(error, session.command));
  complain(render_text(error, session.message_style()));
  return exit_code(error.code);
}

int report_bug(const Session& session, std::string_view what) {
  if (session.json) {
    nlohmann::ordered_json json;
    json["schema"] = fmt::format("tenon.{}/1", session.command);
    json["error"] = {{"code", "bug"}, {"what", base::to_valid_utf8(what)}};
    session.answer(json.dump() + "\n");
  }
  complain(fmt::format("tenon: bug: {}\n  nothing was written; this is tenon's fault, please report the line above\n",
                       base::escape_for_terminal(what)));
  return kBug;
}

/// The answer may be what could not be written: then there is no second try on stdout.
int report_error_once(Session& session, const Error& error) {
  try {
    return report_error(session, error);
  } catch (const Error& unwritten) {
    session.json = false;
    report_error(session, error);
    return report_error(session, unwritten);
  }
}

int run(Session& session) {
  try {
    return session.run(session);
  } catch (const Error& error) {
    try {
      io::throw_if_pages_were_lost();  // what was wrong may have been the zeros
    } catch (const Error& cause) {
      return report_error_once(session, cause);
    }
    if (error.where.file == "standard output") session.json = false;
    return report_error_once(session, error);
  } catch (const std::bad_alloc&) {
    return report_error_once(session, Error(Code::Limit, {}, "there is not enough memory for this file", {}, {},
                                            "close other programs, or use a machine with more memory"));
  } catch (const std::exception& bug) {
    return report_bug(session, bug.what());
  }
}

/// A large checkpoint is many small strings that live until the end. Glibc would gather those that were given back
/// every time a large one is, which takes a tenth of the time of `check`; and it would ask the system for memory in
/// small steps.
void prepare_memory() {
#if defined(__GLIBC__)
  mallopt(M_MXFAST, 0);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

/// Room to unwind and to say so when there is no memory left: given back at the first allocation that fails.
/// Destructors of JSON values allocate.
std::unique_ptr<std::byte[]> reserve;

void give_reserve_back() {
  reserve.reset();
  std::set_new_handler(nullptr);
  throw std::bad_alloc();
}

void keep_reserve() {
  constexpr std::size_t kBytes = std::size_t{256} << 10U;
  reserve = std::make_unique_for_overwrite<std::byte[]>(kBytes);
  std::set_new_handler(give_reserve_back);
}

int main_of(int count, char** arguments) {
  prepare_memory();
  keep_reserve();
  hold_standard_streams();
  catch_interrupts();
  CLI::App app{"tenon makes the weights of neural networks fit: it reads, explains, repairs and saves checkpoints.",
               "tenon"};
  Session session;
  declare(app, session);
  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& asked) {
    session.run = [&, text = text_asked_for(app, asked)](Session& s) {
      s.answer(text);
      return kYes;
    };
  } catch (const CLI::ParseError& error) {
    return report_usage(app, session, {arguments + 1, arguments + count}, error);
  }
  if (!session.run) {
    complain(app.help());
    return kUsage;
  }
  return run(session);
}

}  // namespace

}  // namespace tenon::cli

int main(int count, char** arguments) {
  try {
    return tenon::cli::main_of(count, arguments);
  } catch (const std::bad_alloc&) {
    tenon::cli::complain("tenon: there is not enough memory\n");
    return tenon::cli::kUnreadable;
  } catch (const std::exception& bug) {
    tenon::cli::complain(std::string("tenon: bug: ") + bug.what() + "\n");
    return tenon::cli::kBug;
  }
}
