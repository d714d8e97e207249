#include "torch/module_tree.hpp"

#include <unordered_map>

namespace tenon::torch_bridge {
namespace {

class Walk {
 public:
  std::vector<ModuleSpec> rows;

  void visit(const ::torch::nn::Module& module, const std::string& path) {
    ModuleSpec row;
    row.path = path;
    row.type = class_name(module);
    row.is_custom = module.name().rfind("torch::nn::", 0) != 0;
    row.options = module_options(module);
    const auto [known, is_new] = first_.emplace(&module, path);
    if (!is_new) row.same_as = known->second;
    rows.push_back(std::move(row));
    for (const auto& child : module.named_children())
      visit(*child.value(), path.empty() ? child.key() : path + "." + child.key());
  }

 private:
  std::unordered_map<const ::torch::nn::Module*, std::string> first_;
};

}  // namespace

std::string class_name(const ::torch::nn::Module& module) {
  std::string name = module.name();
  name = name.substr(0, name.find('<'));
  if (const auto colons = name.rfind("::"); colons != std::string::npos) name = name.substr(colons + 2);
  if (name.size() > 4 && name.ends_with("Impl")) name.resize(name.size() - 4);
  return name;
}

std::vector<ModuleSpec> module_rows(const ::torch::nn::Module& module) {
  Walk walk;
  walk.visit(module, "");
  return std::move(walk.rows);
}

}  // namespace tenon::torch_bridge
