// Lost pages: a mapped file that becomes shorter, as torch.save over it makes it, or whose disk fails, raises SIGBUS
// when bytes are touched that are gone. A program can outlive that: zeros stand in for them, and it says so before it
// uses what it read.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tenon::io {

/// From now on a page that a MappedFile has lost reads as zeros. Takes the signal SIGBUS, and so is for programs alone.
/// Whoever calls it calls throw_if_pages_were_lost() before an answer is given or a file gets its name.
void outlive_lost_pages();

/// Throws Error Read where a page was lost since the last call: nothing that was made of the bytes is to be used.
void throw_if_pages_were_lost();

/// Says that `bytes` are mapped from the file at `path`, which both must outlive it.
class MappedRange {
 public:
  MappedRange(std::span<const std::byte> bytes, const std::string& path);
  ~MappedRange();
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;

 private:
  std::size_t slot_;
};

}  // namespace tenon::io
