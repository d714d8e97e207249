#include "help_format.hpp"

namespace tenon::cli {

HelpFormat::HelpFormat() {
  label("Positionals", "Arguments");
  column_width(26);
}

std::string HelpFormat::make_usage(const CLI::App* app, std::string name) const {
  std::string line = "\nUsage: " + name;
  const bool has_commands = !app->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (has_commands) line += " COMMAND";
  for (const CLI::Option* option : app->get_options())
    if (option->get_positional()) line += " " + make_option_usage(option);
  for (const CLI::Option* option : app->get_options())
    if (option->nonpositional() && option->get_required())
      line += " " + option->get_name() + " " + option->get_type_name();
  return line + " [OPTIONS]\n";
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  const bool has_word = option->nonpositional() && option->get_type_size() != 0;
  return has_word ? " " + option->get_type_name() : "";
}

std::string help_of(const CLI::App& command) { return command.help("tenon"); }

}  // namespace tenon::cli
