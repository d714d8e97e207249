// A blueprint for people: the tree of modules, what ran, what it gave, where it was made.
#include <tenon/render.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "render/page.hpp"

namespace tenon {

namespace {

using rendering::Ink;
using rendering::Page;
using rendering::safe;

constexpr std::size_t kRows = 40;

std::string plain(const std::string& json) {
  const auto value = nlohmann::json::parse(json, nullptr, false);
  return safe(value.is_string() ? value.get<std::string>() : json);
}

std::string members_text(const JsonMembers& members) {
  std::string text;
  for (const auto& [name, json] : members) {
    if (json == "null") continue;
    text += (text.empty() ? "" : ", ") + safe(name) + "=" + plain(json);
  }
  return text;
}

std::size_t shown_of(std::size_t count, const Page& page) { return page.style().all ? count : std::min(count, kRows); }

void title(std::string_view text, Page& page) {
  page.line();
  page.line(page.paint(Ink::Bold, text));
}

void cut_line(const std::string& line, Page& page) {
  page.line(page.style().all ? line : rendering::cut_end(line, page.style().width, page.style()));
}

void more(std::size_t left_out, Page& page) {
  if (left_out > 0) page.line(fmt::format("  ... and {} more (--all)", base::count_text(left_out)));
}

void header(const Blueprint& blueprint, const std::string& label, Page& page) {
  const auto count = [&](Role role) {
    return std::count_if(blueprint.tensors.begin(), blueprint.tensors.end(),
                         [role](const TensorSpec& spec) { return spec.role == role; });
  };
  page.line(page.paint(Ink::Bold, safe(label)) + ": blueprint" +
            (blueprint.class_name.empty() ? "" : " of " + safe(blueprint.class_name)));
  page.line(fmt::format("{} ({} parameters, {} buffers), {}", base::plural(blueprint.tensors.size(), "tensor"),
                        count(Role::Parameter), count(Role::Buffer), base::plural(blueprint.modules.size(), "module")));
}

void modules(const Blueprint& blueprint, Page& page) {
  if (blueprint.modules.empty()) return;
  title("modules", page);
  const std::size_t shown = shown_of(blueprint.modules.size(), page);
  for (std::size_t i = 0; i < shown; ++i) {
    const ModuleSpec& module = blueprint.modules[i];
    const auto depth =
        module.path.empty() ? 0 : static_cast<std::size_t>(std::count(module.path.begin(), module.path.end(), '.')) + 1;
    const std::string name = module.path.substr(module.path.rfind('.') + 1);
    cut_line(fmt::format("  {}{}{}({}){}", std::string(2 * std::min<std::size_t>(depth, 20), ' '),
                         name.empty() ? "" : safe(name) + ": ", safe(module.type), members_text(module.options),
                         module.same_as.empty() ? "" : " same as " + safe(module.same_as)),
             page);
  }
  more(blueprint.modules.size() - shown, page);
}

void operations(const Blueprint& blueprint, Page& page) {
  if (!blueprint.graph) return;
  const Graph& graph = *blueprint.graph;
  title(fmt::format("operations of one run ({})", graph.nodes.size()), page);
  const std::size_t shown = shown_of(graph.nodes.size(), page);
  for (std::size_t i = 0; i < shown; ++i) {
    const GraphNode& node = graph.nodes[i];
    cut_line(fmt::format("  {}  {} {} -> {}", i, safe(node.op), safe(node.args),
                         node.output ? base::shape_text(*node.output) : "no tensor") +
                 (node.module.empty() ? "" : "  in " + safe(node.module)),
             page);
  }
  more(graph.nodes.size() - shown, page);
}

void probe(const Blueprint& blueprint, Page& page) {
  if (!blueprint.probe) return;
  title("probe", page);
  const auto row = [&](const char* what, const ProbeTensor& tensor) {
    cut_line(fmt::format("  {} {}: {} {}{}", what, safe(tensor.name), dtype_name(tensor.dtype),
                         base::shape_text(tensor.shape),
                         tensor.tolerance ? fmt::format(", tolerance {:.2g}", *tensor.tolerance) : ""),
             page);
  };
  for (const ProbeTensor& tensor : blueprint.probe->inputs) row("input", tensor);
  for (const ProbeTensor& tensor : blueprint.probe->outputs) row("output", tensor);
  for (const std::string& finding : blueprint.probe->findings)
    page.paragraph("  warning: ", safe(finding), 4, Ink::Yellow);
  if (!blueprint.probe->accepted.empty())
    page.paragraph("  note: ", "a deviation was accepted: " + safe(blueprint.probe->accepted), 4);
}

void pairs(std::string_view name, const JsonMembers& members, Page& page) {
  if (members.empty()) return;
  title(name, page);
  for (const auto& [key, json] : members) cut_line("  " + safe(key) + ": " + plain(json), page);
}

void clauses(std::string_view name, const std::vector<std::string>& lines, Page& page) {
  if (lines.empty()) return;
  title(name, page);
  for (const std::string& line : lines) page.paragraph("  ", safe(line), 4);
}

}  // namespace

std::string render_text(const Blueprint& blueprint, const std::string& label, const TextStyle& style) {
  Page page(style);
  header(blueprint, label, page);
  modules(blueprint, page);
  operations(blueprint, page);
  probe(blueprint, page);
  clauses("left out", blueprint.left_out, page);
  pairs("environment", blueprint.environment, page);
  pairs("training", blueprint.training, page);
  clauses("changes since the parent", blueprint.changes, page);
  for (const Unsaved& row : blueprint.unsaved)
    page.paragraph("warning: ", "not in the state dict: " + safe(row.name) + " (" + safe(row.why) + ")", 2,
                   Ink::Yellow);
  title("digests", page);
  page.line("  structure     " + structure_digest(blueprint));
  page.line("  architecture  " + architecture_digest(blueprint));
  return page.take();
}

std::string render_text(const Log& log, const TextStyle& style) {
  Page page(style);
  page.line(page.paint(Ink::Bold, safe(log.file)));
  if (!log.blueprint) page.line("no blueprint: where it comes from is not known");
  if (!log.digest.empty()) page.line("blueprint " + log.digest);
  if (log.blueprint) {
    clauses("changes since the parent", log.blueprint->changes, page);
    pairs("environment", log.blueprint->environment, page);
    pairs("training", log.blueprint->training, page);
  }
  if (!log.ancestors.empty()) title("parents", page);
  for (const Ancestor& ancestor : log.ancestors) {
    page.line("  " + (ancestor.file.empty() ? std::string("(no file name)") : safe(ancestor.file)) + "  " +
              safe(ancestor.digest) + (ancestor.is_found ? "" : "  (not beside this file)"));
    for (const std::string& change : ancestor.changes) page.paragraph("    ", safe(change), 6);
  }
  if (!log.metrics.empty()) title("metrics", page);
  const std::size_t first = page.style().all || log.metrics.size() <= kRows ? 0 : log.metrics.size() - kRows;
  if (first > 0) page.line(fmt::format("  ... {} earlier (--all)", base::count_text(first)));
  for (std::size_t i = first; i < log.metrics.size(); ++i) cut_line("  " + safe(log.metrics[i]), page);
  if (log.damaged_lines > 0)
    page.paragraph("warning: ",
                   base::plural(log.damaged_lines, "line") + " of the log " +
                       (log.damaged_lines == 1 ? "is no JSON object" : "are no JSON objects"),
                   2, Ink::Yellow);
  return page.take();
}

}  // namespace tenon
