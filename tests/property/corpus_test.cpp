// Every file of the corpus, and some 2,000 damaged copies of them, through open() and scan(): an answer or an Error,
// and what the answer must hold. The damage depends on the file's number and the copy's only, so that a failure comes
// again.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <tenon/checkpoint.hpp>
#include <tenon/render.hpp>
#include <tenon/scan.hpp>

#include "base/cursor.hpp"
#include "formats/open.hpp"
#include "support/corpus.hpp"

namespace tenon {
namespace {

constexpr std::size_t kMutations = 2'000;

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::string damaged(std::string bytes) {
    for (std::uint64_t i = 0, steps = 1 + below(3); i < steps && !bytes.empty(); ++i) step(bytes);
    return bytes;
  }

 private:
  std::uint64_t below(std::uint64_t end) { return random_() % end; }  // the same on every standard library

  /// Half of all steps go to the beginning, where most formats keep what decides.
  std::size_t place(const std::string& bytes) {
    const std::uint64_t end = below(2) == 0 ? std::min<std::uint64_t>(bytes.size(), 256) : bytes.size();
    return static_cast<std::size_t>(below(end));
  }

  void step(std::string& bytes) {
    constexpr char kEdges[] = {'\0', '\x01', '\x7f', '\x80', '\xff'};
    const std::size_t at = place(bytes);
    const std::size_t length = std::min<std::size_t>(1 + static_cast<std::size_t>(below(8)), bytes.size() - at);
    switch (below(6)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1U << below(8))); break;
      case 1: bytes[at] = kEdges[below(std::size(kEdges))]; break;
      case 2: bytes.replace(at, length, length, kEdges[below(std::size(kEdges))]); break;
      case 3: bytes.resize(at); break;
      case 4: bytes.erase(at, length); break;
      case 5: bytes.insert(at, bytes.substr(place(bytes), length)); break;
    }
  }

  std::mt19937_64 random_;
};

/// Small enough for a forged file to be done with at once.
Limits small_limits() {
  Limits limits;
  limits.pickle_nodes = 100'000;
  limits.pickle_opcodes = 100'000;
  limits.walked_paths = 10'000;
  limits.object_values = 10'000;
  limits.inflated_record_bytes = limits.gunzipped_bytes = limits.expanded_view_bytes = 4 << 20;
  limits.scan_unpacked_bytes = 4 << 20;
  return limits;
}

void read_all(const Checkpoint& checkpoint) {
  std::uint64_t budget = 4 << 20;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const TensorInfo& info = checkpoint.tensors()[i];
    if (byte_size(info.shape, info.dtype) > budget) continue;
    budget -= byte_size(info.shape, info.dtype);
    try {
      for_each_block(checkpoint.tensor(i), [](std::span<const std::byte>) {});
    } catch (const Error&) {
    }
  }
}

void open_and_read(const std::string& bytes, Salvage salvage) {
  const auto content = base::as_bytes(bytes);
  const auto file = io::MappedFile::of_bytes({content.begin(), content.end()}, "corpus");
  try {
    OpenOptions options;
    options.salvage = salvage;
    options.limits = small_limits();
    read_all(Checkpoint(formats::open_core({"/nonexistent/corpus", file, options})));
  } catch (const Error& error) {
    EXPECT_FALSE(error.what_happened.empty());
    EXPECT_EQ(error.code == Code::Limit, !error.limit.empty()) << error.what();
  }
}

void scan_and_show(const std::string& bytes) {
  const ScannedFile file = scan(base::as_bytes(bytes), "corpus", {small_limits()});
  EXPECT_EQ(file.verdict == ScanVerdict::Safe, file.findings.empty());
  for (const ScanFinding& finding : file.findings) EXPECT_LE(finding.verdict, file.findings.front().verdict);
  if (!file.findings.empty()) {
    EXPECT_EQ(file.findings.front().verdict, file.verdict);
  }
  for (const ScanFinding& finding : file.findings) EXPECT_LE(finding.preview.size(), 80U);
  for (const char c : render_text(file, TextStyle{}))
    if (c != '\n' && (static_cast<unsigned char>(c) < 0x20 || c == '\x7f'))
      FAIL() << "a control character reaches the terminal";
  EXPECT_FALSE(render_json({file}).empty());
  EXPECT_FALSE(render_sarif({file}).empty());
}

void answers(const std::string& bytes) {
  open_and_read(bytes, Salvage::No);
  open_and_read(bytes, Salvage::Yes);
  scan_and_show(bytes);
}

TEST(Corpus, EveryFileIsAnswered) {
  const auto files = test::read_corpus();
  ASSERT_GT(files.size(), 100U);
  for (const test::CorpusFile& file : files) {
    SCOPED_TRACE(file.name);
    answers(file.bytes);
  }
}

TEST(Corpus, EveryDamagedCopyIsAnswered) {
  const auto files = test::read_corpus();
  ASSERT_FALSE(files.empty());
  for (std::size_t i = 0; i < kMutations; ++i) {
    const test::CorpusFile& file = files[i % files.size()];
    SCOPED_TRACE(file.name + ", copy " + std::to_string(i));
    answers(Mutator(i).damaged(file.bytes));
  }
}

}  // namespace
}  // namespace tenon
