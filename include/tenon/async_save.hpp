// AsyncSaver: training goes on while a checkpoint is written.
//
//   save()                                   copies the bytes of all tensors (what the model is at that moment), returns,
//                                            and writes in a thread
//   wait(), the next save(), the destructor  wait until the bytes are safe; so does the end of the process
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
  Replace,  ///< gives it up: unless it is just then getting its name, it gets none and the old file stays; the new save
            ///< takes its turn when the disk is done with what it had been given
};

/// Not for several threads at once. Holds one copy of the tensors' bytes, whose memory is kept from save to save.
class TENON_API AsyncSaver {
 public:
  AsyncSaver();
  /// Waits. An error that neither wait() nor save() has told by then is lost, so call wait() first.
  ~AsyncSaver();
  AsyncSaver(const AsyncSaver&) = delete;
  AsyncSaver& operator=(const AsyncSaver&) = delete;

  /// Returns as soon as every tensor's bytes are copied: what the caller does to them then does not reach the file. A
  /// relative `path` is meant from the folder that is the current one now, and told as an absolute one in report and
  /// errors.
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
