#include "container/inflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/checked.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"

namespace tenon::container {

namespace {

/// Frees zlib's state on every way out.
struct Stream {
  z_stream z{};
  bool ready = false;
  explicit Stream(int window_bits) { ready = inflateInit2(&z, window_bits) == Z_OK; }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (ready) inflateEnd(&z);
  }
};

constexpr int kRawDeflate = -MAX_WBITS;
constexpr int kGzip = 16 + MAX_WBITS;

/// zlib counts in 32 bits; entries may be longer.
uInt piece(std::size_t left) {
  return static_cast<uInt>(std::min<std::size_t>(left, std::numeric_limits<uInt>::max()));
}

}  // namespace

std::vector<std::byte> inflate(std::span<const std::byte> packed, std::uint64_t unpacked_bytes, const Where& where,
                               const Limits& limits) {
  const auto most = base::checked_multiply(packed.size(), limits.inflate_ratio);
  if (most && unpacked_bytes > *most)
    throw base::limit_error(where, "the entry claims to unpack to more times its size than deflate can hold",
                            {&Limits::inflate_ratio, limits},
                            base::plural(packed.size(), "byte") + " for " + base::plural(unpacked_bytes, "byte"),
                            "the archive is damaged or made to exhaust memory");
  std::vector<std::byte> out(unpacked_bytes);
  Stream stream(kRawDeflate);
  if (!stream.ready) throw Error(Code::Read, where, "zlib could not start", {}, {}, "free some memory");
  std::size_t read = 0;
  std::size_t written = 0;
  int status = Z_OK;
  std::byte spare{};  // zlib wants a place to write even when nothing is to come
  while (status == Z_OK) {
    stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + read));
    stream.z.avail_in = piece(packed.size() - read);
    stream.z.next_out = reinterpret_cast<Bytef*>(written < out.size() ? out.data() + written : &spare);
    stream.z.avail_out = written < out.size() ? piece(out.size() - written) : 1;
    const uInt in_before = stream.z.avail_in, out_before = stream.z.avail_out;
    status = ::inflate(&stream.z, Z_NO_FLUSH);
    read += in_before - stream.z.avail_in;
    written += out_before - stream.z.avail_out;
    if (written > out.size()) break;
    if (status == Z_OK && in_before == stream.z.avail_in && out_before == stream.z.avail_out) break;
  }
  if (status != Z_STREAM_END || written != out.size())
    throw Error(Code::Corrupt, where, "the packed entry does not unpack", base::plural(unpacked_bytes, "byte"),
                written > out.size() ? "more" : base::plural(written, "byte"),
                "the file is damaged: fetch or save it again");
  return out;
}

std::vector<std::byte> gunzip(std::span<const std::byte> packed, const Where& where, const Limits& limits) {
  const auto by_ratio = base::checked_multiply(packed.size(), limits.inflate_ratio);
  const std::uint64_t most = std::min(by_ratio.value_or(limits.gunzipped_bytes), limits.gunzipped_bytes);
  const auto too_much = [&] {
    const bool is_bomb = most < limits.gunzipped_bytes;
    return base::limit_error(
        where, is_bomb ? "the gzip file unpacks to too many times its size" : "the gzip file unpacks to too much",
        {is_bomb ? &Limits::inflate_ratio : &Limits::gunzipped_bytes, limits}, "more than " + base::bytes_text(most),
        "unpack it yourself if you trust it");
  };
  Stream stream(kGzip);
  if (!stream.ready) throw Error(Code::Read, where, "zlib could not start", {}, {}, "free some memory");
  std::vector<std::byte> out;
  std::size_t read = 0, written = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    if (written == out.size()) {
      if (out.size() >= most) throw too_much();
      out.resize(std::min<std::uint64_t>(most, std::max<std::uint64_t>(2 * out.size(), 1 << 16)));
    }
    stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + read));
    stream.z.avail_in = piece(packed.size() - read);
    stream.z.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.z.avail_out = piece(out.size() - written);
    const uInt in_before = stream.z.avail_in, out_before = stream.z.avail_out;
    status = ::inflate(&stream.z, Z_NO_FLUSH);
    read += in_before - stream.z.avail_in;
    written += out_before - stream.z.avail_out;
    const bool is_stuck = in_before == stream.z.avail_in && out_before == stream.z.avail_out;
    if (status == Z_OK && is_stuck) break;
    if (status == Z_STREAM_END && read < packed.size() && packed[read] == std::byte{0x1f})
      status = inflateReset(&stream.z);
  }
  if (status != Z_STREAM_END)
    throw Error(Code::Corrupt, where, "the gzip file does not unpack", "a whole stream",
                base::plural(written, "byte") + " and then damage or the end",
                "the file is damaged or cut short: fetch it again");
  out.resize(written);
  return out;
}

std::vector<std::byte> inflate_start(std::span<const std::byte> packed, std::uint64_t count, const Where& where) {
  std::vector<std::byte> out(count);
  Stream stream(kRawDeflate);
  if (!stream.ready) throw Error(Code::Read, where, "zlib could not start", {}, {}, "free some memory");
  stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
  stream.z.avail_in = piece(packed.size());
  stream.z.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.z.avail_out = piece(out.size());
  const int status = out.empty() ? Z_OK : ::inflate(&stream.z, Z_SYNC_FLUSH);
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
    throw Error(Code::Corrupt, where, "the packed entry does not unpack", "a deflate stream", {},
                "the file is damaged: fetch or save it again");
  out.resize(out.size() - stream.z.avail_out);
  return out;
}

}  // namespace tenon::container
