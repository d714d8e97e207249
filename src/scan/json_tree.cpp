#include "scan/json_tree.hpp"

#include <algorithm>
#include <unordered_set>

#include "base/json_reader.hpp"

namespace tenon::scanning {

namespace {

using base::JsonReader;

class TreeReader {
 public:
  TreeReader(std::string_view text, std::uint64_t max_depth) : json_(text, {}, 0, max_depth) {}

  JsonTree read(JsonEnd end) {
    tree_.root = value();
    tree_.end = json_.position();
    if (end == JsonEnd::Text) json_.end();
    return std::move(tree_);
  }

 private:
  // As deep as the reader lets it become.
  JsonValue value() {
    JsonValue made;
    const auto kind = json_.peek();
    made.at = json_.position();
    if (kind == JsonReader::Kind::Object) {
      made.kind = JsonValue::Kind::Object;
      read_members(made);
    } else if (kind == JsonReader::Kind::Array) {
      made.kind = JsonValue::Kind::Array;
      json_.begin_array();
      while (json_.next_element()) made.items.push_back(value());
    } else if (kind == JsonReader::Kind::String) {
      made.kind = JsonValue::Kind::String;
      made.text = json_.string("a string");
    } else {
      json_.skip_value();
    }
    return made;
  }

  void read_members(JsonValue& made) {
    std::unordered_set<std::string> seen;
    json_.begin_object();
    while (const auto key = json_.next_key()) {
      std::string name(*key);
      if (!seen.insert(name).second && !tree_.repeated_key) {
        tree_.repeated_key = name;
        tree_.repeated_at = json_.position();
      }
      JsonValue member = value();
      made.members.push_back({std::move(name), std::move(member)});
    }
  }

  JsonReader json_;
  JsonTree tree_;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
  const auto found = std::find_if(members.rbegin(), members.rend(), [&](const auto& row) { return row.first == name; });
  return found == members.rend() ? nullptr : &found->second;
}

std::string_view JsonValue::string(std::string_view name) const {
  const JsonValue* found = find(name);
  return found != nullptr && found->kind == Kind::String ? std::string_view(found->text) : std::string_view{};
}

JsonTree read_json_tree(std::string_view text, std::uint64_t max_depth, JsonEnd end) {
  return TreeReader(text, max_depth).read(end);
}

}  // namespace tenon::scanning
