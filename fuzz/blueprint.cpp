// libFuzzer: what tells of a function. One document: a blueprint against itself, a `config.json`, or, where it begins
// with `class`, the code of a TorchScript archive. Two, with a form feed between them: a blueprint against another.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/diagnose.hpp>
#include <tenon/error.hpp>
#include <tenon/render.hpp>

#include "model/config_blueprint.hpp"
#include "model/script/script_blueprint.hpp"
#include "support/memory_checkpoint.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

tenon::Blueprint parsed(std::string_view text) {
  tenon::Blueprint blueprint = tenon::parse_blueprint(text, "a.blueprint.json");
  const std::string form = tenon::to_json(blueprint);
  require(tenon::to_json(tenon::parse_blueprint(form, "b.blueprint.json")) == form);
  return blueprint;
}

void compare(const tenon::Blueprint& from, const tenon::Blueprint& to) {
  tenon::architecture_changes(from, to);
  tenon::environment_changes(from, to);
  tenon::changes_since(from, to);
  tenon::compare_probes(from, to);
  const tenon::Report report = tenon::diagnose(tenon::list(from, "a"), tenon::list(to, "b"));
  tenon::render_text(report, tenon::CommandHint{}, tenon::TextStyle{});
  tenon::render_json(report, "check");
}

void read_code(const std::string& code) {
  tenon::test::MemoryCheckpoint memory("net.pt");
  tenon::formats::CheckpointCore& core = memory.core();
  core.format = tenon::Format::TorchScript;
  core.containers[0] = {
      .path = {}, .kind = tenon::ContainerKind::Module, .type = "__torch__.Net", .parent = 0, .key = {}};
  memory.add<float>("weight", tenon::DType::Float32, {2, 2}, {1, 2, 3, 4});
  memory.add_object("k", {std::int64_t{3}});
  memory.add_object("act", {tenon::Record{"__torch__.Act", {}, {}}});
  core.sources = {{"code/__torch__.py", code}};
  std::vector<std::string> warnings;
  const auto found = tenon::model::script_blueprint(
      memory.checkpoint(), {{"weight", tenon::DType::Float32, tenon::Shape{2, 2}, tenon::Role::Unknown, {}}}, warnings);
  if (found) compare(*found, parsed(tenon::to_json(*found)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    if (text.starts_with("class")) {
      read_code(text);
      return 0;
    }
    const std::size_t end = text.find('\f');
    const tenon::Blueprint from = parsed(std::string_view(text).substr(0, end));
    compare(from, end == std::string::npos ? from : parsed(std::string_view(text).substr(end + 1)));
  } catch (const tenon::Error&) {
  }
  try {
    const tenon::Blueprint config = tenon::model::config_blueprint(text, "config.json");
    compare(config, config);
  } catch (const tenon::Error&) {
  }
  return 0;
}
