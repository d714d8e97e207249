// Source: RFC 1950, 1951, 1952, through zlib.
#include "scan/unpack.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "base/checked.hpp"

namespace tenon::scanning {

namespace {

int window_bits(Wrapping wrapping) {
  switch (wrapping) {
    case Wrapping::Deflate: return -MAX_WBITS;
    case Wrapping::Zlib: return MAX_WBITS;
    case Wrapping::Gzip: return MAX_WBITS + 16;
  }
  return MAX_WBITS;
}

/// Frees zlib's state on every way out.
struct Stream {
  z_stream z{};
  bool ready = false;
  explicit Stream(Wrapping wrapping) { ready = inflateInit2(&z, window_bits(wrapping)) == Z_OK; }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (ready) inflateEnd(&z);
  }
};

uInt piece(std::uint64_t left) {
  return static_cast<uInt>(std::min<std::uint64_t>(left, std::numeric_limits<uInt>::max()));
}

bool is_bomb(const Unpacked& found, const Limits& limits) {
  const auto most = base::checked_multiply(found.read_bytes, limits.scan_inflate_ratio);
  return found.bytes.size() > limits.scan_bomb_bytes && most && found.bytes.size() > *most;
}

}  // namespace

Unpacked unpack(std::span<const std::byte> packed, Wrapping wrapping, base::NamedLimit allowed, Collector& out) {
  constexpr std::size_t kStep = 1 << 18;
  const Limits& limits = out.limits();
  Budget& budget = out.budget();
  const std::uint64_t most = allowed.most;
  const std::uint64_t left = limits.scan_unpacked_bytes - std::min(budget.unpacked_bytes, limits.scan_unpacked_bytes);
  Unpacked found;
  Stream stream(wrapping);
  if (!stream.ready) return {{}, 0, UnpackEnd::Limited, allowed.member};
  for (int status = Z_OK; status == Z_OK;) {
    const std::size_t before = found.bytes.size();
    if (before >= most || before >= left || is_bomb(found, limits)) {
      found.end = UnpackEnd::Limited;
      found.limit = before >= most   ? allowed.member
                    : before >= left ? &Limits::scan_unpacked_bytes
                                     : &Limits::scan_inflate_ratio;
      break;
    }
    const auto room = static_cast<std::size_t>(std::min<std::uint64_t>({kStep, most - before, left - before}));
    found.bytes.resize(before + room);
    stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + found.read_bytes));
    stream.z.avail_in = piece(packed.size() - found.read_bytes);
    stream.z.next_out = reinterpret_cast<Bytef*>(found.bytes.data() + before);
    stream.z.avail_out = static_cast<uInt>(room);
    const uInt in_before = stream.z.avail_in;
    status = ::inflate(&stream.z, Z_NO_FLUSH);
    found.read_bytes += in_before - stream.z.avail_in;
    found.bytes.resize(before + room - stream.z.avail_out);
    if (status == Z_STREAM_END && wrapping == Wrapping::Gzip && packed.size() - found.read_bytes > 18 &&
        packed[found.read_bytes] == std::byte{0x1f} && packed[found.read_bytes + 1] == std::byte{0x8b})
      status = inflateReset(&stream.z);
    else if (status == Z_OK && in_before == stream.z.avail_in && found.bytes.size() == before)
      status = Z_BUF_ERROR;
    if (status != Z_OK && status != Z_STREAM_END) found.end = UnpackEnd::Damaged;
  }
  budget.unpacked_bytes += found.bytes.size();
  return found;
}

}  // namespace tenon::scanning
