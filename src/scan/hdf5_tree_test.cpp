// The walk through groups of the old kind: B-trees of version 1 and nodes of symbols.
#include "scan/hdf5_tree.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/cursor.hpp"

namespace tenon::scanning {
namespace {

constexpr std::uint64_t kUndefined = ~std::uint64_t{0};
constexpr std::uint64_t kRoot = 96;          // behind the superblock
constexpr std::uint64_t kTree = kRoot + 40;  // behind the root's header and its one message

std::string little(std::uint64_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
  return out;
}

std::string message(int type, const std::string& content) {
  return little(static_cast<std::uint64_t>(type), 2) + little(content.size(), 2) + little(0, 4) + content;
}

std::string object(const std::string& messages) {
  return little(1, 1) + little(0, 1) + little(1, 2) + little(1, 4) + little(messages.size(), 4) + little(0, 4) +
         messages;
}

/// An object with a text of four bytes.
std::string object_with_text(const std::string& value) {
  return object(message(12, little(3, 2) + little(2, 2) + little(8, 2) + little(4, 2) + little(0, 1) + "n" + '\0' +
                                little(0x13, 4) + little(value.size(), 4) + little(2, 4) + value + '\0'));
}

/// A file whose root group has its tree at kTree, where `rest` stands.
std::string file_with(const std::string& rest) {
  const std::string widths = little(0, 5) + little(8, 1) + little(8, 1) + little(0, 1) + little(4, 2) + little(16, 2);
  return "\x89HDF\r\n\x1a\n" + widths + little(0, 4) + little(0, 8) + little(kUndefined, 8) +
         little(kTree + rest.size(), 8) + little(kUndefined, 8) + little(0, 8) + little(kRoot, 8) +
         std::string(24, '\0') + object(message(17, little(kTree, 8) + little(kUndefined, 8))) + rest;
}

std::string tree(const std::vector<std::uint64_t>& children) {
  std::string node =
      "TREE" + little(0, 2) + little(children.size(), 2) + little(kUndefined, 8) + little(kUndefined, 8) + little(0, 8);
  for (const std::uint64_t child : children) node += little(child, 8) + little(0, 8);
  return node;
}

std::string symbol(std::uint64_t header) {
  return "SNOD" + little(1, 2) + little(1, 2) + little(0, 8) + little(header, 8) + std::string(24, '\0');
}

struct Seen {
  Hdf5Walk walk;
  std::vector<std::string> texts;
};

Seen seen_in(const std::string& file) {
  Seen seen;
  const Hdf5Sights sights{
      [&](std::string_view, std::string_view value, std::uint64_t) { seen.texts.emplace_back(value); },
      [](std::string_view, std::string_view, std::uint64_t) {}};
  Part part;
  part.bytes = base::as_bytes(file);
  seen.walk = walk_hdf5(part, 0, sights);
  return seen;
}

TEST(Hdf5Tree, FollowsGroupsOfTheOldKind) {
  const std::uint64_t node = kTree + tree({0}).size(), header = node + symbol(0).size();
  const Seen seen = seen_in(file_with(tree({node}) + symbol(header) + object_with_text("told")));
  EXPECT_EQ(seen.texts, std::vector<std::string>{"told"});
  EXPECT_EQ(seen.walk.broken, 0U);
  EXPECT_EQ(seen.walk.objects, 2U);
}

// A look-up by name comes by one child only, so that a broken one must not end the walk through the others.
TEST(Hdf5Tree, ABrokenNodeHidesNoOther) {
  const std::uint64_t node = kTree + tree({0, 0}).size(), header = node + symbol(0).size();
  for (const std::vector<std::uint64_t>& children : {std::vector{node, header}, std::vector{header, node}}) {
    const Seen seen = seen_in(file_with(tree(children) + symbol(header) + object_with_text("told")));
    EXPECT_EQ(seen.texts, std::vector<std::string>{"told"});
    EXPECT_EQ(seen.walk.broken, 1U);
    EXPECT_FALSE(seen.walk.overlaps);
  }
}

// Nodes that lie across each other: every one of 2,700 lists all that stands behind it, 64 KiB ask for 5 million steps.
TEST(Hdf5Tree, NodesThatOverlapAreNotFollowedWithoutEnd) {
  constexpr std::uint64_t kNodes = 2'700, kNode = 24, kChild = 16;
  std::string nodes;
  for (std::uint64_t i = 0; i < kNodes; ++i) {
    const std::uint64_t behind = (kNodes - i) * kNode, children = behind < 2 * kNode ? 0 : (behind - 32) / kChild;
    nodes += "TREE" + little(0, 2) + little(children, 2) + little(kTree + (i + 1) % kNodes * kNode, 8) +
             little(kTree + (i + 2) % kNodes * kNode, 8);
  }
  const Seen seen = seen_in(file_with(nodes));
  EXPECT_TRUE(seen.walk.overlaps);
  EXPECT_EQ(seen.walk.objects, 1U);
}

// 500 virtual datasets whose sources are one text of 30,000 bytes.
TEST(Hdf5Tree, SourcesThatAreNamedAgainAndAgainAreNotReadWithoutEnd) {
  const std::uint64_t dataset = kTree + tree({0}).size() + symbol(0).size();
  const auto datasets = [](std::uint64_t heap) {
    std::string messages;
    for (int i = 0; i < 500; ++i)
      messages += message(8, little(4, 1) + little(3, 1) + little(heap, 8) + little(1, 4) + little(0, 2));
    return object(messages);
  };
  const std::string sources(30'000, 'a');
  const std::string heap = "GCOL" + little(1, 4) + little(32 + sources.size(), 8) + little(1, 2) + little(1, 2) +
                           little(0, 4) + little(sources.size(), 8) + sources;
  const std::string groups = tree({dataset - symbol(0).size()}) + symbol(dataset);
  EXPECT_TRUE(seen_in(file_with(groups + datasets(dataset + datasets(0).size()) + heap)).walk.overlaps);
}

}  // namespace
}  // namespace tenon::scanning
