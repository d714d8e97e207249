#include <tenon/value.hpp>

#include <algorithm>

namespace tenon {

std::string type_name(const Value& value) {
  struct Visitor {
    std::string operator()(std::monostate) const { return "NoneType"; }
    std::string operator()(bool) const { return "bool"; }
    std::string operator()(std::int64_t) const { return "int"; }
    std::string operator()(double) const { return "float"; }
    std::string operator()(const BigInt&) const { return "int"; }
    std::string operator()(const std::string&) const { return "str"; }
    std::string operator()(const Bytes&) const { return "bytes"; }
    std::string operator()(const Sequence& v) const { return v.type; }
    std::string operator()(const Mapping& v) const { return v.type; }
    std::string operator()(const Record& v) const { return v.type; }
    std::string operator()(const Elided&) const { return "elided"; }
  };
  return std::visit(Visitor{}, value.is);
}

bool is_plain(const Value& value) {
  struct Visitor {
    bool operator()(std::monostate) const { return true; }
    bool operator()(bool) const { return true; }
    bool operator()(std::int64_t) const { return true; }
    bool operator()(double) const { return true; }
    bool operator()(const BigInt&) const { return true; }
    bool operator()(const std::string&) const { return true; }
    bool operator()(const Bytes&) const { return true; }
    bool operator()(const Sequence& v) const {
      return (v.type == "list" || v.type == "tuple") && std::all_of(v.items.begin(), v.items.end(), is_plain);
    }
    bool operator()(const Mapping& v) const {
      return (v.type == "dict" || v.type == "collections.OrderedDict") &&
             std::all_of(v.items.begin(), v.items.end(),
                         [](const auto& item) { return is_plain(item.first) && is_plain(item.second); });
    }
    bool operator()(const Record&) const { return false; }
    bool operator()(const Elided&) const { return false; }
  };
  return std::visit(Visitor{}, value.is);
}

}  // namespace tenon
