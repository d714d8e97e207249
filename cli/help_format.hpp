// The shape of --help: `Usage: tenon check FILE --against TARGET [OPTIONS]`, arguments and options without type words.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace tenon::cli {

class HelpFormat : public CLI::Formatter {
 public:
  HelpFormat();
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
};

/// The help of a subcommand, under its full name.
std::string help_of(const CLI::App& command);

}  // namespace tenon::cli
