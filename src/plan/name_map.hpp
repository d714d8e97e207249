// NameMap: names that are looked for and names that are given: exact ones, or an expression with $1 references.
#pragma once

#include <optional>
#include <string>

#include "plan/regex.hpp"

namespace tenon::plan {

class NameMap {
 public:
  NameMap(std::string from, bool is_expression) : from_(std::move(from)) {
    if (is_expression) expression_.emplace(from_);
  }

  /// `to` with its references filled in, where `name` is looked for.
  std::optional<std::string> operator()(const std::string& name, const std::string& to) const {
    if (expression_) return expression_->replaced(name, to);
    return name == from_ ? std::optional(to) : std::nullopt;
  }

 private:
  std::string from_;
  std::optional<NamePattern> expression_;
};

}  // namespace tenon::plan
