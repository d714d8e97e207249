#include "model/json_document.hpp"

#include <set>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace tenon::model {
namespace {

using Json = nlohmann::json;

/// Takes the values out from the leaves up, so that no destructor meets one with something in it.
void dissolve(Json& value) noexcept {
  if (!value.is_structured()) return;
  for (Json& child : value) dissolve(child);
  value.clear();
}

/// Builds the tree and stops what a tree would hide. The parser keeps its own stack on the heap, so that depth costs no
/// C++ stack before it is refused. A callback of the parser could not do it: the parser then searches each array again
/// for every element, which is quadratic in a listing of many tensors.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(Json& root, const std::string& file, const Limits& limits) : root_(root), file_(file), limits_(limits) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(Json::number_integer_t value) override { return put(value); }
  bool number_unsigned(Json::number_unsigned_t value) override { return put(value); }
  bool number_float(Json::number_float_t value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // no text has one
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& key) override {
    see_key(key);
    key_ = std::move(key);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    if (const auto* syntax = dynamic_cast<const Json::parse_error*>(&error)) throw *syntax;
    if (const auto* number = dynamic_cast<const Json::out_of_range*>(&error)) throw *number;
    return false;
  }

 private:
  /// The place of a value that begins.
  Json& place() {
    if (open_.empty()) return root_;
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.emplace_back();
    return parent[key_];
  }

  template <typename Value>
  bool put(Value value) {
    place() = Json(std::move(value));
    return true;
  }

  bool open(Json::value_t kind) {
    if (keys_.size() >= limits_.json_depth)
      throw base::limit_error({file_, {}, {}, {}}, "the JSON document is nested too deep",
                              {&Limits::json_depth, limits_}, "more");
    keys_.emplace_back();
    Json& value = place();
    value = Json(kind);
    open_.push_back(&value);
    return true;
  }

  bool close() {
    keys_.pop_back();
    open_.pop_back();
    return true;
  }

  void see_key(const std::string& key) {
    if (!keys_.back().insert(key).second)
      throw Error(Code::Corrupt, {file_, {}, key, {}}, "a member of the JSON document is named twice",
                  "names once only", "`" + key + "` again");
  }

  Json& root_;
  const std::string& file_;
  const Limits& limits_;
  std::vector<std::set<std::string>> keys_;
  std::vector<Json*> open_;  ///< from the root down; nothing is added to one while its child is open
  std::string key_;
};

}  // namespace

JsonTree::~JsonTree() { dissolve(root); }

JsonTree parse_document(std::string_view text, const std::string& file, const Limits& limits) {
  if (text.size() > limits.json_file_bytes)
    throw base::limit_error({file, {}, {}, {}}, "the JSON document is too long", {&Limits::json_file_bytes, limits},
                            base::plural(text.size(), "byte"));
  JsonTree tree;
  Builder builder(tree.root, file, limits);
  try {
    Json::sax_parse(text, &builder);
    return tree;
  } catch (const Json::parse_error& error) {
    throw Error(Code::Corrupt, {file, {}, {}, error.byte}, "the text is not valid JSON", "one JSON document",
                base::to_valid_utf8(error.what()), "correct the file at that byte");
  } catch (const Json::out_of_range& error) {  // a number that no double holds
    throw Error(Code::Corrupt, {file, {}, {}, {}}, "a number in the JSON document is too large",
                "numbers that a double holds", base::to_valid_utf8(error.what()));
  }
}

}  // namespace tenon::model
