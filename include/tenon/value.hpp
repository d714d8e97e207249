// Value: what stands in a checkpoint beside tensors, as a tree of plain values. Nothing in it is code.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <tenon/export.hpp>

namespace tenon {

struct Value;

using ValueList = std::vector<Value>;
struct ValuePair;
using ValuePairs = std::vector<ValuePair>;

/// An integer beyond 64 bits, as decimal text.
struct BigInt {
  std::string digits;
};
struct Bytes {
  std::string bytes;
};
/// list, tuple, set, frozenset: `type` says which.
struct Sequence {
  std::string type;
  ValueList items;
};
/// dict, collections.OrderedDict, ...: `type` says which. Keys are values; order is the file's.
struct Mapping {
  std::string type;
  ValuePairs items;
};
/// An object of a class that tenon knows by name only: its constructor's arguments and its state, as data.
struct Record {
  std::string type;  ///< `module.Class` as written in the file
  ValueList arguments;
  ValuePairs state;
};
/// A part that was not copied: a reference to an enclosing value, or what lies beyond a limit.
struct Elided {
  std::string why;
};

/// A deep, owned tree. Copies are deep.
struct TENON_API Value {
  std::variant<std::monostate, bool, std::int64_t, double, BigInt, std::string, Bytes, Sequence, Mapping, Record,
               Elided>
      is;
};

/// A key and what it leads to. Not std::pair, which Clang 14 cannot complete around a type that holds it.
struct ValuePair {
  Value first;
  Value second;
  ValuePair(Value key, Value item) : first(std::move(key)), second(std::move(item)) {}
};

/// Python's name for the type of a value: `int`, `str`, `NoneType`, `list`, `collections.OrderedDict`, a record's
/// class.
TENON_API std::string type_name(const Value& value);

/// True when only None, bool, int, float, str, bytes, list, tuple, dict and OrderedDict occur: any checkpoint format
/// that holds objects at all can hold it.
TENON_API bool is_plain(const Value& value);

}  // namespace tenon
