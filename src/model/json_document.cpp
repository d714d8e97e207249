#include "model/json_document.hpp"

#include <set>
#include <vector>

#include <tenon/error.hpp>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::model {
namespace {

using Json = nlohmann::json;

/// Goes through the text before it is parsed (the parser keeps its own stack on the heap, so depth costs no C++ stack)
/// and stops what a tree would hide. A callback of the parser could do this in one pass, but the parser then searches
/// each array again for every element: quadratic in a listing of many tensors.
class Watch final : public nlohmann::json_sax<Json> {
 public:
  Watch(const std::string& file, const Limits& limits) : file_(file), limits_(limits) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(Json::number_integer_t) override { return true; }
  bool number_unsigned(Json::number_unsigned_t) override { return true; }
  bool number_float(Json::number_float_t, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& key) override {
    see_key(key);
    return true;
  }
  /// The parse that follows meets the same error and says where it is.
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool open() {
    if (keys_.size() >= limits_.json_depth)
      throw base::limit_error({file_, {}, {}, {}}, "the JSON document is nested too deep",
                              {&Limits::json_depth, limits_}, "more");
    keys_.emplace_back();
    return true;
  }

  bool close() {
    keys_.pop_back();
    return true;
  }

  void see_key(const std::string& key) {
    if (!keys_.back().insert(key).second)
      throw Error(Code::Corrupt, {file_, {}, key, {}}, "a member of the JSON document is named twice",
                  "names once only", "`" + key + "` again");
  }

  const std::string& file_;
  const Limits& limits_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_document(std::string_view text, const std::string& file, const Limits& limits) {
  if (text.size() > limits.json_file_bytes)
    throw base::limit_error({file, {}, {}, {}}, "the JSON document is too long", {&Limits::json_file_bytes, limits},
                            base::plural(text.size(), "byte"));
  Watch watch(file, limits);
  try {
    Json::sax_parse(text, &watch);
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw Error(Code::Corrupt, {file, {}, {}, error.byte}, "the text is not valid JSON", "one JSON document",
                base::to_valid_utf8(error.what()), "correct the file at that byte");
  } catch (const Json::out_of_range& error) {  // a number that no double holds
    throw Error(Code::Corrupt, {file, {}, {}, {}}, "a number in the JSON document is too large",
                "numbers that a double holds", base::to_valid_utf8(error.what()));
  }
}

}  // namespace tenon::model
