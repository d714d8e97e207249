#include <gtest/gtest.h>

#include "match/match.hpp"
#include "support/memory_checkpoint.hpp"

namespace tenon::match {
namespace {

using test::MemoryCheckpoint;

TEST(Values, SettleWhatNamesLeaveOpen) {
  const Checkpoint a = MemoryCheckpoint()
                           .add("first.weight", DType::Float32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})
                           .add("second.weight", DType::Float32, {2, 3}, std::vector<float>{6, 5, 4, 3, 2, 0})
                           .checkpoint();
  const Checkpoint b = MemoryCheckpoint()
                           .add("onnx::MatMul_7", DType::Float32, {3, 2}, std::vector<float>{6, 3, 5, 2, 4, 0})
                           .add("onnx::MatMul_9", DType::Float32, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})
                           .checkpoint();
  const Matching matching = match(list(a), list(b));
  ASSERT_EQ(matching.matches.size(), 2U);
  EXPECT_EQ(matching.matches[0].from, std::vector<std::size_t>{1});
  EXPECT_EQ(matching.matches[0].how, How::Transpose);
  EXPECT_EQ(matching.matches[1].from, std::vector<std::size_t>{0});
  EXPECT_EQ(matching.matches[1].how, How::Rename);
  EXPECT_TRUE(matching.matches[0].apply && matching.matches[1].apply);
}

TEST(Values, OverruleNames) {
  const std::vector<float> one{1, 2, 3, 4}, other{5, 6, 7, 8};
  const Checkpoint a = MemoryCheckpoint()
                           .add("enc.q_proj.weight", DType::Float32, {2, 2}, one)
                           .add("enc.k_proj.weight", DType::Float32, {2, 2}, other)
                           .checkpoint();
  const Checkpoint b = MemoryCheckpoint()
                           .add("e.query.weight", DType::Float32, {2, 2}, other)
                           .add("e.key.weight", DType::Float32, {2, 2}, one)
                           .checkpoint();
  const Matching matching = match(list(a), list(b));
  ASSERT_EQ(matching.matches.size(), 2U);
  EXPECT_EQ(matching.matches[0].from, std::vector<std::size_t>{1});
  EXPECT_EQ(matching.matches[1].from, std::vector<std::size_t>{0});
  EXPECT_TRUE(matching.matches[0].apply && matching.matches[1].apply);
}

TEST(Values, OverruleNumbersOfARowThatWasNumberedAnew) {
  const auto row = [](std::initializer_list<const char*> names) {
    MemoryCheckpoint made;
    float value = 0;
    for (const char* name : names) {
      made.add(name, DType::Float32, {2}, std::vector<float>{value, value + 1});
      value += 2;
    }
    return made.checkpoint();
  };
  const Matching matching = match(list(row({"net.0.weight", "net.2.weight", "net.4.weight", "net.6.weight"})),
                                  list(row({"net.0.weight", "net.3.weight", "net.6.weight", "net.9.weight"})));
  ASSERT_EQ(matching.matches.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(matching.matches[i].from, std::vector<std::size_t>{i});
}

TEST(Values, TellNothingWhereSeveralShareThem) {
  const auto ones = [](const char* x, const char* y) {
    return MemoryCheckpoint()
        .add(x, DType::Float32, {2, 2}, std::vector<float>{1, 1, 1, 1})
        .add(y, DType::Float32, {2, 2}, std::vector<float>{1, 1, 1, 1})
        .checkpoint();
  };
  for (const Match& match : match(list(ones("a.weight", "b.weight")), list(ones("x.weight", "y.weight"))).matches)
    EXPECT_FALSE(match.apply);
}

TEST(Values, InAnotherOrderAreNotTheSame) {
  const Checkpoint a = MemoryCheckpoint()
                           .add("p", DType::Float32, {4}, std::vector<float>{1, 2, 3, 4})
                           .add("q", DType::Float32, {4}, std::vector<float>{1, 2, 4, 5})
                           .checkpoint();
  const Checkpoint b = MemoryCheckpoint()
                           .add("x", DType::Float32, {4}, std::vector<float>{2, 1, 3, 4})
                           .add("y", DType::Float32, {4}, std::vector<float>{5, 1, 2, 4})
                           .checkpoint();
  for (const Match& match : match(list(a), list(b)).matches) EXPECT_FALSE(match.apply);
}

}  // namespace
}  // namespace tenon::match
