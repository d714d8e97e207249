#include "next_step.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/render.hpp>

namespace tenon::cli {
namespace {

constexpr double kSure = 0.6;  // below it, two files decide better than a text

std::string check_command(const Sides& sides, const std::string& file) {
  return "tenon check " + shell_quoted(file) + " --against " + shell_quoted(sides.target);
}

/// Help lines speak of FILE and of MODEL or TARGET; where a command line named them, their names are meant.
std::string with_names(std::string command, const Sides& sides) {
  const std::pair<std::string_view, const std::string*> kPlaces[] = {
      {" FILE", &sides.checkpoint}, {" MODEL", &sides.target}, {" TARGET", &sides.target}};
  for (const auto& [place, name] : kPlaces) {
    const std::size_t at = command.find(place);
    const std::size_t end = at + place.size();
    if (at != std::string::npos && (end == command.size() || command[end] == ' '))
      command.replace(at, place.size(), " " + shell_quoted(*name));
  }
  return command;
}

/// The command that stands behind a help's sentence, four blanks on; "" where there is none that can be typed as it is.
std::string command_of(const std::string& help) {
  const std::size_t gap = help.find("    ");
  if (gap == std::string::npos) return {};
  std::string command = help.substr(help.find_first_not_of(' ', gap));
  const bool can_be_typed = command.starts_with("tenon ") || command.starts_with("git ") ||
                            (command.starts_with("model.") && command.ends_with(')'));
  return can_be_typed ? command : std::string();
}

bool asks_for_files(std::string_view command) {
  return command.starts_with("tenon check") || command.starts_with("tenon explain");
}

bool shows_keys(const Difference& difference) {
  return !difference.missing.empty() || !difference.unexpected.empty() || !difference.mismatched.empty();
}

}  // namespace

std::string next_step(const Report& report, const Sides& sides) {
  const bool knows_both = report.difference.matched.has_value();
  if (!report.neighbours.empty()) return check_command(sides, report.neighbours.front().file);
  const bool is_sure = !report.causes.empty() && report.causes.front().confidence >= kSure;
  const bool files_decide = !knows_both && (shows_keys(report.difference) || report.causes.empty());
  if (files_decide && !is_sure) return check_command(sides, sides.checkpoint);
  if (report.causes.empty()) return "tenon inspect " + shell_quoted(sides.checkpoint);
  for (const std::string& help : report.causes.front().help) {
    const std::string command = command_of(help);
    if (!command.empty() && !(knows_both && asks_for_files(command))) return with_names(command, sides);
  }
  return files_decide ? check_command(sides, sides.checkpoint) : "tenon help " + report.causes.front().id;
}

}  // namespace tenon::cli
