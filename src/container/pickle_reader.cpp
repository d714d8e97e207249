#include "container/pickle_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/pickle_opcodes.hpp"
#include "container/pickle_text.hpp"

namespace tenon::container {

namespace {

constexpr int kNewestProtocol = 5;

std::string opcode_name(std::uint8_t byte) {
  for (const auto& [opcode, name] : kOpcodeNames)
    if (static_cast<std::uint8_t>(opcode) == byte) return std::string(name);
  return base::hex(byte);
}

/// Numbered slots. Dense while numbers grow with the count of PUTs, as all picklers number them; a forged number far
/// off goes to a map, so that memory follows the stream's length and never a number in it.
class Memo {
 public:
  void put(std::uint64_t slot, NodeId node) {
    ++puts_;
    if (slot >= 1024 + 2 * puts_) {
      if (sparse_.insert_or_assign(slot, node).second) ++count_;
      return;
    }
    if (slot >= dense_.size()) dense_.resize(std::max<std::size_t>(slot + 1, dense_.size() * 2), kNoNode);
    if (dense_[slot] == kNoNode && sparse_.find(slot) == sparse_.end()) ++count_;
    dense_[slot] = node;
  }
  NodeId get(std::uint64_t slot) const {
    if (slot < dense_.size() && dense_[slot] != kNoNode) return dense_[slot];
    const auto found = sparse_.find(slot);
    return found == sparse_.end() ? kNoNode : found->second;
  }
  std::uint64_t count() const { return count_; }

 private:
  std::vector<NodeId> dense_;
  std::unordered_map<std::uint64_t, NodeId> sparse_;
  std::uint64_t puts_ = 0;
  std::uint64_t count_ = 0;
};

/// Without what Python's int() passes over: white space around the digits and a plus sign.
std::string_view as_int_reads(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  if (text.starts_with('+')) text.remove_prefix(1);
  return text;
}

/// CPython reads INT and LONG with strtol(..., 0): 0x1f, 0o17, 1_000.
bool may_be_integer(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdefABCDEFxXoO_-") == std::string_view::npos;
}

class Machine {
 public:
  Machine(const PickleSource& source, const Limits& limits, const BuildObserver& built)
      : source_(source), limits_(limits), built_(built), bytes_(source.bytes), tree_(source.bytes) {
    small_.fill(kNoNode);
  }

  PickleTree run() &&;
  PickleAttempt attempt() &&;

 private:
  void read_to_stop();
  void step(std::uint8_t byte);

  // Reading the stream.
  [[noreturn]] void fail(Code code, std::string what, std::string expected = {}, std::string found = {}) const;
  [[noreturn]] void fail_at_limit(std::string what, std::uint64_t Limits::*limit, std::string found = {}) const;
  /// An Error where the answer must be right; a complaint where as much as possible is to be seen.
  void complain(Code code, std::string what, std::string expected = {}, std::string found = {});
  Error error_here(Code code, std::string what, std::string expected, std::string found) const;
  std::string_view take(std::uint64_t count, std::string_view field);
  std::string_view line(std::string_view field);
  template <class Unsigned>
  Unsigned number(std::string_view field);
  std::uint64_t slot_of_line();

  // The stack. Marks fence it: no opcode reaches below the newest mark but those that take the mark away.
  std::size_t fence() const { return marks_.empty() ? 0 : marks_.back(); }
  void push(NodeId node);
  NodeId pop();
  NodeId top() const;
  std::size_t take_mark();  ///< height of the stack at the mark
  std::span<const NodeId> above(std::size_t height) const { return std::span(stack_).subspan(height); }

  // One matter per opcode family.
  void push_constant(NodeId& cached, NodeKind kind, std::int64_t value);
  void push_integer(std::int64_t value);
  void push_text_integer(std::string_view digits);
  void push_twos_complement(std::string_view bytes);
  void push_real_line();
  void push_string_line();
  void push_unicode_line();
  void push_tuple(std::size_t height);
  void push_global(std::string_view module, std::string_view name, std::string_view opcode);
  void push_stack_global();
  void push_call(NodeId function, NodeId arguments, NodeId keywords, bool makes_object);
  void append_items(std::size_t height);
  void set_items(std::size_t height);
  void add_to_set(std::size_t height);
  void build();
  void pass_over(NodeId target, std::uint64_t raw_bytes);
  bool takes_items_unseen(NodeId target) const;
  void recall(std::uint64_t slot);
  void pop_value_or_mark();
  void frame();
  void protocol();

  const PickleSource& source_;
  const Limits& limits_;
  const BuildObserver& built_;
  std::span<const std::byte> bytes_;
  PickleTree tree_;
  std::uint64_t position_ = 0;
  std::uint64_t at_ = 0;  ///< of the current opcode
  std::vector<NodeId> stack_;
  std::vector<std::size_t> marks_;
  Memo memo_;
  std::uint64_t opcodes_ = 0;
  int protocol_ = 0;
  bool stopped_ = false;
  bool lenient_ = false;
  std::vector<Error> complaints_;
  // Immutable values that occur everywhere are made once.
  std::array<NodeId, 256> small_{};
  NodeId none_ = kNoNode, true_ = kNoNode, false_ = kNoNode, empty_tuple_ = kNoNode;
};

Error Machine::error_here(Code code, std::string what, std::string expected, std::string found) const {
  const std::string opcode = at_ < bytes_.size() ? opcode_name(static_cast<std::uint8_t>(bytes_[at_])) : "end";
  return Error(code, {source_.file, source_.member, {}, source_.origin + at_},
               "pickle opcode " + opcode + ": " + std::move(what), std::move(expected), std::move(found),
               "the file is damaged or no checkpoint: fetch or save it again");
}

void Machine::fail(Code code, std::string what, std::string expected, std::string found) const {
  throw error_here(code, std::move(what), std::move(expected), std::move(found));
}

void Machine::fail_at_limit(std::string what, std::uint64_t Limits::*limit, std::string found) const {
  Error here = error_here(Code::Limit, std::move(what), {}, {});
  throw base::limit_error(here.where, here.what_happened, {limit, limits_}, std::move(found));
}

void Machine::complain(Code code, std::string what, std::string expected, std::string found) {
  constexpr std::size_t kMost = 16;  // one is enough to call a stream malformed
  if (!lenient_) fail(code, std::move(what), std::move(expected), std::move(found));
  if (complaints_.size() < kMost)
    complaints_.push_back(error_here(code, std::move(what), std::move(expected), std::move(found)));
}

std::string_view Machine::take(std::uint64_t count, std::string_view field) {
  if (count > bytes_.size() - position_)
    fail(Code::Corrupt, "the pickle ends within its " + std::string(field), base::plural(count, "byte"),
         base::plural(bytes_.size() - position_, "byte"));
  const auto found = base::as_text(bytes_.subspan(position_, count));
  position_ += count;
  return found;
}

std::string_view Machine::line(std::string_view field) {
  const std::string_view left = base::as_text(bytes_.subspan(position_));
  const std::size_t end = left.find('\n');
  if (end == std::string_view::npos)
    fail(Code::Corrupt, "the pickle ends within its " + std::string(field), "a newline");
  position_ += end + 1;
  return left.substr(0, end);
}

template <class Unsigned>
Unsigned Machine::number(std::string_view field) {
  const std::string_view raw = take(sizeof(Unsigned), field);
  Unsigned value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i)
    value = static_cast<Unsigned>(value | (static_cast<Unsigned>(static_cast<unsigned char>(raw[i])) << (8 * i)));
  return value;
}

std::uint64_t Machine::slot_of_line() {
  std::string_view digits = line("memo slot");
  if (lenient_) digits = as_int_reads(digits);
  std::uint64_t slot = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), slot);
  if (error != std::errc{} || end != digits.data() + digits.size()) fail(Code::Corrupt, "the memo slot is no number");
  return slot;
}

void Machine::push(NodeId node) {
  if (tree_.node_count() > limits_.pickle_nodes)
    fail_at_limit("the pickle holds too many values", &Limits::pickle_nodes);
  stack_.push_back(node);
}

NodeId Machine::pop() {
  if (stack_.size() <= fence()) fail(Code::Corrupt, "the pickle's stack is empty");
  const NodeId node = stack_.back();
  stack_.pop_back();
  return node;
}

NodeId Machine::top() const {
  if (stack_.size() <= fence()) fail(Code::Corrupt, "the pickle's stack is empty");
  return stack_.back();
}

std::size_t Machine::take_mark() {
  if (marks_.empty()) fail(Code::Corrupt, "there is no MARK on the pickle's stack");
  const std::size_t height = marks_.back();
  marks_.pop_back();
  return height;
}

void Machine::push_constant(NodeId& cached, NodeKind kind, std::int64_t value) {
  if (cached == kNoNode) cached = tree_.add(kind, at_, value);
  push(cached);
}

void Machine::push_integer(std::int64_t value) {
  if (value >= 0 && value < static_cast<std::int64_t>(small_.size()))
    push_constant(small_[static_cast<std::size_t>(value)], NodeKind::Integer, value);
  else
    push(tree_.add(NodeKind::Integer, at_, value));
}

void Machine::push_text_integer(std::string_view digits) {
  constexpr std::uint64_t kDigitsPerByte = 3;  // at most: 2.4
  if (lenient_) digits = as_int_reads(digits);
  if (digits.ends_with('L')) digits.remove_suffix(1);
  if (digits.size() > limits_.integer_bytes * kDigitsPerByte)
    fail_at_limit("the integer is too long", &Limits::integer_bytes);
  std::string_view unsigned_part = digits;
  if (unsigned_part.starts_with('-') || unsigned_part.starts_with('+')) unsigned_part.remove_prefix(1);
  const bool is_number =
      !unsigned_part.empty() && unsigned_part.find_first_not_of("0123456789") == std::string_view::npos;
  if (!is_number && lenient_ && may_be_integer(digits)) return push(tree_.add_bytes(NodeKind::Decimal, at_, digits));
  if (!is_number) fail(Code::Corrupt, "the text is no integer");
  if (digits.starts_with('+')) digits = unsigned_part;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc{} && end == digits.data() + digits.size())
    push_integer(value);
  else
    push(tree_.add_bytes(NodeKind::Decimal, at_, digits));
}

void Machine::push_twos_complement(std::string_view bytes) {
  const auto sign_of = [](char c) { return static_cast<char>((static_cast<unsigned char>(c) & 0x80) != 0 ? 0xFF : 0); };
  while (bytes.size() > 8 && bytes.back() == sign_of(bytes[bytes.size() - 2])) bytes.remove_suffix(1);
  if (bytes.size() > 8) return push(tree_.add_bytes(NodeKind::BigInteger, at_, bytes));
  std::uint64_t value = !bytes.empty() && sign_of(bytes.back()) != 0 ? ~std::uint64_t{0} : 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = (value << 8) | static_cast<unsigned char>(bytes[i]);
  push_integer(std::bit_cast<std::int64_t>(value));
}

void Machine::push_real_line() {
  std::string_view text = line("number");
  if (lenient_) text = as_int_reads(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size())
    fail(Code::Corrupt, "the text is no number");
  push(tree_.add_real(at_, value));
}

void Machine::push_string_line() {
  std::string_view text = line("string");
  const bool is_quoted =
      text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
  if (!is_quoted) fail(Code::Corrupt, "the string has no quotes around it");
  text = text.substr(1, text.size() - 2);
  if (text.find('\\') == std::string_view::npos) return push(tree_.add_bytes(NodeKind::RawText, at_, text));
  auto unescaped = unescape_string(text);
  if (!unescaped) fail(Code::Corrupt, "the string holds a broken escape");
  push(tree_.add_unescaped(NodeKind::RawText, at_, std::move(*unescaped)));
}

void Machine::push_unicode_line() {
  const std::string_view text = line("text");
  const bool is_plain =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0 && c != '\\'; });
  if (is_plain) return push(tree_.add_bytes(NodeKind::Text, at_, text));
  auto unescaped = unescape_unicode(text);
  if (!unescaped) fail(Code::Corrupt, "the text holds a broken escape");
  push(tree_.add_unescaped(NodeKind::Text, at_, std::move(*unescaped)));
}

void Machine::push_tuple(std::size_t height) {
  const NodeId tuple = tree_.add_tuple(at_, above(height));
  stack_.resize(height);
  push(tuple);
}

void Machine::push_global(std::string_view module, std::string_view name, std::string_view opcode) {
  push(tree_.add_global({module, name, static_cast<std::uint32_t>(at_), static_cast<std::uint32_t>(opcodes_), opcode}));
}

void Machine::push_stack_global() {
  const NodeId name = pop();
  const NodeId module = pop();
  const auto is_text = [&](NodeId node) {
    return tree_.kind(node) == NodeKind::Text || tree_.kind(node) == NodeKind::RawText ||
           (lenient_ && tree_.kind(node) == NodeKind::Bytes);
  };
  if (!is_text(name) || !is_text(module)) {
    if (!lenient_) fail(Code::Corrupt, "module and name are no text");
    return push_global({}, {}, "STACK_GLOBAL");
  }
  push_global(tree_.bytes(module), tree_.bytes(name), "STACK_GLOBAL");
}

void Machine::push_call(NodeId function, NodeId arguments, NodeId keywords, bool makes_object) {
  PickleCall call;
  call.function = function;
  call.arguments = arguments;
  call.keywords = keywords;
  call.makes_object = makes_object;
  push(tree_.add_call(at_, call));
}

void Machine::append_items(std::size_t height) {
  if (height == 0 || height <= fence()) fail(Code::Corrupt, "there is nothing to append to");
  const NodeId target = stack_[height - 1];
  if (tree_.kind(target) == NodeKind::List)
    tree_.append(target, above(height));
  else if (tree_.kind(target) == NodeKind::Call)
    tree_.append(tree_.mutable_call(target).items, above(height));
  else if (!takes_items_unseen(target))
    complain(Code::Corrupt, "the value cannot be appended to", "a list or an object");
  stack_.resize(height);
}

void Machine::set_items(std::size_t height) {
  if (height == 0 || height <= fence()) fail(Code::Corrupt, "there is nothing to set items of");
  if ((stack_.size() - height) % 2 != 0) fail(Code::Corrupt, "the last key has no value");
  const NodeId target = stack_[height - 1];
  if (tree_.kind(target) == NodeKind::Dict)
    tree_.append(target, above(height));
  else if (tree_.kind(target) == NodeKind::Call)
    tree_.append(tree_.mutable_call(target).pairs, above(height));
  else if (!takes_items_unseen(target))
    complain(Code::Corrupt, "the value has no items to set", "a dict or an object");
  stack_.resize(height);
}

void Machine::add_to_set(std::size_t height) {
  if (height == 0 || height <= fence()) fail(Code::Corrupt, "there is no set to add to");
  const NodeId target = stack_[height - 1];
  if (tree_.kind(target) == NodeKind::Set)
    tree_.append(target, above(height));
  else if (tree_.kind(target) == NodeKind::Call)
    tree_.append(tree_.mutable_call(target).items, above(height));
  else if (!takes_items_unseen(target))
    complain(Code::Corrupt, "the value cannot be added to", "a set or an object");
  stack_.resize(height);
}

/// A class, a persistent object or (for SETITEM) a list may take items in an unpickler; here they are passed over.
bool Machine::takes_items_unseen(NodeId target) const {
  const NodeKind kind = tree_.kind(target);
  return lenient_ && (kind == NodeKind::Global || kind == NodeKind::Persistent || kind == NodeKind::List);
}

// What a call made can have a state. On a class, a function or a persistent object Python sets attributes as well: kept
// beside the values, for those who judge. On plain data it fails or does nothing, and so nothing is lost here.
void Machine::build() {
  const NodeId state = pop();
  const NodeId target = top();
  const NodeKind kind = tree_.kind(target);
  if (kind == NodeKind::Global || kind == NodeKind::Persistent)
    tree_.add_alteration({target, state, static_cast<std::uint32_t>(at_), static_cast<std::uint32_t>(opcodes_)});
  if (kind != NodeKind::Call) return;
  tree_.mutable_call(target).state = state;
  if (built_) pass_over(target, built_(tree_, target, position_));
}

void Machine::pass_over(NodeId target, std::uint64_t raw_bytes) {
  if (lenient_) raw_bytes = std::min<std::uint64_t>(raw_bytes, bytes_.size() - position_);
  PickleCall& call = tree_.mutable_call(target);
  const std::uint64_t begin = position_;
  static_cast<void>(take(raw_bytes, "raw elements"));
  call.raw_begin = static_cast<std::uint32_t>(begin);
  call.raw_bytes = static_cast<std::uint32_t>(raw_bytes);
}

void Machine::recall(std::uint64_t slot) {
  const NodeId node = memo_.get(slot);
  if (node == kNoNode) fail(Code::Corrupt, "nothing was put into memo slot " + std::to_string(slot));
  push(node);
}

void Machine::pop_value_or_mark() {
  if (!marks_.empty() && marks_.back() == stack_.size())
    marks_.pop_back();
  else
    pop();
}

void Machine::frame() {
  const auto length = number<std::uint64_t>("frame length");
  if (length > bytes_.size() - position_)
    complain(Code::Corrupt, "the frame is longer than the pickle", base::plural(length, "byte"),
             base::plural(bytes_.size() - position_, "byte"));
}

void Machine::protocol() {
  protocol_ = number<std::uint8_t>("protocol");
  if (protocol_ > kNewestProtocol)
    complain(Code::Unsupported, "the pickle's protocol is too new", "at most " + std::to_string(kNewestProtocol),
             std::to_string(protocol_));
}

void Machine::step(std::uint8_t byte) {
  const std::size_t height = stack_.size();
  switch (static_cast<Opcode>(byte)) {
    case Opcode::Proto: return protocol();
    case Opcode::Frame: return frame();
    case Opcode::Stop: stopped_ = true; return;
    case Opcode::Mark: return marks_.push_back(height);
    case Opcode::Pop: return pop_value_or_mark();
    case Opcode::PopMark: return stack_.resize(take_mark());
    case Opcode::Dup: return push(top());

    case Opcode::None: return push_constant(none_, NodeKind::None, 0);
    case Opcode::NewTrue: return push_constant(true_, NodeKind::Bool, 1);
    case Opcode::NewFalse: return push_constant(false_, NodeKind::Bool, 0);
    case Opcode::Int: {
      const std::string_view digits = line("integer");
      if (digits == "01") return push_constant(true_, NodeKind::Bool, 1);
      if (digits == "00") return push_constant(false_, NodeKind::Bool, 0);
      return push_text_integer(digits);
    }
    case Opcode::Long: return push_text_integer(line("integer"));
    case Opcode::BinInt: return push_integer(std::bit_cast<std::int32_t>(number<std::uint32_t>("integer")));
    case Opcode::BinInt1: return push_integer(number<std::uint8_t>("integer"));
    case Opcode::BinInt2: return push_integer(number<std::uint16_t>("integer"));
    case Opcode::Long1: return push_twos_complement(take(number<std::uint8_t>("length"), "integer"));
    case Opcode::Long4: {
      const auto length = number<std::uint32_t>("length");
      if (length > limits_.integer_bytes)
        fail_at_limit("the integer is too long", &Limits::integer_bytes, base::plural(length, "byte"));
      return push_twos_complement(take(length, "integer"));
    }
    case Opcode::Float: return push_real_line();
    case Opcode::BinFloat:
      return push(tree_.add_real(at_, std::bit_cast<double>(__builtin_bswap64(number<std::uint64_t>("number")))));

    case Opcode::String: return push_string_line();
    case Opcode::BinString: {
      const auto length = number<std::uint32_t>("length");
      return push(tree_.add_bytes(NodeKind::RawText, at_, take(length, "string")));
    }
    case Opcode::ShortBinString:
      return push(tree_.add_bytes(NodeKind::RawText, at_, take(number<std::uint8_t>("length"), "string")));
    case Opcode::Unicode: return push_unicode_line();
    case Opcode::ShortBinUnicode:
      return push(tree_.add_bytes(NodeKind::Text, at_, take(number<std::uint8_t>("length"), "text")));
    case Opcode::BinUnicode:
      return push(tree_.add_bytes(NodeKind::Text, at_, take(number<std::uint32_t>("length"), "text")));
    case Opcode::BinUnicode8:
      return push(tree_.add_bytes(NodeKind::Text, at_, take(number<std::uint64_t>("length"), "text")));
    case Opcode::ShortBinBytes:
      return push(tree_.add_bytes(NodeKind::Bytes, at_, take(number<std::uint8_t>("length"), "bytes")));
    case Opcode::BinBytes:
      return push(tree_.add_bytes(NodeKind::Bytes, at_, take(number<std::uint32_t>("length"), "bytes")));
    case Opcode::BinBytes8:
      return push(tree_.add_bytes(NodeKind::Bytes, at_, take(number<std::uint64_t>("length"), "bytes")));
    case Opcode::ByteArray8:
      return push(tree_.add_bytes(NodeKind::ByteArray, at_, take(number<std::uint64_t>("length"), "bytes")));

    case Opcode::EmptyList: return push(tree_.add_container(NodeKind::List, at_, {}));
    case Opcode::EmptyDict: return push(tree_.add_container(NodeKind::Dict, at_, {}));
    case Opcode::EmptySet: return push(tree_.add_container(NodeKind::Set, at_, {}));
    case Opcode::EmptyTuple:
      if (empty_tuple_ == kNoNode) empty_tuple_ = tree_.add_tuple(at_, {});
      return push(empty_tuple_);
    case Opcode::Tuple: return push_tuple(take_mark());
    case Opcode::Tuple1:
    case Opcode::Tuple2:
    case Opcode::Tuple3: {
      const std::size_t count = byte - static_cast<std::size_t>(Opcode::Tuple1) + 1;
      if (height - fence() < count) fail(Code::Corrupt, "the pickle's stack is empty");
      return push_tuple(height - count);
    }
    case Opcode::List:
    case Opcode::Dict:
    case Opcode::FrozenSet: {
      const auto op = static_cast<Opcode>(byte);
      const std::size_t mark = take_mark();
      if (op == Opcode::Dict && (height - mark) % 2 != 0) fail(Code::Corrupt, "the last key has no value");
      const NodeKind kind = op == Opcode::List   ? NodeKind::List
                            : op == Opcode::Dict ? NodeKind::Dict
                                                 : NodeKind::FrozenSet;
      const NodeId made = tree_.add_container(kind, at_, above(mark));
      stack_.resize(mark);
      return push(made);
    }
    case Opcode::Append:
      if (height - fence() < 2) fail(Code::Corrupt, "the pickle's stack is empty");
      return append_items(height - 1);
    case Opcode::Appends: return append_items(take_mark());
    case Opcode::SetItem:
      if (height - fence() < 3) fail(Code::Corrupt, "the pickle's stack is empty");
      return set_items(height - 2);
    case Opcode::SetItems: return set_items(take_mark());
    case Opcode::AddItems: return add_to_set(take_mark());

    case Opcode::Put: return memo_.put(slot_of_line(), top());
    case Opcode::BinPut: return memo_.put(number<std::uint8_t>("memo slot"), top());
    case Opcode::LongBinPut: return memo_.put(number<std::uint32_t>("memo slot"), top());
    case Opcode::Memoize: return memo_.put(memo_.count(), top());
    case Opcode::Get: return recall(slot_of_line());
    case Opcode::BinGet: return recall(number<std::uint8_t>("memo slot"));
    case Opcode::LongBinGet: return recall(number<std::uint32_t>("memo slot"));

    case Opcode::Global: {
      const std::string_view module = line("module");
      return push_global(module, line("name"), "GLOBAL");
    }
    case Opcode::StackGlobal: return push_stack_global();
    case Opcode::Reduce: {
      const NodeId arguments = pop();
      return push_call(pop(), arguments, kNoNode, false);
    }
    case Opcode::NewObj: {
      const NodeId arguments = pop();
      return push_call(pop(), arguments, kNoNode, true);
    }
    case Opcode::NewObjEx: {
      const NodeId keywords = pop();
      const NodeId arguments = pop();
      return push_call(pop(), arguments, keywords, true);
    }
    case Opcode::Inst: {
      const std::string_view module = line("module");
      const std::string_view name = line("name");
      push_tuple(take_mark());
      const NodeId arguments = pop();
      push_global(module, name, "INST");
      return push_call(pop(), arguments, kNoNode, true);
    }
    case Opcode::Obj: {
      const std::size_t mark = take_mark();
      if (mark == height) fail(Code::Corrupt, "there is no class on the pickle's stack");
      push_tuple(mark + 1);
      const NodeId arguments = pop();
      return push_call(pop(), arguments, kNoNode, true);
    }
    case Opcode::Ext1: return push_global("copyreg.extension", take(1, "code"), "EXT1");
    case Opcode::Ext2: return push_global("copyreg.extension", take(2, "code"), "EXT2");
    case Opcode::Ext4: return push_global("copyreg.extension", take(4, "code"), "EXT4");
    case Opcode::Build: return build();
    case Opcode::PersId:
      return push(tree_.add_persistent(at_, tree_.add_bytes(NodeKind::Text, at_, line("persistent id"))));
    case Opcode::BinPersId: return push(tree_.add_persistent(at_, pop()));
    case Opcode::ReadOnlyBuffer:
      if (lenient_) return static_cast<void>(top());  // also legal for bytes that stand in the stream
      [[fallthrough]];
    case Opcode::NextBuffer:
      complain(Code::Unsupported, "the pickle's buffers were sent beside it and are not in the file");
      return push(tree_.add_bytes(NodeKind::Bytes, at_, {}));
  }
  fail(Code::Corrupt, "there is no such opcode");
}

void Machine::read_to_stop() {
  constexpr std::uint64_t kMost = 0xFFFFFFFE;  // places in the tree have 32 bits
  const std::uint64_t most = std::min(limits_.pickle_bytes, kMost);
  const bool is_cut = bytes_.size() > most;  // a limit on the pickle, which may end before what follows it
  if (is_cut) bytes_ = bytes_.first(most);
  while (!stopped_) {
    at_ = position_;
    if (position_ == bytes_.size() && is_cut) fail_at_limit("the pickle is too long", &Limits::pickle_bytes);
    if (position_ == bytes_.size()) fail(Code::Corrupt, "the pickle ends without STOP");
    if (opcodes_ >= limits_.pickle_opcodes) fail_at_limit("the pickle has too many opcodes", &Limits::pickle_opcodes);
    step(static_cast<std::uint8_t>(bytes_[position_++]));
    ++opcodes_;
  }
  if (!marks_.empty()) complain(Code::Corrupt, "a MARK is left on the pickle's stack");
  const NodeId root = pop();
  tree_.finish(root, position_, protocol_);
}

PickleTree Machine::run() && {
  read_to_stop();
  return std::move(tree_);
}

PickleAttempt Machine::attempt() && {
  lenient_ = true;
  std::optional<Error> stopped_by;
  try {
    read_to_stop();
  } catch (const Error& error) {
    stopped_by = error;
  }
  const std::uint64_t end = stopped_by ? at_ : position_;
  return {std::move(tree_), std::move(stopped_by), std::move(complaints_), end, opcodes_};
}

}  // namespace

PickleTree read_pickle(const PickleSource& source, const Limits& limits, const BuildObserver& built) {
  return Machine(source, limits, built).run();
}

PickleAttempt attempt_pickle(const PickleSource& source, const Limits& limits, const BuildObserver& built) {
  return Machine(source, limits, built).attempt();
}

}  // namespace tenon::container
