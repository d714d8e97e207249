// PickleWriter: protocol 2, in the subset that every reader of checkpoints understands.
//
// Dicts are always `}( key value ... u`: LibTorch's pickle_load knows SETITEMS and fails on SETITEM. There is no memo:
// nothing refers back. Source: CPython Lib/pickletools.py; torch/csrc/jit/serialization/unpickler.cpp for what LibTorch
// reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tenon/value.hpp>

namespace tenon::container {

class PickleWriter {
 public:
  PickleWriter();

  void none();
  void boolean(bool value);
  void integer(std::int64_t value);
  void big_integer(std::string_view decimal);  ///< as many digits as it has
  void real(double value);
  void text(std::string_view utf8);
  void bytes(std::string_view raw);

  void begin_dict();
  void end_dict();  ///< after an even number of values
  void begin_list();
  void end_list();
  void begin_tuple();
  void end_tuple();

  void global(std::string_view module, std::string_view name);
  void reduce();         ///< callable and argument tuple -> call
  void persistent_id();  ///< tuple -> reference

  /// Any value of which is_plain() holds. Throws Bug for others.
  void value(const Value& value);

  /// Ends the stream and returns it.
  std::string finish();

 private:
  void put(std::uint64_t number, int width);
  std::string out_;
};

}  // namespace tenon::container
