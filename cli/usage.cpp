#include "usage.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "exit_code.hpp"
#include "help_format.hpp"

namespace tenon::cli {

namespace {

/// The subcommand that was named, or nothing.
const CLI::App* command_of(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? nullptr : commands.front();
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::string nearest_text(std::string_view word, const std::vector<std::string>& names) {
  const std::vector<std::string_view> views(names.begin(), names.end());
  const auto near = base::nearest(word, views, 1);
  return near.empty() ? "" : "; the nearest is `" + near.front() + "`";
}

std::string in_quotes(std::string_view word) { return "`" + base::escape_for_terminal(word) + "`"; }

/// The first argument that looks like an option and is none.
std::string unknown_option(const std::vector<std::string>& arguments, const std::vector<std::string>& known) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    const std::string name = argument.substr(0, argument.find('='));
    if (name.size() > 1 && name.front() == '-' && std::find(known.begin(), known.end(), name) == known.end())
      return name;
  }
  return {};
}

std::string unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  const std::string option = unknown_option(arguments, {});
  if (!option.empty() && option == arguments.front())
    return "the first word is a command, and " + in_quotes(option) + " is none" +
           nearest_text(option, {"--help", "--version"});
  const std::string& word = arguments.front();
  return "there is no command " + in_quotes(word) + nearest_text(word, commands_of(app));
}

/// Positional arguments that the command wants, by the names of its help.
std::string missing_argument(const CLI::App& command, const CLI::ParseError& error) {
  for (const CLI::Option* option : command.get_options())
    if (option->get_required() && option->count() == 0)
      return command.get_name() + " needs " +
             (option->get_positional() ? option->get_name(true) : option->get_name() + " " + option->get_type_name());
  return error.what();
}

std::string sentence(const CLI::App& app, const std::vector<std::string>& arguments, const CLI::ParseError& error) {
  const CLI::App* command = command_of(app);
  if (command == nullptr) return unknown_command(app, arguments);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::string option = unknown_option({arguments.begin() + 1, arguments.end()}, options_of(*command));
    if (!option.empty())
      return command->get_name() + " has no option " + in_quotes(option) + nearest_text(option, options_of(*command));
    return command->get_name() + ": " + base::escape_for_terminal(error.what());
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) return missing_argument(*command, error);
  return command->get_name() + ": " + base::escape_for_terminal(error.what());
}

}  // namespace

std::string text_asked_for(const CLI::App& app, const CLI::Success& asked) {
  if (dynamic_cast<const CLI::CallForVersion*>(&asked) != nullptr) return std::string(asked.what()) + "\n";
  const CLI::App* command = command_of(app);
  return command == nullptr ? app.help() : help_of(*command);
}

int report_usage(const CLI::App& app, Session& session, const std::vector<std::string>& arguments,
                 const CLI::ParseError& error) {
  const CLI::App* command = command_of(app);
  const std::string what = sentence(app, arguments, error);
  const std::string next =
      command == nullptr ? "tenon --help lists the commands" : "tenon " + command->get_name() + " --help";
  if (std::find(arguments.begin(), arguments.end(), "--json") != arguments.end())
    session.answer(render_json(Error(Code::Invalid, {}, what, {}, {}, next),
                               command == nullptr ? std::string_view("usage") : command->get_name()));
  complain(fmt::format("tenon: error: {}   ({})\n", what, next));
  return kUsage;
}

}  // namespace tenon::cli
