// Small text helpers shared by the rooms: numbers with thousands, byte counts, glob patterns, nearest names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::base {

std::string hex(std::uint64_t number);                           ///< 0x1f
std::string count_text(std::uint64_t number);                    ///< 11,689,512
std::string bytes_text(std::uint64_t bytes);                     ///< 46.8 MB (powers of 1000)
std::string shape_text(std::span<const std::int64_t> shape);     ///< [64, 3, 7, 7]
std::string plural(std::uint64_t count, std::string_view noun);  ///< "1 tensor", "2 tensors"
std::string join(std::span<const std::string> parts, std::string_view separator);

/// `*` any run of characters, `?` one; linear in practice, never exponential.
bool glob_match(std::string_view pattern, std::string_view text);

/// Up to `count` names nearest to `name` by edit distance; looks at no more than 20,000 names.
std::vector<std::string> nearest(std::string_view name, std::span<const std::string_view> names, std::size_t count);

}  // namespace tenon::base
