// AsyncSaver: training goes on while a checkpoint is written.
//
//   save(): copies the bytes of all tensors (what the model is at that moment), returns, writes behind the caller's
//   back wait(), the next save(), the destructor, the end of the process: until the bytes are safe
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <tenon/export.hpp>
#include <tenon/save.hpp>

namespace tenon {

/// What save() does while the one before is still being written.
enum class Busy : std::uint8_t {
  Wait,     ///< until it is safe
  Replace,  ///< gives it up: its file is never named, the old one stays, and the new save takes its turn
};

/// Not for several threads at once. Holds one copy of the tensors' bytes, whose memory is kept from save to save.
class TENON_API AsyncSaver {
 public:
  AsyncSaver();
  /// Waits. An error that neither wait() nor save() has told by then is lost, so call wait() first.
  ~AsyncSaver();
  AsyncSaver(const AsyncSaver&) = delete;
  AsyncSaver& operator=(const AsyncSaver&) = delete;

  /// Returns as soon as every tensor's bytes are copied: what the caller does to them then does not reach the file.
  /// `options.progress` is called by the writing thread. Throws Error: what the save before failed with (that one is
  /// then told, and this one has not begun), what save() refuses, and whatever loading the tensors throws.
  void save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options = {}, Busy busy = Busy::Wait);

  /// Until the last save is safe. Its report, or nothing when there was none, it was given up, or its report was taken
  /// before. Throws what it failed with, once.
  std::optional<SaveReport> wait();

  bool is_writing() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenon
