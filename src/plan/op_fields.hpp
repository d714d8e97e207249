// OpFields: one operation's object: every member is asked for, and what was not asked for is refused.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <tenon/dtype.hpp>
#include <tenon/error.hpp>
#include <tenon/tensor.hpp>

namespace tenon::plan {

class OpFields {
 public:
  /// `place` is `ops[3]`. Refers to its arguments, which must outlive it.
  OpFields(const nlohmann::json& json, std::string place, const std::string& file);

  std::string text(const char* member);
  std::string full_text(const char* member);  ///< not empty
  std::string text_or_none(const char* member);
  std::vector<std::string> texts(const char* member);  ///< one and more, none of them empty, none twice
  bool flag(const char* member);                       ///< false where it is absent
  DType dtype(const char* member);
  std::int64_t integer(const char* member, std::int64_t least, std::int64_t most);
  std::int64_t integer_or(const char* member, std::int64_t otherwise, std::int64_t least, std::int64_t most);
  std::optional<double> optional_number(const char* member);  ///< finite
  Shape integers(const char* member, std::int64_t least);     ///< at most Limits::tensor_rank of them
  Shape integers_or_none(const char* member, std::int64_t least, std::size_t most_count);
  /// An expression where `is_expression`, which then is tried out; any name otherwise.
  std::string name(const char* member, bool is_expression);
  std::vector<std::string> names(const char* member, bool is_expression);

  bool has(const char* member) { return find(member) != nullptr; }
  void finish() const;  ///< throws where a member was not asked for
  Error wrong(std::string_view member, std::string what, std::string expected, std::string found) const;

 private:
  const nlohmann::json* find(const char* member);
  Where place(std::string_view member) const;
  std::int64_t checked(const char* member, const nlohmann::json* value, std::int64_t least, std::int64_t most) const;
  Shape list_of(const char* member, const nlohmann::json* value, std::int64_t least, std::size_t most_count) const;

  const nlohmann::json& json_;
  std::string place_;
  const std::string& file_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace tenon::plan
