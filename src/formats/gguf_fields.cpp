#include "formats/gguf_fields.hpp"

#include <string>
#include <utility>

#include "base/text.hpp"

namespace tenon::formats {

namespace {

constexpr std::uint64_t kMagicBytes = 4;
constexpr std::uint32_t kNewestVersion = 3;

constexpr std::pair<std::uint32_t, DType> kTensorTypes[] = {
    {0, DType::Float32}, {1, DType::Float16},  {2, DType::Q4_0},   {3, DType::Q4_1},      {6, DType::Q5_0},
    {7, DType::Q5_1},    {8, DType::Q8_0},     {9, DType::Q8_1},   {10, DType::Q2_K},     {11, DType::Q3_K},
    {12, DType::Q4_K},   {13, DType::Q5_K},    {14, DType::Q6_K},  {15, DType::Q8_K},     {16, DType::IQ2_XXS},
    {17, DType::IQ2_XS}, {18, DType::IQ3_XXS}, {19, DType::IQ1_S}, {20, DType::IQ4_NL},   {21, DType::IQ3_S},
    {22, DType::IQ2_S},  {23, DType::IQ4_XS},  {24, DType::Int8},  {25, DType::Int16},    {26, DType::Int32},
    {27, DType::Int64},  {28, DType::Float64}, {29, DType::IQ1_M}, {30, DType::BFloat16}, {34, DType::TQ1_0},
    {35, DType::TQ2_0},  {39, DType::MXFP4},   {40, DType::NVFP4}, {41, DType::Q1_0},
};

constexpr std::pair<std::uint32_t, std::string_view> kRemovedTypes[] = {
    {4, "Q4_2"},      {5, "Q4_3"},        {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},
    {33, "Q4_0_8_8"}, {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"},
};

}  // namespace

std::string_view gguf_type_name(GgufValueType type) {
  constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

std::uint64_t gguf_value_bytes(GgufValueType type) {
  constexpr std::uint8_t kBytes[kGgufValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<std::size_t>(type)];
}

std::optional<DType> gguf_dtype(std::uint32_t type) {
  for (const auto& [id, dtype] : kTensorTypes)
    if (id == type) return dtype;
  return std::nullopt;
}

std::string_view gguf_removed_type(std::uint32_t type) {
  for (const auto& [id, name] : kRemovedTypes)
    if (id == type) return name;
  return {};
}

GgufFields::GgufFields(base::Cursor in) : in_(std::move(in)) {
  in_.skip(kMagicBytes, "the magic number");
  const std::uint64_t at = in_.position();
  version_ = in_.u32("the version");
  // No version is that great: read in the other order it is 1, 2 or 3.
  big_endian_ = version_ >= 1U << 24;
  if (big_endian_) version_ = __builtin_bswap32(version_);
  if (version_ < 1 || version_ > kNewestVersion)
    throw in_.error_at(at, Code::Unsupported, "the file is of another version of GGUF",
                       "1 to " + std::to_string(kNewestVersion), std::to_string(version_),
                       "convert it again with a program that writes version 3");
}

std::uint16_t GgufFields::u16(std::string_view field) {
  const std::uint16_t number = in_.u16(field);
  return big_endian_ ? __builtin_bswap16(number) : number;
}

std::uint32_t GgufFields::u32(std::string_view field) {
  const std::uint32_t number = in_.u32(field);
  return big_endian_ ? __builtin_bswap32(number) : number;
}

std::uint64_t GgufFields::u64(std::string_view field) {
  const std::uint64_t number = in_.u64(field);
  return big_endian_ ? __builtin_bswap64(number) : number;
}

std::string_view GgufFields::text(std::string_view field) {
  const std::uint64_t bytes = count("the length of " + std::string(field));
  return in_.text(bytes, field);
}

std::uint64_t GgufFields::count_of(std::string_view things, std::uint64_t least_bytes, base::NamedLimit limit) {
  const std::uint64_t at = in_.position();
  const std::uint64_t found = count("the number of " + std::string(things));
  if (found > limit.most)
    throw base::limit_error(in_.where(at), "the file has too many " + std::string(things), limit,
                            base::count_text(found));
  if (found > in_.remaining() / least_bytes)
    throw in_.error_at(at, Code::Corrupt, "the file is too short for its " + std::string(things),
                       "at most " + base::count_text(in_.remaining() / least_bytes), base::count_text(found),
                       "fetch the file again, or convert it again from its source");
  return found;
}

}  // namespace tenon::formats
