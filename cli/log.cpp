// tenon log: where a checkpoint comes from, and how its training went.
#include <memory>

#include <nlohmann/json.hpp>

#include <tenon/log.hpp>

#include "exit_code.hpp"
#include "session.hpp"

namespace tenon::cli {

namespace {

struct Options {
  std::string file;
  std::vector<std::string> append;
  bool all = false;
};

/// `KEY=VALUE`: a number, true, false or null keeps its type, all else is a text.
JsonMember member_of(const std::string& pair) {
  const auto equals = pair.find('=');
  if (equals == 0 || equals == std::string::npos)
    throw Error(Code::Invalid, {}, "no KEY=VALUE pair", "for example loss=0.25", pair,
                "tenon log FILE --append KEY=VALUE");
  const std::string text = pair.substr(equals + 1);
  const auto value = nlohmann::json::parse(text, nullptr, false);
  const bool keeps_type = value.is_number() || value.is_boolean() || value.is_null();
  return {pair.substr(0, equals),
          keeps_type && !value.is_discarded()
              ? text
              : nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

int run(const Options& options, Session& session) {
  require_path(options.file);
  if (!options.append.empty()) {
    JsonMembers members;
    for (const std::string& pair : options.append) members.push_back(member_of(pair));
    append_log(options.file, members);
  }
  const Log log = read_log(options.file, session.limits);
  TextStyle style = session.answer_style();
  style.all = options.all;
  if (session.json)
    session.answer(render_json(log));
  else if (session.quiet)
    session.answer(log.digest.empty() ? "no blueprint\n" : log.digest + "\n");
  else
    session.answer(render_text(log, style));
  return kYes;
}

}  // namespace

void add_log(CLI::App& app, Session& session) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, session, "log", "Where a checkpoint comes from, and its metrics",
                                  "  tenon log model.safetensors\n"
                                  "  tenon log model.safetensors --append epoch=3 loss=0.25 accuracy=0.91");
  command->add_option("FILE", options->file, "A checkpoint, or a blueprint")->required();
  command->add_option("--append", options->append, "Add one line to FILE.log.jsonl")->type_name("KEY=VALUE...");
  command->add_flag("--all", options->all, "Do not cut long lists");
  on_run(command, session, [options](Session& s) { return run(*options, s); });
}

}  // namespace tenon::cli
