#include <gtest/gtest.h>

#include <ostream>

#include <tenon/tensor.hpp>

#include "tensor/words.hpp"

namespace tenon {
namespace {

struct Row {
  const char* name;
  Shape shape;
  Stride stride;
  const char* layout;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class Layout : public testing::TestWithParam<Row> {};

TEST_P(Layout, HasAName) { EXPECT_EQ(layout_name(GetParam().shape, GetParam().stride), GetParam().layout); }

INSTANTIATE_TEST_SUITE_P(
    Table, Layout,
    testing::Values(Row{"dense", {2, 3, 4, 5}, {60, 20, 5, 1}, "row-major"}, Row{"scalar", {}, {}, "row-major"},
                    Row{"no_elements", {0, 3}, {7, 9}, "row-major"},
                    Row{"extents_of_one_decide_nothing", {1, 3, 1}, {99, 1, 42}, "row-major"},
                    Row{"channels_last", {2, 3, 4, 5}, {60, 1, 15, 3}, "channels_last"},
                    Row{"channels_last_3d", {2, 3, 4, 5, 6}, {360, 1, 90, 18, 3}, "channels_last_3d"},
                    Row{"one_by_one_kernels_stand_both_ways", {8, 4, 1, 1}, {4, 1, 4, 4}, "row-major"},
                    Row{"transposed", {3, 2}, {1, 3}, "permuted"}, Row{"permuted", {2, 3, 4}, {3, 1, 6}, "permuted"},
                    Row{"with_gaps", {2, 3}, {6, 2}, "strided"}, Row{"expanded", {2, 3}, {0, 1}, "strided"}),
    [](const auto& row) { return row.param.name; });

TEST(Layout, IsTheSameWhereElementsStandAlike) {
  EXPECT_TRUE(tensor::same_layout({1, 3}, {3, 1}, {9, 1}));
  EXPECT_TRUE(tensor::same_layout({3, 2}, {1, 3}, {1, 3}));
  EXPECT_FALSE(tensor::same_layout({3, 2}, {1, 3}, {2, 1}));
  EXPECT_FALSE(tensor::same_layout({2, 3}, {6, 2}, {0, 1}));  // both only "strided"
}

TEST(Layout, IsNamedAsHarmless) {
  EXPECT_EQ(tensor::layout_text({}, "A", "B"), "");
  const LayoutChange change{"w", {2, 3, 4, 5}, {60, 1, 15, 3}, {60, 20, 5, 1}};
  EXPECT_EQ(tensor::layout_text({change, change}, "A", "B"),
            "another memory layout: `w` and 1 more (channels_last in A, row-major in B); harmless: values and their "
            "places by index are the same");
}

}  // namespace
}  // namespace tenon
