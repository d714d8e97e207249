// Members of a JSON object of ours, read strictly: every complaint says which member, what was expected, what stands
// there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <tenon/dtype.hpp>
#include <tenon/error.hpp>
#include <tenon/limits.hpp>
#include <tenon/tensor.hpp>

namespace tenon::model {

/// One object and the way to it, for messages: `tensors[3]`. Refers to its arguments, which must outlive it.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string place, const std::string& file, const Limits& limits);

  std::string text(const char* member) const;
  std::string text_or(const char* member, std::string otherwise) const;  ///< also where it is null
  double number_or(const char* member, double otherwise) const;          ///< takes "nan", "inf", "-inf", too
  std::uint64_t count(const char* member) const;
  std::optional<std::uint64_t> optional_count(const char* member) const;
  std::optional<bool> optional_flag(const char* member) const;
  DType dtype(const char* member) const;
  Shape shape(const char* member) const;
  std::vector<double> numbers_or_none(const char* member) const;
  std::vector<std::string> texts_or_none(const char* member) const;

  /// The member's array, or an empty one where there is none.
  const nlohmann::json& array_or_none(const char* member) const;
  /// The member, or null where there is none.
  const nlohmann::json& find(const char* member) const;
  /// The fields of element `index` of the array `member`.
  JsonFields at(const char* member, const nlohmann::json& element, std::size_t index) const;
  /// The fields of an object member.
  JsonFields object(const char* member) const;

  Error wrong(std::string_view member, std::string what, std::string expected, std::string found) const;
  std::string place(std::string_view member) const;

 private:
  const nlohmann::json& object_;
  std::string place_;
  const std::string& file_;
  const Limits& limits_;
};

}  // namespace tenon::model
