// ggml's block types -> float32.
//
// A block holds small integers q and what makes numbers of them: x = d * q, x = d * (q - middle), x = d * q + m. The K
// types have blocks of 256 in groups that share a small integer scale. `d` and `m` are float16; all products with them
// are exact in float32, so that a value is rounded once at most and is the same on every machine.
// Source: ggml, ggml-quants.h (the blocks) and docs/gguf.md; described in docs/formats/gguf.md.
#include <tenon/tensor.hpp>

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "tensor/codecs.hpp"

namespace tenon {

namespace {

/// The bytes of one block. Only float16 fields follow the byte order of the file; the integers are single bytes.
struct Block {
  const std::byte* at;
  bool big_endian;

  unsigned byte(std::size_t i) const { return std::to_integer<unsigned>(at[i]); }
  int signed_byte(std::size_t i) const { return static_cast<std::int8_t>(byte(i)); }
  unsigned low(std::size_t i) const { return byte(i) & 0xFU; }
  unsigned high(std::size_t i) const { return byte(i) >> 4; }
  float half(std::size_t i) const {
    std::array<std::byte, 2> bytes{at[i], at[i + 1]};
    if (big_endian) std::swap(bytes[0], bytes[1]);
    return tensor::Float16Codec::decode_part<float>(bytes.data());
  }
};

float number(unsigned q) { return static_cast<float>(q); }
float number(int q) { return static_cast<float>(q); }

// | d | 16 bytes |: element i in the low half of byte i, element 16 + i in the high half.
void decode_q4_0(const Block& block, float* out) {
  const float d = block.half(0);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * number(static_cast<int>(block.low(2 + i)) - 8);
    out[16 + i] = d * number(static_cast<int>(block.high(2 + i)) - 8);
  }
}

// | d | m | 16 bytes |
void decode_q4_1(const Block& block, float* out) {
  const float d = block.half(0), m = block.half(2);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * number(block.low(4 + i)) + m;
    out[16 + i] = d * number(block.high(4 + i)) + m;
  }
}

/// The fifth bit of element `i`: bit i of the 32 that begin at byte `at`, lowest first.
unsigned fifth_bit(const Block& block, std::size_t at, std::size_t i) {
  return (block.byte(at + i / 8) >> (i % 8) & 1U) << 4;
}

// | d | 32 fifth bits | 16 bytes |
void decode_q5_0(const Block& block, float* out) {
  const float d = block.half(0);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * number(static_cast<int>(block.low(6 + i) | fifth_bit(block, 2, i)) - 16);
    out[16 + i] = d * number(static_cast<int>(block.high(6 + i) | fifth_bit(block, 2, 16 + i)) - 16);
  }
}

// | d | m | 32 fifth bits | 16 bytes |
void decode_q5_1(const Block& block, float* out) {
  const float d = block.half(0), m = block.half(2);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * number(block.low(8 + i) | fifth_bit(block, 4, i)) + m;
    out[16 + i] = d * number(block.high(8 + i) | fifth_bit(block, 4, 16 + i)) + m;
  }
}

// | d | 32 signed bytes |
void decode_q8_0(const Block& block, float* out) {
  const float d = block.half(0);
  for (std::size_t i = 0; i < 32; ++i) out[i] = d * number(block.signed_byte(2 + i));
}

/// Scale and minimum of a group of 32: 6 bits each, eight pairs in 12 bytes from byte 4 on.
///
///   bytes 0-3  scales 0-3, and above them the two high bits of scales 4-7
///   bytes 4-7  minima 0-3, and above them the two high bits of minima 4-7
///   bytes 8-11 scales 4-7 (low half) and minima 4-7 (high half), their four low bits
struct GroupScale {
  unsigned scale, minimum;
};
GroupScale group_scale(const Block& block, std::size_t group) {
  constexpr std::size_t kScales = 4;
  if (group < 4) return {block.byte(kScales + group) & 63U, block.byte(kScales + 4 + group) & 63U};
  const std::size_t low = group - 4;
  return {block.low(kScales + 8 + low) | block.byte(kScales + low) >> 6 << 4,
          block.high(kScales + 8 + low) | block.byte(kScales + 4 + low) >> 6 << 4};
}

/// Q4_K: | d | d of minima | scales | 128 bytes |; Q5_K: | d | d of minima | scales | 32 bytes of fifth bits | 128
/// bytes |. Each run of 32 bytes holds two groups of 32: the low halves, then the high ones.
template <bool kFiveBits>
void decode_q45_k(const Block& block, float* out) {
  constexpr std::size_t kFifthBits = 16, kBytes = kFiveBits ? 48 : 16;
  const float d = block.half(0), d_minimum = block.half(2);
  for (std::size_t group = 0; group < 8; ++group) {
    const auto [scale, minimum] = group_scale(block, group);
    const float step = d * number(scale), offset = d_minimum * number(minimum);
    for (std::size_t i = 0; i < 32; ++i) {
      const std::size_t at = kBytes + group / 2 * 32 + i;
      unsigned q = group % 2 == 0 ? block.low(at) : block.high(at);
      if (kFiveBits) q |= (block.byte(kFifthBits + i) >> group & 1U) << 4;
      *out++ = step * number(q) - offset;
    }
  }
}

// | 128 bytes: 4 low bits | 64 bytes: 2 high bits | 16 signed scales | d |, in two halves of 128 elements: four runs of
// 32 share 64 low and 32 high bytes.
void decode_q6_k(const Block& block, float* out) {
  constexpr std::size_t kHigh = 128, kScales = 192, kD = 208;
  const float d = block.half(kD);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128, run = i % 128 / 32, lane = i % 32;
    const std::size_t at = half * 64 + run % 2 * 32 + lane;
    const unsigned low = run < 2 ? block.low(at) : block.high(at);
    const unsigned high = block.byte(kHigh + half * 32 + lane) >> (2 * run) & 3U;
    const float step = d * number(block.signed_byte(kScales + i / 16));
    out[i] = step * number(static_cast<int>(low | high << 4) - 32);
  }
}

using Decoder = void (*)(const Block& block, float* out);
constexpr std::pair<DType, Decoder> kDecoders[] = {
    {DType::Q4_0, decode_q4_0},        {DType::Q4_1, decode_q4_1}, {DType::Q5_0, decode_q5_0},
    {DType::Q5_1, decode_q5_1},        {DType::Q8_0, decode_q8_0}, {DType::Q4_K, decode_q45_k<false>},
    {DType::Q5_K, decode_q45_k<true>}, {DType::Q6_K, decode_q6_k},
};

Decoder decoder_of(DType dtype) {
  for (const auto& [known, decoder] : kDecoders)
    if (known == dtype) return decoder;
  return nullptr;
}

}  // namespace

bool can_dequantize(DType dtype) { return decoder_of(dtype) != nullptr; }

Tensor dequantized(const TensorView& view) {
  const Decoder decode = decoder_of(view.dtype);
  if (decode == nullptr)
    throw Error(Code::Unsupported, Where{}, "the values of this block type are not computed",
                "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K", std::string(dtype_name(view.dtype)));
  const DTypeBlock size = dtype_block(view.dtype);
  const std::int64_t count = element_count(view.shape);
  TENON_ASSERT(is_dense(view) && count % size.elements == 0);
  const std::span<const std::byte> blocks = view.storage.subspan(view.offset_bytes, byte_size(view.shape, view.dtype));
  std::vector<std::byte> bytes(byte_size(view.shape, DType::Float32));
  std::array<float, 256> values{};
  std::byte* out = bytes.data();
  for (std::size_t at = 0; at < blocks.size(); at += static_cast<std::size_t>(size.bytes)) {
    decode({blocks.data() + at, view.encoding.big_endian}, values.data());
    const auto decoded_bytes = static_cast<std::size_t>(size.elements) * sizeof(float);
    std::memcpy(out, values.data(), decoded_bytes);
    out += decoded_bytes;
  }
  return make_tensor(DType::Float32, view.shape, std::move(bytes));
}

}  // namespace tenon
