// Wrong usage becomes one helpful line: what is wrong, the nearest right word, where the options are.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "session.hpp"

namespace tenon::cli {

/// The text that --help or --version asked for.
std::string text_asked_for(const CLI::App& app, const CLI::Success& asked);

/// Says on stderr what is wrong with the arguments (and with --json on stdout). Returns the exit code.
int report_usage(const CLI::App& app, Session& session, const std::vector<std::string>& arguments,
                 const CLI::ParseError& error);

}  // namespace tenon::cli
