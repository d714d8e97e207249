// What is known of the tensors that an archive's code names `CONSTANTS.c0`, `CONSTANTS.c1`, ...
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tenon/checkpoint.hpp>

namespace tenon::model::script {

struct ScriptConstant {
  bool is_number = false;
  std::string json;  ///< the number of a scalar; else a text: `float32 [3] sha256:...`
};

class ScriptConstants {
 public:
  /// `with_values`: constants that are no scalars are told apart by their bytes. Not so in a frozen archive, whose
  /// constants are its weights.
  ScriptConstants(std::optional<Checkpoint> constants, bool with_values)
      : constants_(std::move(constants)), with_values_(with_values) {}

  /// `name` is `c0`, .... Throws Error Corrupt where its bytes are damaged.
  ScriptConstant find(std::string_view name);

 private:
  std::string describe(const TensorInfo& info, std::size_t index);

  std::optional<Checkpoint> constants_;
  bool with_values_;
  std::uint64_t hashed_bytes_ = 0;
};

}  // namespace tenon::model::script
