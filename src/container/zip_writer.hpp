// ZipWriter: stored entries whose sizes are known beforehand, streamed in one pass.
//
// As PyTorch writes them: payloads begin at multiples of 64 (extra field "FB"), sizes and CRC stand behind the payload
// in a data descriptor and in the central directory; no times, no attributes. ZIP64 where a size, an offset or the
// count asks for it. Source: APPNOTE.TXT 6.3.9 of PKWARE, 4.3-4.5; caffe2/serialize/inline_container.cc of PyTorch for
// the padding.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/sink.hpp"

namespace tenon::container {

class ZipWriter {
 public:
  /// `write` is called once, by write(), and must produce exactly `nbytes` bytes.
  void add(std::string name, std::uint64_t nbytes, std::function<void(const base::Sink&)> write);
  void add(std::string name, std::string content);

  /// An entry whose content is filled in when all else is written: zero bytes stand for it and for its CRC-32.
  void add_later(std::string name, std::uint64_t nbytes);

  /// Text behind the end record; at most 65 535 bytes.
  void set_comment(std::string comment) { comment_ = std::move(comment); }

  /// Where an entry's bytes and the two copies of its CRC-32 are in the finished file.
  struct Place {
    std::uint64_t content = 0, nbytes = 0;
    std::uint64_t descriptor_crc = 0, directory_crc = 0;
  };
  std::vector<Place> places() const;  ///< in the order of adding

  std::uint64_t file_bytes() const;
  void write(const base::Sink& sink) const;

 private:
  struct Entry {
    std::string name;
    std::uint64_t nbytes = 0;
    std::uint64_t offset = 0;
    std::uint64_t content = 0;  ///< where the bytes begin
    std::function<void(const base::Sink&)> write;
    bool is_later = false;
  };

  std::vector<Entry> entries_;
  std::string comment_;
  std::uint64_t end_ = 0;  ///< where the next entry begins
};

}  // namespace tenon::container
