// Every limit is named where it is met: each is lowered in turn, the corpus and a few files made for it are opened and
// scanned, and what they say is read for its name.
#include <tenon/limit_names.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <zlib.h>

#include <tenon/checkpoint.hpp>
#include <tenon/error.hpp>
#include <tenon/scan.hpp>

#include "base/cursor.hpp"
#include "formats/open.hpp"
#include "model/config_blueprint.hpp"
#include "support/corpus.hpp"

namespace tenon {
namespace {

/// Texts in which a limit may be named: what Errors expect, findings, warnings.
using Said = std::vector<std::string>;

void hear(const Error& error, Said& said) {
  if (error.code != Code::Limit) return;
  EXPECT_FALSE(error.limit.empty()) << error.what();
  EXPECT_NE(error.expected.find("(limit " + error.limit + "; --limit " + error.limit + "=NUMBER raises it)"),
            std::string::npos)
      << error.what();
  said.push_back(error.expected);
}

void hear_opening(const std::string& bytes, const Limits& limits, Said& said) {
  const auto content = base::as_bytes(bytes);
  try {
    OpenOptions options;
    options.limits = limits;
    const auto file = io::MappedFile::of_bytes({content.begin(), content.end()}, "f");
    const Checkpoint checkpoint(formats::open_core({"/nonexistent/f", file, options}));
    for (const std::string& warning : checkpoint.warnings()) said.push_back(warning);
    for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) try {
        (void)checkpoint.tensor(i);
      } catch (const Error& error) {
        hear(error, said);
      }
  } catch (const Error& error) {
    hear(error, said);
  }
}

void hear_scanning(const std::string& bytes, const Limits& limits, Said& said) {
  const ScannedFile file = scan(base::as_bytes(bytes), "f", {limits});
  for (const ScanFinding& finding : file.findings) said.push_back(finding.why);
  for (const std::string& note : file.notes) said.push_back(note);
}

bool names(const Said& said, std::string_view limit) {
  return std::any_of(said.begin(), said.end(), [&](const std::string& text) {
    const std::size_t at = text.find("limit " + std::string(limit));
    if (at == std::string::npos) return false;
    const std::size_t end = at + 6 + limit.size();
    return end == text.size() || (text[end] != '_' && std::isalnum(static_cast<unsigned char>(text[end])) == 0);
  });
}

std::string little(std::uint64_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
  return out;
}

/// Packed as gzip or zlib does.
std::string packed(const std::string& content, int window_bits) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, content.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

const std::string kHeader = R"({"a":{"dtype":"U8","shape":[1,2],"data_offsets":[0,2]}})";
const std::string kSafetensors = little(kHeader.size(), 8) + kHeader + "ab";

/// Files for limits that no file of the corpus meets.
std::vector<test::CorpusFile> own_files() {
  return {{"safetensors", kSafetensors},
          {"gzip", packed(kSafetensors, MAX_WBITS + 16)},
          {"index", R"({"weight_map": {"a": "x", "b": "y"}})"},
          {"zeros", packed(std::string(1 << 20, '\0'), MAX_WBITS)},
          {"hdf5", "\x89HDF\r\n\x1a\n" + std::string(100, '\0') + R"({"a": {"b": {"c": {"d": 1}}}})"}};
}

/// Limits that no checkpoint's bytes meet by themselves.
const std::map<std::string, std::function<void(const Limits&)>, std::less<>> kOwnWays = {
    {"json_file_bytes", [](const Limits& limits) { (void)io::read_text("/proc/self/status", limits); }},
    {"config_members",
     [](const Limits& limits) { (void)model::config_blueprint(R"({"a": 1, "b": 2})", "config.json", limits); }},
};

/// Met only by files too large for this test, or never passed: they say from where on another limit counts, or how much
/// of an answer is kept.
const std::set<std::string, std::less<>> kNotMetHere = {"pieces_compared", "scan_overlap_bytes", "scan_bomb_bytes",
                                                        "scan_findings"};

std::vector<test::CorpusFile> all_files() {
  std::vector<test::CorpusFile> files = own_files();
  for (test::CorpusFile& file : test::read_corpus()) files.push_back(std::move(file));
  return files;
}

class EachLimit : public testing::TestWithParam<std::string> {};

TEST_P(EachLimit, IsNamedWhereItIsMet) {
  if (kNotMetHere.contains(GetParam())) return;
  static const auto files = all_files();
  for (const std::uint64_t lowered : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}}) {
    Limits limits;
    limits.scan_bomb_bytes = 64;
    set_limit(limits, GetParam(), lowered);
    Said said;
    if (const auto own = kOwnWays.find(GetParam()); own != kOwnWays.end()) try {
        own->second(limits);
      } catch (const Error& error) {
        hear(error, said);
      }
    if (names(said, GetParam())) return;
    for (const test::CorpusFile& file : files) {
      hear_opening(file.bytes, limits, said);
      hear_scanning(file.bytes, limits, said);
      if (names(said, GetParam())) return;
    }
  }
  ADD_FAILURE() << "nothing names limit " << GetParam();
}

std::vector<std::string> all_limits() {
  std::vector<std::string> all;
  for (const std::string_view name : limit_names()) all.emplace_back(name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, EachLimit, testing::ValuesIn(all_limits()), [](const auto& row) { return row.param; });

}  // namespace
}  // namespace tenon
