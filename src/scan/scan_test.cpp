#include <tenon/scan.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include <zlib.h>

#include "base/cursor.hpp"
#include "base/digest.hpp"

namespace tenon {
namespace {

using namespace std::string_literals;

std::string little(std::uint64_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
  return out;
}
std::string text(const std::string& t) { return "X" + little(t.size(), 4) + t; }
std::string bytes(const std::string& b) { return "B" + little(b.size(), 4) + b; }
std::string name(const std::string& module, const std::string& n) { return "c" + module + "\n" + n + "\n"; }
std::string call(const std::string& function, const std::string& arguments) {
  return function + "(" + arguments + "tR";
}
std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }
const std::string kEvil = pickle(call(name("os", "system"), text("true")));

/// ('storage', FloatStorage, key, 'cpu', count) as a persistent id, and a tensor of it.
std::string storage(const std::string& key, int count) {
  return "(" + text("storage") + name("torch", "FloatStorage") + text(key) + text("cpu") + "J" +
         little(static_cast<std::uint64_t>(count), 4) + "tQ";
}
std::string tensor(const std::string& key, int count, int offset, int size) {
  const auto number = [](int n) { return "J" + little(static_cast<std::uint64_t>(n), 4); };
  return call(name("torch._utils", "_rebuild_tensor_v2"), storage(key, count) + number(offset) + number(size) + "\x85" +
                                                              number(1) + "\x85\x89" +
                                                              call(name("collections", "OrderedDict"), ""));
}

/// One entry of a zip as a test wants it; what is not changed is right.
struct Entry {
  std::string name, content;
  std::function<void(std::string& local, std::string& central)> forge = {};
};
std::string zip(const std::vector<Entry>& entries, const std::string& front = {}, const std::string& behind = {}) {
  std::string out = front, directory;
  for (const Entry& entry : entries) {
    const std::string common = little(0, 2) + little(0, 2) + little(0, 4) +
                               little(base::crc32(base::as_bytes(entry.content)), 4) + little(entry.content.size(), 4) +
                               little(entry.content.size(), 4) + little(entry.name.size(), 2) + little(0, 2);
    std::string local = "PK\3\4" + little(20, 2) + common + entry.name;
    std::string central = "PK\1\2" + little(20, 2) + little(20, 2) + common + little(0, 2) + little(0, 4) +
                          little(0, 4) + little(out.size() - front.size(), 4) + entry.name;
    if (entry.forge) entry.forge(local, central);
    out += local + entry.content;
    directory += central;
  }
  const std::uint64_t at = out.size() - front.size();
  return out + directory + "PK\5\6" + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) +
         little(directory.size(), 4) + little(at, 4) + little(0, 2) + behind;
}
std::string torch_zip(const std::string& data, std::vector<Entry> more = {}) {
  std::vector<Entry> entries{{"m/data.pkl", data}};
  entries.insert(entries.end(), more.begin(), more.end());
  entries.push_back({"m/version", "3\n"});
  return zip(entries);
}

/// The same with zip64 end records, as torch.save writes them: the locator counts from the archive's own start.
std::string zip64(const std::string& archive, const std::string& behind_record = {}) {
  const std::string tail = archive.substr(archive.size() - 22);
  const std::uint64_t at = archive.size() - 22;
  const auto number = [&](std::size_t from, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(tail[from + i]);
    return little(value, 8);
  };
  return archive.substr(0, at) + "PK\6\6" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
         number(8, 2) + number(8, 2) + number(12, 4) + number(16, 4) + behind_record + "PK\6\7" + little(0, 4) +
         little(at, 8) + little(1, 4) + tail;
}

std::string tar_entry(const std::string& named, const std::string& content, char kind = '0',
                      const std::string& link = {}) {
  const auto octal = [](std::uint64_t value, std::size_t width) {
    std::string digits(width, '0');
    for (std::size_t i = width; i-- > 0; value /= 8) digits[i] = static_cast<char>('0' + value % 8);
    return digits + '\0';
  };
  const auto field = [](std::string value, std::size_t width) {
    value.resize(width, '\0');
    return value;
  };
  std::string block = field(named, 100) + octal(0644, 7) + octal(0, 7) + octal(0, 7) + octal(content.size(), 11) +
                      octal(0, 11) + std::string(8, ' ') + kind + field(link, 100) + field("ustar\00000"s, 255);
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 7, octal(sum, 6));
  return field(block, 512) + field(content, (content.size() + 511) / 512 * 512);
}
std::string tar(const std::string& entries) { return entries + std::string(1024, '\0'); }
std::string pax(const std::string& key, const std::string& value) {
  std::size_t length = key.size() + value.size() + 3;
  while (std::to_string(length).size() + key.size() + value.size() + 3 != length) ++length;
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  const std::string header = "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
  return "\x93NUMPY\x01"s + '\0' + little(header.size(), 2) + header + data;
}
std::string safetensors(const std::string& header, const std::string& data = {}) {
  return little(header.size(), 8) + header + data;
}
std::string zlib_of(const std::string& plain) {
  std::string out(compressBound(plain.size()), '\0');
  uLongf length = out.size();
  compress(reinterpret_cast<Bytef*>(out.data()), &length, reinterpret_cast<const Bytef*>(plain.data()), plain.size());
  out.resize(length);
  return out;
}
std::string gguf(const std::string& pairs, std::uint64_t count) {
  return "GGUF" + little(3, 4) + little(0, 8) + little(count, 8) + pairs;
}
std::string gguf_text(const std::string& key, const std::string& value) {
  return little(key.size(), 8) + key + little(8, 4) + little(value.size(), 8) + value;
}
std::string proto(int field, const std::string& content) {
  return std::string(1, static_cast<char>(field << 3 | 2)) + static_cast<char>(content.size()) + content;
}
std::string onnx(const std::string& location) {
  const std::string tensor =
      "\x08\x01\x10\x01" + proto(8, "w") + proto(13, proto(1, "location") + proto(2, location)) + "\x70\x01";
  return "\x08\x08" + proto(7, proto(2, "g") + proto(5, tensor));
}

// HDF5 with a superblock of version 2 and headers of version 2. The root's header stands at byte 48.
constexpr std::uint64_t kHdf5Root = 48;

std::string hdf5_message(int type, const std::string& content) {
  return little(static_cast<std::uint64_t>(type), 1) + little(content.size(), 2) + little(0, 1) + content;
}
/// `behind` stands at hdf5_behind(messages).
std::string hdf5(const std::string& messages, const std::string& behind = {}, std::uint64_t missing = 0) {
  const std::string header =
      "OHDR" + little(2, 1) + little(1, 1) + little(messages.size(), 2) + messages + little(0, 4);
  const std::uint64_t end = kHdf5Root + header.size() + behind.size();
  return "\x89HDF\r\n\x1a\n" + little(2, 1) + little(8, 1) + little(8, 1) + little(0, 1) + little(0, 8) +
         little(~0ULL, 8) + little(end + missing, 8) + little(kHdf5Root, 8) + little(0, 4) + header + behind;
}
std::uint64_t hdf5_behind(std::size_t message_bytes) { return kHdf5Root + 8 + message_bytes + 4; }

std::string hdf5_attribute(const std::string& named, const std::string& type, const std::string& value) {
  const std::string space = little(2, 4);  // a scalar
  return hdf5_message(12, little(3, 2) + little(named.size() + 1, 2) + little(type.size(), 2) +
                              little(space.size(), 2) + little(0, 1) + named + '\0' + type + space + value);
}
std::string hdf5_text(const std::string& named, const std::string& value) {
  return hdf5_attribute(named, little(0x13, 4) + little(value.size(), 4), value);
}
/// The text stands in a collection of the global heap.
std::string hdf5_far_text(const std::string& named, const std::string& value) {
  const auto attribute = [&](std::uint64_t heap) {
    return hdf5_attribute(named, little(0x19 | 1 << 8, 4) + little(16, 4) + little(0x13, 4) + little(1, 4),
                          little(value.size(), 4) + little(heap, 8) + little(1, 4));
  };
  const std::uint64_t at = hdf5_behind(attribute(0).size());
  return hdf5(attribute(at), "GCOL" + little(1, 4) + little(32 + value.size() + 8, 8) + little(1, 2) + little(1, 2) +
                                 little(0, 4) + little(value.size(), 8) + value + std::string(8, '\0'));
}
std::string hdf5_external_files() {
  const auto message = [](std::uint64_t heap) {
    return hdf5_message(
        7, little(1, 4) + little(1, 2) + little(1, 2) + little(heap, 8) + little(8, 8) + little(0, 8) + little(16, 8));
  };
  const std::uint64_t at = hdf5_behind(message(0).size());
  return hdf5(message(at), "HEAP" + little(0, 4) + little(32, 8) + little(0, 8) + little(at + 32, 8) +
                               std::string(8, '\0') + "/etc/passwd" + std::string(13, '\0'));
}
std::string hdf5_virtual() {
  const auto message = [](std::uint64_t heap) {
    return hdf5_message(8, little(4, 1) + little(3, 1) + little(heap, 8) + little(1, 4));
  };
  const std::string sources = little(0, 1) + little(1, 8) + "other.h5" + '\0' + "d" + std::string(5, '\0');
  return hdf5(message(hdf5_behind(message(0).size())), "GCOL" + little(1, 4) + little(64, 8) + little(1, 2) +
                                                           little(1, 2) + little(0, 4) + little(sources.size(), 8) +
                                                           sources + std::string(24, '\0'));
}
std::string hdf5_hard_link(std::uint64_t address) {
  return hdf5_message(6, little(1, 1) + little(0, 1) + little(1, 1) + "a" + little(address, 8));
}
/// Not to be found by the braces alone.
const std::string kHiddenLambda = R"({)" + std::string(80, ' ') + R"("class_name": "Lambda", "config": {}})";
const std::string kDense = R"({"class_name": "Dense", "config": {"name": "d"}})";

/// Where a distributed checkpoint's metadata say that a piece of a tensor stands.
std::string dcp_place(const std::string& path) {
  return name("torch.distributed.checkpoint.filesystem", "_StorageInfo") + ")\x81}(" + text("relative_path") +
         text(path) + text("offset") + "K\0"s + text("length") + "K\4ub";
}

ScannedFile scanned(const std::string& content) { return scan(base::as_bytes(content), "test.bin"); }

struct Row {
  const char* name;
  std::string content;
  ScanVerdict verdict;
  const char* global = "";  ///< must be named
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class Files : public testing::TestWithParam<Row> {};

TEST_P(Files, GetTheirVerdict) {
  const ScannedFile found = scanned(GetParam().content);
  EXPECT_EQ(scan_verdict_name(found.verdict), scan_verdict_name(GetParam().verdict));
  if (found.verdict != ScanVerdict::Safe) {
    ASSERT_FALSE(found.findings.empty());
    EXPECT_EQ(found.findings.front().verdict, found.verdict);  // the worst comes first
    EXPECT_FALSE(found.findings.front().why.empty());
  }
  const std::string wanted = GetParam().global;
  const bool is_named =
      std::any_of(found.globals.begin(), found.globals.end(), [&](const ScannedGlobal& g) { return g.name == wanted; });
  EXPECT_TRUE(wanted.empty() || is_named);
}

constexpr auto S = ScanVerdict::Safe, U = ScanVerdict::UnknownCode, M = ScanVerdict::Malformed,
               D = ScanVerdict::Dangerous;
const auto row_name = [](const auto& row) { return std::string(row.param.name); };

const std::string kGood = pickle("}" + text("w") + tensor("0", 4, 0, 4) + "s");
const std::string kNet = name("mypkg", "Net");

INSTANTIATE_TEST_SUITE_P(
    Pickles, Files,
    testing::Values(
        Row{"call", kEvil, D, "os.system"}, Row{"protocol_0", "cos\nsystem\n(Vtrue\ntR.", D, "os.system"},
        Row{"inst", "(Vx\ni__builtin__\neval\n.", D, "__builtin__.eval"},
        Row{"obj", "(cbuiltins\nexec\nVx\no.", D, "builtins.exec"},
        Row{"pushed_and_popped", pickle(name("os", "system") + "0N"), D, "os.system"},
        Row{"passed_as_data", pickle("]" + name("subprocess", "run") + "a"), D, "subprocess.run"},
        Row{"name_from_memo",
            "\x80\x04" + text("os") + "q\1" + text("system") + "q\2" + "00h\1h\2\x93" + text("x") + "\x85R.", D,
            "os.system"},
        Row{"name_in_escapes", "S'o\\x73'\nS'sys\\164em'\n\x93(Vx\ntR.", D, "os.system"},
        Row{"name_computed", "\x80\x04" + call(kNet, "") + text("x") + "\x93.", U, "mypkg.Net"},
        Row{"extension", "\x80\x02\x82\x21)R.", U},
        Row{"private_library", pickle(call(name("a.b", "c"), "")), U, "a.b.c"},
        Row{"second_pickle", kGood + kEvil, D, "os.system"},
        Row{"after_padding", kGood + "\0\0junk"s + kEvil, D, "os.system"},
        Row{"trailing_bytes", kGood + "\xff\xfe\xfd", U},
        Row{"cut_after_call", kEvil.substr(0, kEvil.size() - 1), D, "os.system"}, Row{"cut", kGood.substr(0, 30), M},
        Row{"bad_opcode", "\x80\x02N\xf7", M},
        Row{"bad_opcode_after_call", kEvil.substr(0, kEvil.size() - 1) + "\xf7", D, "os.system"},
        Row{"underflow", "\x80\x02" + "000."s, M}, Row{"frame_lie", "\x80\x04\x95" + little(1ULL << 40, 8) + "N.", M},
        Row{"frame_lie_over_call", "\x80\x04\x95" + little(1ULL << 40, 8) + kEvil.substr(2), D, "os.system"},
        Row{"plain", pickle("}" + text("os.system") + text("builtins.eval") + "s"), S}, Row{"none", "N.", S},
        Row{"attributes_of_a_function",
            "\x80\x02" + name("torch._utils", "_rebuild_tensor_v2") + "}" + text("a") + "K\1sb.", U,
            "torch._utils._rebuild_tensor_v2"},
        Row{"defaults_of_a_function",
            "\x80\x02" + name("torch._utils", "_rebuild_tensor_v2") + "N}" + text("__defaults__") +
                "K\1\x85s\x86"
                "b.",
            D},
        Row{"attributes_then_defaults",
            "\x80\x02" + name("torch._utils", "_rebuild_tensor_v2") + "}" + text("a") + "K\1sb}" + text("__code__") +
                "K\1sb.",
            D},
        Row{"method_of_a_class",
            "\x80\x02" + name("argparse", "Namespace") + "q\1N}" + text("__init__") + name("_codecs", "encode") +
                "s\x86"
                "b.",
            D},
        Row{"nothing_set_of_a_class", "\x80\x02" + name("argparse", "Namespace") + "Nb.", S},
        Row{"nested_and_loaded", pickle(call(name("pickle", "loads"), bytes(kEvil))), D, "os.system"},
        Row{"nested_and_given_to_a_library", pickle(call(kNet, bytes(kEvil))), D, "os.system"},
        Row{"nested_and_left_alone", pickle(bytes(kEvil)), U, "os.system"},
        Row{"nested_plain", pickle(bytes(kGood)), S},
        Row{"base64", pickle(text("gAJjb3MKc3lzdGVtCihYBAAAAHRydWV0Ui4=")), U, "os.system"},
        Row{"hex", pickle(text("8002636f730a73797374656d0a285804000000747275657452") + "0N"), U, "os.system"},
        Row{"enum_by_getattr", pickle(call(name("builtins", "getattr"), name("mypkg", "Color") + text("RED"))), U,
            "builtins.getattr"},
        Row{"getattr_of_a_call", pickle(call(name("builtins", "getattr"), call(kNet, "") + text("run"))), D},
        Row{"getattr_of_internals", pickle(call(name("builtins", "getattr"), kNet + text("__globals__"))), D},
        Row{"getattr_passed_on", pickle("]" + call(name("builtins", "getattr") + "q\1", kNet + text("x")) + "ah\1a"),
            D},
        Row{"partial_of_a_class", pickle(call(name("functools", "partial"), kNet)), U},
        Row{"partial_of_system", pickle(call(name("functools", "partial"), name("os", "system"))), D},
        Row{"type_of_none", pickle(call(name("builtins", "type"), "N")), U},
        Row{"type_makes_class", pickle(call(name("builtins", "type"), text("x") + ")}")), D},
        Row{"defaultdict_of_list", pickle(call(name("collections", "defaultdict"), name("builtins", "list"))), S},
        Row{"defaultdict_of_rebuild",
            pickle(call(name("collections", "defaultdict"), name("torch._utils", "_rebuild_tensor"))), U},
        Row{"codec_latin1", pickle(call(name("_codecs", "encode"), text("\xc3\xbf") + text("latin1"))), S},
        Row{"codec_other", pickle(call(name("_codecs", "encode"), text("a") + text("rot13"))), U},
        Row{"call_of_a_result", pickle(call(call(name("collections", "OrderedDict"), ""), "")), U},
        Row{"storage_loaded_from_bytes", pickle(call(name("torch.storage", "_load_from_bytes"), bytes(kGood))), S},
        Row{"evil_loaded_from_bytes", pickle(call(name("torch.storage", "_load_from_bytes"), bytes(kEvil))), D,
            "os.system"},
        Row{"persistent_id_forged",
            pickle("(" + text("storage") + name("torch", "FloatStorage") + text("../../x") + text("cpu") + "K\4tQ"), M},
        Row{"persistent_id_of_a_stranger", pickle("K\7Q"), U}),
    row_name);

const auto change = [](std::size_t at, const std::string& to, bool central) {
  return [=](std::string& local, std::string& directory) {
    std::string& header = central ? directory : local;
    header.replace(at, to.size(), to);
  };
};
const Entry kWeights{"m/data/0", std::string(16, '\0')};

INSTANTIATE_TEST_SUITE_P(
    Archives, Files,
    testing::Values(
        Row{"state_dict", torch_zip(kGood, {kWeights}), S}, Row{"evil_data", torch_zip(kEvil), D, "os.system"},
        Row{"tensor_bytes_spell_a_pickle", torch_zip(pickle(tensor("0", 4, 0, 4)), {{"m/data/0", kEvil}}), S},
        Row{"evil_side_file", torch_zip(kGood, {kWeights, {"m/notes.md", "cos\nsystem\n(Vx\ntR."}}), D, "os.system"},
        Row{"short_storage", torch_zip(pickle(tensor("0", 5, 0, 4)), {kWeights}), M},
        Row{"missing_storage", torch_zip(pickle(tensor("7", 4, 0, 4)), {kWeights}), M},
        Row{"view_outside", torch_zip(pickle(tensor("0", 4, 1, 4)), {kWeights}), M},
        Row{"negative_offset", torch_zip(pickle(tensor("0", 4, -1, 4)), {kWeights}), M},
        Row{"names_differ", zip({{"m/data.pkl", kEvil, change(30, "m/atad", false)}}), D, "os.system"},
        Row{"checksum_wrong", zip({{"m/a.txt", "hello world", change(16, "\1\2\3\4", true)}}), M},
        Row{"checksum_wrong_over_evil", zip({{"m/data.pkl", kEvil, change(16, "\1\2\3\4", true)}}), D, "os.system"},
        Row{"flag_in_one_place", zip({{"m/data.pkl", kGood, change(8, "\1", true)}, kWeights}), M},
        Row{"method_unknown", zip({{"m/data.pkl", kEvil, [](std::string& l, std::string& c) { l[8] = c[10] = 99; }}}),
            D, "os.system"},
        Row{"slips_out", zip({{"m/data.pkl", kGood}, kWeights, {"m/../../x", "y"}}), D},
        Row{"absolute", zip({{"/etc/x", "y"}}), D}, Row{"two_of_one_name", zip({{"a", "1"}, {"a", "2"}}), M},
        Row{"pickle_in_front", zip({{"m/data.pkl", kGood}, kWeights}, "cos\nsystem\n(Vx\ntR."), D, "os.system"},
        Row{"bytes_in_front", zip({{"m/data.pkl", kGood}, kWeights}, "abc"), M},
        Row{"bytes_behind", zip({{"m/data.pkl", kGood}, kWeights}, {}, "abc"), M},
        Row{"archive_in_archive", zip({{"x.pt", torch_zip(kEvil)}}), D, "os.system"},
        Row{"objects_npz", zip({{"a.npy", npy("'|O'", "(1,)", kEvil)}}), D, "os.system"},
        Row{"numbers_npz", zip({{"a.npy", npy("'<f4'", "(2,)", std::string(8, '\0'))}}), S},
        Row{"keras_lambda", zip({{"config.json", R"({"class_name": "Lambda", "config": {}})"}}), D},
        Row{"keras_dense", zip({{"config.json", R"({"class_name": "Dense", "config": {"name": "Lambda"}})"}}), S},
        Row{"keras_foreign", zip({{"config.json", R"({"class_name": "X", "module": "mypkg", "config": {}})"}}), U},
        Row{"keras_repeated_key",
            zip({{"config.json", R"({"class_name": "Dense", "class_name": "Dense", "config": {}})"}}), M},
        Row{"script_with_methods",
            torch_zip(kGood, {kWeights,
                              {"m/constants.pkl", "\x80\x02)."},
                              {"m/code/x.py", "class X(Module):\n  def f(self):\n    return 1\n"}}),
            U},
        Row{"script_of_attributes",
            torch_zip(kGood, {kWeights,
                              {"m/constants.pkl", "\x80\x02)."},
                              {"m/code/x.py", "class X(Module):\n  w : Tensor\n"}}),
            S}),
    row_name);

// Shards of distributed checkpoints: each item is an archive of its own, and loaders go by its place in the file.
const std::string kGoodItem = zip64(torch_zip(kGood, {kWeights})), kEvilItem = zip64(torch_zip(kEvil, {kWeights}));
const std::string kOtherItem = zip64(torch_zip(kGood, {{"m/data/0", std::string(99, '\0')}}));
std::string repeated(const std::string& part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    Shards, Files,
    testing::Values(Row{"one", kGoodItem, S}, Row{"equal", repeated(kGoodItem, 3), S},
                    Row{"unequal", kGoodItem + kOtherItem + kGoodItem, S},
                    Row{"more_than_the_depth", repeated(kGoodItem + kOtherItem, 20), S},
                    Row{"without_zip64", torch_zip(kGood, {kWeights}) + torch_zip(kGood, {kWeights}), S},
                    Row{"last_is_evil", kGoodItem + kEvilItem, D, "os.system"},
                    Row{"first_is_evil", kEvilItem + kGoodItem, D, "os.system"},
                    Row{"middle_is_evil", repeated(kGoodItem, 3) + kEvilItem + repeated(kGoodItem, 3), D, "os.system"},
                    Row{"bytes_in_front", "abc" + kGoodItem + kGoodItem, M},
                    Row{"bytes_behind_the_wide_end", zip64(torch_zip(kGood, {kWeights}), "junk" + kEvil), D,
                        "os.system"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(Heads, Files,
                         testing::Values(Row{"tar", tar(tar_entry("cos\nsystem\n(S'id'\ntR.", "x")), D, "os.system"},
                                         Row{"tar_behind_other_pickles",
                                             tar(tar_entry("I1\n.I2\n.cos\nsystem\n(S'id'\ntR.", "x")), D, "os.system"},
                                         Row{"gguf",
                                             "GGUF" + little(3, 4) + "\0C\5"s + std::string(5, '\0') + kEvil.substr(2),
                                             D, "os.system"},
                                         Row{"msgpack",
                                             "\x8a\xa1"
                                             "a\xc4\x9e" +
                                                 std::string(158, 'x') + "cos\nsystem\n)R.abc",
                                             D, "os.system"},
                                         Row{"msgpack_plain",
                                             "\x81\xa1"
                                             "a\x01",
                                             S},
                                         Row{"tar_plain", tar(tar_entry("config/c\nd\n.e", "x")), S}),
                         row_name);

INSTANTIATE_TEST_SUITE_P(
    Tars, Files,
    testing::Values(
        Row{"plain", tar(tar_entry("a/b.txt", "hello world")), S},
        Row{"pax_path", tar(tar_entry("h", pax("path", "../../evil"), 'x') + tar_entry("a", "x")), D},
        Row{"pax_path_of_all", tar(tar_entry("h", pax("path", "/evil"), 'g') + tar_entry("a", "x")), D},
        Row{"pax_link", tar(tar_entry("h", pax("linkpath", "../x"), 'x') + tar_entry("a", "", '2', "b")), D},
        Row{"pax_time", tar(tar_entry("h", pax("mtime", "1.5"), 'x') + tar_entry("a", "hello world")), S},
        Row{"pax_size",
            tar(tar_entry("h", pax("size", "5"), 'x') + tar_entry("a", "") + "hello" + std::string(507, '\0')), S},
        Row{"pax_damaged", tar(tar_entry("h", "99 path=a\n", 'x') + tar_entry("a", "x")), M},
        Row{"gnu_long_link", tar(tar_entry("h", "../../x\0"s, 'K') + tar_entry("a", "", '2', "b")), D},
        Row{"gnu_long_name", tar(tar_entry("h", "../../x\0"s, 'L') + tar_entry("a", "x")), D},
        Row{"sparse", tar(tar_entry("h", pax("GNU.sparse.name", "a"), 'x') + tar_entry("a", "x")), U},
        Row{"device", tar(tar_entry("a", "", '3')), U}, Row{"pipe", tar(tar_entry("a", "", '6')), U},
        Row{"folder", tar(tar_entry("a/", "", '5') + tar_entry("a/b", "hello world")), S},
        Row{"kind_of_its_own", tar(tar_entry("a", kEvil, 'Z')), D, "os.system"}),
    row_name);

std::string jinja(const std::string& body) { return "{% set x = 1 %}" + body; }

INSTANTIATE_TEST_SUITE_P(
    Templates, Files,
    testing::Values(
        Row{"file", jinja("{{ ''.__class__ }}"), D}, Row{"file_plain", jinja("{{ messages[0]['role'] }}"), S},
        Row{"single_underscores", jinja("{% set a='_'~'_' %}{{ ''[a~'class'~a] }}"), U},
        Row{"computed_attribute", jinja("{{ x | map(attribute=('_'*2)+'class') | list }}"), U},
        Row{"computed_test", jinja("{{ x | selectattr(a ~ b) | list }}"), U},
        Row{"name_set_before", jinja("{% set k = 'a' ~ b %}{{ x[k] }}"), U},
        Row{"name_with_a_body", jinja("{% set k %}_{% endset %}{{ x[k] }}"), U},
        Row{"octal", jinja("{{ ''['\\137\\137class'] }}"), D},
        Row{"in_an_array",
            gguf(little(23, 8) + "tokenizer.chat_template" + little(9, 4) + little(8, 4) + little(1, 8) +
                     little(18, 8) + "{{ ''.__class__ }}",
                 1),
            D},
        Row{"in_a_list", R"({"chat_template": ["{{ ''.__class__ }}"]})", D},
        Row{"plain",
            jinja("{%- set ns = namespace(i=0) -%}{%- for m in messages[1:] %}{% if m['role'] in ['user', 'tool'] %}"
                  "{{ '<|' ~ m.role ~ '|>' + m['content'].split('</think>')[-1] | trim }}{% endif %}"
                  "{% set i = (messages|length - 1) - loop.index0 %}{{ messages[i].content | replace('-', '_') }}"
                  "{{ tools | map(attribute='name') | join(', ') }}{{ messages | selectattr('role', 'equalto', 'x') | "
                  "map(attribute=1) }}"
                  "{% for key in m.args %}{{ m.args[key] | tojson }}{% endfor %}{%- endfor %}"),
            S}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Others, Files,
    testing::Values(
        Row{"zlib_evil", zlib_of(kEvil), D, "os.system"}, Row{"zlib_good", zlib_of(kGood), S},
        Row{"bomb", zlib_of(std::string(64 << 20, '\0')), M}, Row{"bzip2", "BZh91AY&SY\xff\xfe\x01\x02", U},
        Row{"objects_npy", npy("'|O'", "(1,)", kEvil), D, "os.system"},
        Row{"objects_in_fields", npy("[('a', '<f4'), ('b', '|O')]", "(1,)", kEvil), D, "os.system"},
        Row{"field_called_O", npy("[('O', '<f4')]", "(2,)", std::string(8, '\0')), S},
        Row{"short_npy", npy("'<f4'", "(9,)", "abcd"), M},
        Row{"objects_behind_a_comma", npy("'f4,O'", "(1,)", kEvil), D, "os.system"},
        Row{"objects_by_another_name", npy("'object'", "(1,)", kEvil), D, "os.system"},
        Row{"code_in_npy_header", npy("'<f4' + __import__('os')", "(1,)", "abcd"), M},
        Row{"safetensors",
            safetensors(R"({"__metadata__":{"note":"os.system"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                        "ab"),
            S},
        Row{"safetensors_overlap",
            safetensors(
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                "abc"),
            M},
        Row{"safetensors_script", safetensors(R"({"__metadata__":{"note":"<script>x</script>"}})"), U},
        Row{"gguf", gguf(gguf_text("general.architecture", "llama"), 1), S}, Row{"gguf_count", gguf("", 1ULL << 62), M},
        Row{"gguf_template", gguf(gguf_text("tokenizer.chat_template", "{{ ''.__class__.__mro__ }}"), 1), D},
        Row{"gguf_template_plain",
            gguf(gguf_text("tokenizer.chat_template", "{% for m in messages %}{{ m['role'] }} import os{% endfor %}"),
                 1),
            S},
        Row{"gguf_key_twice", gguf(gguf_text("a", "b") + gguf_text("a", "b"), 2), M},
        Row{"onnx_outside", onnx("../x"), D}, Row{"onnx_beside", onnx("w.bin"), S},
        Row{"index_outside", R"({"weight_map": {"a": "../../x.safetensors"}})", D},
        Row{"index", R"({"weight_map": {"a": "x.safetensors"}})", S},
        Row{"hdf5_attribute", hdf5(hdf5_text("model_config", kHiddenLambda)), D},
        Row{"hdf5_attribute_in_the_heap", hdf5_far_text("model_config", kHiddenLambda), D},
        Row{"hdf5_dense", hdf5(hdf5_text("model_config", kDense)), S},
        Row{"hdf5_dense_in_the_heap", hdf5_far_text("model_config", kDense), S},
        Row{"hdf5_no_json", hdf5(hdf5_text("model_config", "{\"class_name\": ")), U},
        Row{"hdf5_external_files", hdf5_external_files(), D}, Row{"hdf5_virtual", hdf5_virtual(), D},
        Row{"hdf5_external_link",
            hdf5(hdf5_message(6, little(1, 1) + little(8, 1) + little(64, 1) + little(1, 1) + "a" + little(8, 2) +
                                     std::string("\0o.h5\0/\0", 8))),
            D},
        Row{"hdf5_ring", hdf5(hdf5_hard_link(kHdf5Root)), S}, Row{"hdf5_lost_link", hdf5(hdf5_hard_link(1 << 20)), S},
        Row{"hdf5_cut", hdf5(hdf5_text("a", "b"), {}, 1), M},
        Row{"dcp_path", pickle(dcp_place("__0_0.distcp")), U, "torch.distributed.checkpoint.filesystem._StorageInfo"},
        Row{"dcp_path_outside", pickle(dcp_place("../../x")), D}, Row{"dcp_path_absolute", pickle(dcp_place("/x")), D},
        Row{"json_lines", "{\"a\":1}\n{\"b\":2}\n", S}, Row{"indented_json", "        {}\n", S},
        Row{"text", "class of 2020\nmodels and more\n", S},
        Row{"lfs_pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", S},
        Row{"empty", "", M}, Row{"unknown", "\x01\x02\xff\xfe\x03\x04\x05\x06\x07", U}),
    row_name);

// Readers that count from the file's start look for the second archive's directory within the first one's tensor bytes.
TEST(Scan, FindsADirectoryThatOnlySomeReadersSee) {
  const std::string second = torch_zip(kGood, {kWeights});
  int told = 0;
  for (std::size_t pad = 0; pad < 4; ++pad) {
    const std::string bytes = std::string(pad, 'x') + repeated("PK\1\2", 400);
    const ScannedFile found = scanned(torch_zip(kGood, {{"m/data/0", bytes}}) + second);
    told += found.verdict == M ? 1 : 0;
  }
  EXPECT_EQ(told, 1);
}

TEST(Scan, NamesTheArchiveOfAShard) {
  const ScannedFile found = scanned(kGoodItem + kEvilItem);
  EXPECT_EQ(found.findings.front().member, "archive at byte " + std::to_string(kGoodItem.size()) + " > m/data.pkl");
  EXPECT_TRUE(found.unexplained.empty());
}

TEST(Scan, FilesThatMayBeEmptyAreSafe) {
  EXPECT_EQ(scan({}, "a/__init__.py").verdict, S);
  EXPECT_EQ(scan({}, "a/.gitkeep").verdict, S);
  EXPECT_EQ(scan({}, "a/.gitkeep").notes.size(), 1U);
  for (const char* file : {"a/model.pt", "a/.metadata", "a/x"}) EXPECT_EQ(scan({}, file).verdict, M) << file;
}

TEST(Scan, TellsThePlace) {
  const ScannedFile found = scanned(torch_zip(kEvil));
  ASSERT_EQ(found.findings.size(), 1U);
  const ScanFinding& finding = found.findings.front();
  EXPECT_EQ(finding.member, "m/data.pkl");
  EXPECT_EQ(finding.offset, 2U);
  EXPECT_EQ(finding.opcode, 1U);
  EXPECT_EQ(finding.global, "os.system");
  EXPECT_EQ(finding.preview, "('true')");
}

TEST(Scan, PreviewsCannotMoveACursor) {
  const ScannedFile found = scanned(pickle(call(name("os", "system"), text("\x1b[2J" + std::string(500, 'a')))));
  EXPECT_EQ(found.findings.front().preview.find('\x1b'), std::string::npos);
  EXPECT_LE(found.findings.front().preview.size(), 80U);
}

// joblib lets the elements of an array stand in the stream, where they may look like anything.
TEST(Scan, PassesOverTheRawArraysOfJoblib) {
  const auto wrapper = [](const std::string& code, const std::string& raw) {
    const std::string dtype = call(name("numpy", "dtype"), text(code) + "\x89\x88");
    return pickle("]" + name("joblib.numpy_pickle", "NumpyArrayWrapper") + ")\x81}" + text("shape") + "K\2\x85s" +
                  text("dtype") + dtype + "sb" + raw + "aNa");
  };
  EXPECT_EQ(scanned(wrapper("f4", "cos\nsys\n")).verdict, ScanVerdict::UnknownCode);
  EXPECT_EQ(scanned(wrapper("O", kEvil)).verdict, ScanVerdict::Dangerous);
  EXPECT_EQ(scanned(wrapper("f4", "cos")).verdict, ScanVerdict::Malformed);
}

// Whatever is cut off or turned over: an answer, in bounded time.
// The byte before the padding counts it, whatever it is: one that looked past fewer bytes than joblib does would end at
// the filler's STOP and call the rest leftovers.
TEST(Scan, GoesOnWhereJoblibDoesBehindPaddingOfAnyLength) {
  const std::string dtype = call(name("numpy", "dtype"), text("u1") + "K\0"s + "K\1"s);
  const std::string state =
      "}(" + text("shape") + "K\1\x85"s + text("dtype") + dtype + text("numpy_array_alignment_bytes") + "K\x10" + "u";
  const std::string wrapper = name("joblib.numpy_pickle", "NumpyArrayWrapper") + ")\x81" + state + "b";
  const std::string before = "\x80\x02(" + wrapper;
  const std::string raw = "\xff" + std::string(255, '.') + "e";
  const std::string stream = before + raw + call(name("os", "system"), text("true")) + "t.";
  const ScannedFile found = scan(base::as_bytes(stream), "x.joblib");
  ASSERT_EQ(found.verdict, ScanVerdict::Dangerous);
  EXPECT_EQ(found.findings[0].global, "os.system");
  EXPECT_EQ(found.findings[0].offset, before.size() + raw.size());
  EXPECT_TRUE(found.unexplained.empty());
}

TEST(Scan, AnswersForEveryTruncationAndFlip) {
  for (const std::string& whole : {torch_zip(kGood, {kWeights}), zlib_of(kEvil), npy("'|O'", "(1,)", kEvil),
                                   onnx("../x"), gguf(gguf_text("tokenizer.chat_template", "x"), 1)}) {
    for (std::size_t end = 0; end < whole.size(); ++end) scanned(whole.substr(0, end));
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 0x5A);
      scanned(flipped);
    }
  }
}

}  // namespace
}  // namespace tenon
