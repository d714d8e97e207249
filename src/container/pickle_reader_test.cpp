// The machine, opcode by opcode: hand-assembled pickles and the trees they make, written as Python would.
#include "container/pickle_reader.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "container/pickle_text.hpp"

namespace tenon::container {
namespace {

const auto row_name = [](const auto& row) { return std::string(row.param.name); };

using namespace std::string_literals;

std::string show(const PickleTree& tree, NodeId node, int depth = 0);

std::string show_all(const PickleTree& tree, PickleItems items, int depth) {
  std::string text;
  for (const NodeId item : items) text += (text.empty() ? "" : ", ") + show(tree, item, depth + 1);
  return text;
}

/// A tree as one line: `{` pairs `}` are flat, calls are name(arguments)[items]{pairs}!state.
std::string show(const PickleTree& tree, NodeId node, int depth) {
  if (depth > 6) return "...";
  switch (tree.kind(node)) {
    case NodeKind::None: return "None";
    case NodeKind::Bool: return tree.boolean(node) ? "True" : "False";
    case NodeKind::Integer: return std::to_string(tree.integer(node));
    case NodeKind::BigInteger: return "big " + decimal_of_twos_complement(tree.bytes(node));
    case NodeKind::Decimal: return "big " + std::string(tree.bytes(node));
    case NodeKind::Real: return fmt::format("{:.3f}", tree.real(node));
    case NodeKind::Text: return fmt::format("'{}'", tree.bytes(node));
    case NodeKind::RawText: return fmt::format("s'{}'", tree.bytes(node));
    case NodeKind::Bytes: return fmt::format("b'{}'", tree.bytes(node));
    case NodeKind::ByteArray: return fmt::format("a'{}'", tree.bytes(node));
    case NodeKind::List: return fmt::format("[{}]", show_all(tree, tree.items(node), depth));
    case NodeKind::Tuple: return fmt::format("({})", show_all(tree, tree.items(node), depth));
    case NodeKind::Dict: return fmt::format("{{{}}}", show_all(tree, tree.items(node), depth));
    case NodeKind::Set: return fmt::format("set({})", show_all(tree, tree.items(node), depth));
    case NodeKind::FrozenSet: return fmt::format("frozen({})", show_all(tree, tree.items(node), depth));
    case NodeKind::Global: return fmt::format("{}.{}", tree.global(node).module, tree.global(node).name);
    case NodeKind::Persistent: return fmt::format("@{}", show(tree, tree.persistent_id(node), depth + 1));
    case NodeKind::Call: break;
  }
  const PickleCall& call = tree.call(node);
  std::string text = show(tree, call.function, depth + 1) + show(tree, call.arguments, depth + 1);
  if (call.keywords != kNoNode) text += "**" + show(tree, call.keywords, depth + 1);
  if (!tree.items(call.items).empty()) text += fmt::format("[{}]", show_all(tree, tree.items(call.items), depth));
  if (!tree.items(call.pairs).empty()) text += fmt::format("{{{}}}", show_all(tree, tree.items(call.pairs), depth));
  if (call.state != kNoNode) text += "!" + show(tree, call.state, depth + 1);
  return text;
}

PickleTree read(std::string_view stream, const Limits& limits = {}) {
  return read_pickle({base::as_bytes(stream), "x.pt", "a/data.pkl", 0}, limits);
}

struct Row {
  const char* name;
  std::string stream;
  std::string shown;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class PickleOpcodes : public testing::TestWithParam<Row> {};
TEST_P(PickleOpcodes, MakeTheirTree) {
  const PickleTree tree = read(GetParam().stream);
  EXPECT_EQ(show(tree, tree.root()), GetParam().shown);
  EXPECT_EQ(tree.stream_bytes(), GetParam().stream.size());
}

INSTANTIATE_TEST_SUITE_P(
    Constants, PickleOpcodes,
    testing::Values(
        Row{"none", "N.", "None"}, Row{"new_true", "\x80\x02\x88.", "True"}, Row{"new_false", "\x80\x02\x89.", "False"},
        Row{"int_true", "I01\n.", "True"}, Row{"int_false", "I00\n.", "False"}, Row{"int", "I-17\n.", "-17"},
        Row{"int_beyond_64_bits", "I18446744073709551616\n.", "big 18446744073709551616"}, Row{"long", "L12L\n.", "12"},
        Row{"long_lowest", "L-9223372036854775808L\n.", "-9223372036854775808"},
        Row{"binint", "J\xfe\xff\xff\xff.", "-2"}, Row{"binint1", "K\xff.", "255"}, Row{"binint2", "M\x01\x02.", "513"},
        Row{"long1_zero", "\x8a\0."s, "0"}, Row{"long1_negative", "\x8a\x01\xff.", "-1"},
        Row{"long1_padded", "\x8a\x0a\x01\0\0\0\0\0\0\0\0\0."s, "1"},
        Row{"long1_unsigned_64", "\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0."s, "big 18446744073709551615"},
        Row{"long1_below_64", "\x8a\x09\0\0\0\0\0\0\0\0\xff."s, "big -18446744073709551616"},
        Row{"long4", "\x8b\x02\0\0\0\0\x01."s, "256"}, Row{"float", "F-2.5\n.", "-2.500"},
        Row{"float_inf", "Finf\n.", "inf"}, Row{"binfloat", "G\x3f\xf8\0\0\0\0\0\0."s, "1.500"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Strings, PickleOpcodes,
    testing::Values(
        Row{"string", "S'a b'\n.", "s'a b'"}, Row{"string_escaped", "S\"a\\x41\\n\\101\\'\"\n.", "s'aA\nA''"},
        Row{"binstring", "T\x02\0\0\0ab."s, "s'ab'"}, Row{"short_binstring", "U\x02xy.", "s'xy'"},
        Row{"unicode", "Vplain\n.", "'plain'"}, Row{"unicode_escaped", "V\\u00e9\\U0001F600\xe4\n.", "'é😀ä'"},
        Row{"binunicode", "X\x02\0\0\0\xc3\xa9."s, "'é'"}, Row{"short_binunicode", "\x8c\x01z.", "'z'"},
        Row{"binunicode8", "\x8d\x01\0\0\0\0\0\0\0z."s, "'z'"},
        Row{"surrogate", "X\x03\0\0\0\xed\xa0\x80."s, "'\xed\xa0\x80'"}, Row{"binbytes", "B\x01\0\0\0q."s, "b'q'"},
        Row{"short_binbytes", "C\x01q.", "b'q'"}, Row{"binbytes8", "\x8e\x01\0\0\0\0\0\0\0q."s, "b'q'"},
        Row{"bytearray8", "\x96\x01\0\0\0\0\0\0\0q."s, "a'q'"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Containers, PickleOpcodes,
    testing::Values(Row{"lists", "](K\1K\2eK\3a.", "[1, 2, 3]"}, Row{"list_mark", "(K\1K\2l.", "[1, 2]"},
                    Row{"appends_nothing", "](e.", "[]"},
                    Row{"tuples", "()K\1\x85K\1K\2\x86K\1K\2K\3\x87t.", "((), (1), (1, 2), (1, 2, 3))"},
                    Row{"dicts", "}(K\1K\2uK\3K\4s.", "{1, 2, 3, 4}"}, Row{"dict_mark", "(K\1Nd.", "{1, None}"},
                    Row{"sets", "\x8f(K\1K\2\x90.", "set(1, 2)"}, Row{"frozen_set", "(K\1\x91.", "frozen(1)"},
                    Row{"two_batches_with_others_between", "](](K\7e(K\1ee(K\2e.", "[[7, 1], 2]"},
                    Row{"pop_dup_popmark",
                        "K\1"
                        "0(K\2K\3"
                        "1K\4"
                        "20.",
                        "4"},
                    Row{"pop_takes_a_mark", "K\1(0.", "1"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Memo, PickleOpcodes,
    testing::Values(Row{"put_get", "(Vx\np7\n0g7\ng7\nt.", "('x', 'x')"}, Row{"binput", "(K\1q\5h\5t.", "(1, 1)"},
                    Row{"long_binput", "(Nr\0\1\0\0j\0\1\0\0t."s, "(None, None)"},
                    Row{"slot_far_off", "(Nr\xff\xff\xff\xffj\xff\xff\xff\xfft.", "(None, None)"},
                    Row{"memoize_counts", "(\x8c\1a\x94\x8c\1b\x94h\0h\1t."s, "('a', 'b', 'a', 'b')"},
                    Row{"memoize_after_put", "(K\1q\5K\2\x94h\1t.", "(1, 2, 2)"},
                    Row{"put_again", "(K\1q\0K\2q\0h\0t."s, "(1, 2, 2)"},
                    Row{"list_of_itself", "]q\0h\0a."s, "[[[[[[[...]]]]]]]"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(Calls, PickleOpcodes,
                         testing::Values(Row{"global", "cos\nsystem\n.", "os.system"},
                                         Row{"stack_global", "\x8c\2os\x8c\6system\x93.", "os.system"},
                                         Row{"stack_global_through_memo",
                                             "\x8c\2os\x94"
                                             "0\x8c\1x\x94"
                                             "0h\0h\1\x93."s,
                                             "os.x"},
                                         Row{"reduce_is_no_call", "cos\nsystem\n(Vtrue\ntR.", "os.system('true')"},
                                         Row{"newobj", "ca\nB\n)\x81.", "a.B()"},
                                         Row{"newobj_ex", "ca\nB\n)}Vk\nK\1s\x92.", "a.B()**{'k', 1}"},
                                         Row{"inst", "(K\1ia\nB\n.", "a.B(1)"}, Row{"obj", "(ca\nB\nK\1o.", "a.B(1)"},
                                         Row{"build", "ca\nB\n)\x81}Vx\nK\1sb.", "a.B()!{'x', 1}"},
                                         Row{"items_after_reduce", "ccollections\nOrderedDict\n)R(VA\nK\1uVB\nK\2s.",
                                             "collections.OrderedDict(){'A', 1, 'B', 2}"},
                                         Row{"appends_after_reduce", "ca\nL\n)R(K\1e.", "a.L()[1]"},
                                         Row{"ext1", "\x82\7.", "copyreg.extension.\7"},
                                         Row{"persid", "P12\n.", "@'12'"},
                                         Row{"binpersid", "(Vstorage\nK\1tQ.", "@('storage', 1)"},
                                         Row{"proto_and_frame", "\x80\4\x95\1\0\0\0\0\0\0\0N."s, "None"}),
                         row_name);

struct Bad {
  const char* name;
  std::string stream;
  Code code;
  std::uint64_t byte;
  const char* says;
};
void PrintTo(const Bad& row, std::ostream* out) { *out << row.name; }

class BadPickles : public testing::TestWithParam<Bad> {};
TEST_P(BadPickles, AreRefusedWhereTheyGoWrong) {
  try {
    read(GetParam().stream);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(code_name(error.code), code_name(GetParam().code)) << error.what();
    EXPECT_EQ(error.where.byte, GetParam().byte) << error.what();
    EXPECT_EQ(error.where.member, "a/data.pkl");
    EXPECT_NE(error.what_happened.find(GetParam().says), std::string::npos) << error.what();
  }
}
INSTANTIATE_TEST_SUITE_P(
    Rows, BadPickles,
    testing::Values(
        Bad{"nothing", "", Code::Corrupt, 0, "STOP"}, Bad{"no_stop", "NN", Code::Corrupt, 2, "STOP"},
        Bad{"empty_stack", ".", Code::Corrupt, 0, "stack"}, Bad{"unknown_opcode", "N\xff.", Code::Corrupt, 1, "0xff"},
        Bad{"reduce_without_function", ")R.", Code::Corrupt, 1, "REDUCE"},
        Bad{"append_to_number", "K\1Na.", Code::Corrupt, 3, "APPEND"},
        Bad{"appends_without_mark", "]Ne.", Code::Corrupt, 2, "MARK"},
        Bad{"pop_below_mark", "N(R.", Code::Corrupt, 2, "stack"},
        Bad{"tuple_reaches_below_mark", "N(N\x86.", Code::Corrupt, 3, "TUPLE2"},
        Bad{"half_a_pair", "}(K\1u.", Code::Corrupt, 4, "value"}, Bad{"odd_dict", "(K\1d.", Code::Corrupt, 3, "value"},
        Bad{"unset_slot", "h\7.", Code::Corrupt, 0, "slot 7"},
        Bad{"slot_is_no_number", "gx\n.", Code::Corrupt, 0, "number"},
        Bad{"string_beyond_end",
            "X\xff\xff\xff\xff"
            "abc.",
            Code::Corrupt, 0, "text"},
        Bad{"string_negative",
            "T\xff\xff\xff\xff"
            "abc.",
            Code::Corrupt, 0, "string"},
        Bad{"huge_bytes8", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", Code::Corrupt, 0, "bytes"},
        Bad{"long4_of_2_gib", "\x8b\xff\xff\xff\x7f.", Code::Limit, 0, "integer"},
        Bad{"string_without_quotes", "Sabc\n.", Code::Corrupt, 0, "quotes"},
        Bad{"string_half_quoted", "S'\n.", Code::Corrupt, 0, "quotes"},
        Bad{"broken_escape", "S'\\x4'\n.", Code::Corrupt, 0, "escape"},
        Bad{"broken_unicode_escape", "V\\u12\n.", Code::Corrupt, 0, "escape"},
        Bad{"int_of_letters", "Ix\n.", Code::Corrupt, 0, "integer"},
        Bad{"float_of_letters", "Fx\n.", Code::Corrupt, 0, "number"},
        Bad{"line_without_end", "cos", Code::Corrupt, 0, "module"},
        Bad{"stack_global_of_numbers", "K\1K\2\x93.", Code::Corrupt, 4, "text"},
        Bad{"frame_beyond_end", "\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", Code::Corrupt, 0, "frame"},
        Bad{"protocol_6", "\x80\6N.", Code::Unsupported, 0, "protocol"},
        Bad{"buffer", "\x97.", Code::Unsupported, 0, "buffers"}, Bad{"mark_left", "(N.", Code::Corrupt, 2, "MARK"},
        Bad{"add_to_list", "](N\x90.", Code::Corrupt, 3, "ADDITEMS"},
        Bad{"set_items_of_list", "](NNu.", Code::Corrupt, 4, "SETITEMS"}),
    row_name);

TEST(PickleReader, EnforcesItsLimits) {
  Limits limits;
  limits.pickle_opcodes = 3;
  EXPECT_THROW(read("NNN.", limits), Error);
  EXPECT_NO_THROW(read("N.", limits));
  limits = {};
  limits.pickle_nodes = 10;
  EXPECT_THROW(read("(" + std::string(40, ']') + "t.", limits), Error);
  limits = {};
  limits.pickle_bytes = 5;
  EXPECT_NO_THROW(read("N.and what follows it", limits));
  EXPECT_THROW(read("]]]]]]]]0000000.", limits), Error);
  limits = {};
  limits.integer_bytes = 4;
  EXPECT_THROW(read("I" + std::string(13, '9') + "\n.", limits), Error);
}

TEST(PickleReader, DeepNestingCostsNoStack) {
  const std::size_t depth = 1'000'000;
  const PickleTree tree = read(std::string(depth, '(') + std::string(depth, 't') + ".");
  EXPECT_EQ(tree.kind(tree.root()), NodeKind::Tuple);
}

TEST(PickleReader, MemoryFollowsTheStreamAndNoNumberInIt) {
  std::string stream = "N";
  for (unsigned slot = 0; slot < 1000; ++slot) stream += "p" + std::to_string(4'000'000'000U - slot) + "\n";
  const PickleTree tree = read(stream + ".");  // a table indexed by slot would take 16 GB
  EXPECT_EQ(tree.node_count(), 1U);
}

TEST(PickleReader, ReportsEveryGlobalAlsoBeforeAnError) {
  const std::string stream =
      "cos\nsystem\n0\x8c\2nt\x8c\1x\x93"
      "0(icommands\nrun\n\xff";
  const PickleAttempt attempt = attempt_pickle({base::as_bytes(stream), "x", "", 0}, {});
  EXPECT_FALSE(attempt.complete());
  std::vector<std::string> seen;
  for (const PickleGlobal& g : attempt.tree.globals())
    seen.push_back(fmt::format("{} {}.{} at {}", g.opcode, g.module, g.name, g.at));
  EXPECT_EQ(seen,
            (std::vector<std::string>{"GLOBAL os.system at 0", "STACK_GLOBAL nt.x at 19", "INST commands.run at 22"}));
}

TEST(PickleReader, TextIsAViewOfTheStreamUnlessItHadEscapes) {
  const std::string stream = "(Vabc\nV\\u0041\nt.";
  const PickleTree tree = read(stream);
  const auto items = tree.tuple(tree.root());
  EXPECT_EQ(tree.stream_offset(items[0]), 2U);
  EXPECT_EQ(tree.bytes(items[0]).data(), stream.data() + 2);
  EXPECT_FALSE(tree.stream_offset(items[1]).has_value());
}

TEST(PickleReader, EveryCutAndEveryChangedByteIsAnErrorOrATree) {
  const std::string good = "\x80\2}q\0(X\1\0\0\0aq\1(K\1J\2\0\0\0G?\xf8\0\0\0\0\0\0tX\1\0\0\0bcx\nY\n)R(K\1eu."s;
  ASSERT_NO_THROW(read(good));
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_THROW(read(good.substr(0, length)), Error) << length;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(value);
      try {
        const PickleTree tree = read(bytes);
        EXPECT_FALSE(show(tree, tree.root()).empty());
      } catch (const Error& error) {
        EXPECT_FALSE(error.what_happened.empty());
      }
    }
}

}  // namespace
}  // namespace tenon::container
