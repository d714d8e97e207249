#include "model/json_document.hpp"

#include <set>
#include <vector>

#include <tenon/error.hpp>

#include "base/utf8.hpp"

namespace tenon::model {
namespace {

using Json = nlohmann::json;

/// Watches the parser (which keeps its own stack on the heap, so depth costs no C++ stack) and stops what a tree would
/// hide.
class Watch {
 public:
  Watch(const std::string& file, const Limits& limits) : file_(file), limits_(limits) {}

  bool operator()(int, Json::parse_event_t event, const Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (keys_.size() >= limits_.json_depth)
          throw Error(Code::Limit, {file_, {}, {}, {}}, "the JSON document is nested too deep",
                      "at most " + std::to_string(limits_.json_depth) + " levels", "more");
        keys_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end: keys_.pop_back(); break;
      case Json::parse_event_t::key: see_key(parsed.get_ref<const std::string&>()); break;
      case Json::parse_event_t::value: break;
    }
    return true;
  }

 private:
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
    throw Error(Code::Limit, {file, {}, {}, {}}, "the JSON document is too long",
                "at most " + std::to_string(limits.json_file_bytes) + " bytes", std::to_string(text.size()));
  Watch watch(file, limits);
  try {
    return Json::parse(
        text, [&watch](int depth, Json::parse_event_t event, Json& parsed) { return watch(depth, event, parsed); });
  } catch (const Json::parse_error& error) {
    throw Error(Code::Corrupt, {file, {}, {}, error.byte}, "the text is not valid JSON", "one JSON document",
                base::to_valid_utf8(error.what()), "correct the file at that byte");
  } catch (const Json::out_of_range& error) {  // a number that no double holds
    throw Error(Code::Corrupt, {file, {}, {}, {}}, "a number in the JSON document is too large",
                "numbers that a double holds", base::to_valid_utf8(error.what()));
  }
}

}  // namespace tenon::model
