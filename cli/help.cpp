// tenon help: the page of a cause, the help of a command, or the list of causes.
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "exit_code.hpp"
#include "help_format.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string list_of_causes(const CLI::App& app) {
  std::string text = app.help() + "\nCauses (tenon help CAUSE):\n";
  for (const CauseInfo& cause : known_causes()) text += fmt::format("  {:<18}  {}\n", cause.id, cause.title);
  return text;
}

std::string json_list() {
  Json causes = Json::array();
  for (const CauseInfo& cause : known_causes())
    causes.push_back(Json{{"id", std::string(cause.id)}, {"title", std::string(cause.title)}});
  return Json{{"schema", "tenon.help/1"}, {"causes", causes}}.dump() + "\n";
}

std::string page_of(const CauseInfo& cause, const Session& session) {
  if (session.json)
    return Json{{"schema", "tenon.help/1"},
                {"id", std::string(cause.id)},
                {"title", std::string(cause.title)},
                {"page", std::string(cause.page)}}
               .dump() +
           "\n";
  return std::string(cause.page) + (cause.page.ends_with('\n') ? "" : "\n");
}

[[noreturn]] void refuse(const CLI::App& app, const std::string& topic) {
  const auto causes = known_causes();
  std::vector<std::string> names;
  for (const CauseInfo& cause : causes) names.emplace_back(cause.id);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const std::vector<std::string_view> views(names.begin(), names.end());
  const auto near = base::nearest(topic, views, 1);
  throw Error(Code::Invalid, {}, "there is no cause and no command of this name", "a name that tenon help lists", topic,
              near.empty() ? "tenon help" : "tenon help " + near.front());
}

const CLI::App* command_called(const CLI::App& app, const std::string& name) {
  const auto found = app.get_subcommands([&](const CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

int run(const CLI::App& app, const std::string& topic, Session& session) {
  const auto causes = known_causes();
  const auto cause = std::find_if(causes.begin(), causes.end(), [&](const CauseInfo& row) { return row.id == topic; });
  const CLI::App* command = command_called(app, topic);
  if (topic.empty())
    session.answer(session.json ? json_list() : list_of_causes(app));
  else if (cause != causes.end())
    session.answer(page_of(*cause, session));
  else if (command != nullptr)
    session.answer(session.json
                       ? Json{{"schema", "tenon.help/1"}, {"id", topic}, {"page", help_of(*command)}}.dump() + "\n"
                       : help_of(*command));
  else
    refuse(app, topic);
  return kYes;
}

}  // namespace

void add_help(CLI::App& app, Session& session) {
  const auto topic = std::make_shared<std::string>();
  CLI::App* command = add_command(app, session, "help", "The long page of a cause, with a small reproduction",
                                  "  tenon help                     all commands and causes\n"
                                  "  tenon help wrapper_prefix\n"
                                  "  tenon help adapt");
  command->add_option("TOPIC", *topic, "A cause or a command");
  on_run(command, session, [&app, topic](Session& s) { return run(app, *topic, s); });
}

}  // namespace tenon::cli
