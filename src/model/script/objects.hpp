// The objects of a TorchScript archive: which modules stand where, and what their attributes hold.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <tenon/checkpoint.hpp>

#include "model/script/syntax.hpp"

namespace tenon::model::script {

struct ScriptObject {
  std::string path;        ///< `layer1.0.conv1`; "" for the archive's own object
  std::string class_name;  ///< `__torch__.torch.nn.modules.conv.___torch_mangle_3.Conv2d`
  std::map<std::string, std::string, std::less<>> values;  ///< plain attributes, as JSON
};

class ScriptObjects {
 public:
  explicit ScriptObjects(const Checkpoint& checkpoint);

  const ScriptObject* find(std::string_view path) const;
  bool has_tensor(std::string_view name) const { return tensors_.count(name) > 0; }
  bool has_tensors() const { return !tensors_.empty(); }

  /// Paths of the modules, each before its children, in the order in which their classes declare them.
  /// Throws Error Limit where they are nested too deeply.
  std::vector<std::string> module_paths(const Program& program) const;

 private:
  void add_record(const std::string& path, const Value& value, int depth);

  std::string file_;
  std::map<std::string, ScriptObject, std::less<>> objects_;
  std::set<std::string, std::less<>> tensors_;
};

/// `layer1` and `conv` make `layer1.conv`.
std::string joined(std::string_view path, std::string_view name);

/// `Conv2d` of `__torch__.torch.nn.modules.conv.___torch_mangle_3.Conv2d`.
std::string short_class(std::string_view class_name);

/// One of PyTorch's own classes.
bool is_torch_class(std::string_view class_name);

}  // namespace tenon::model::script
