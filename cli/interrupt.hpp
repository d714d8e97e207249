// Interrupts: Ctrl-C ends a command that only reads at once; one that writes first takes its temporary file away.
#pragma once

#include <tenon/snapshot.hpp>

namespace tenon::cli {

/// Makes SIGINT, SIGTERM and SIGHUP end the program with 130. A reader that goes away (SIGPIPE) and a limit on the size
/// of files (SIGXFSZ) are no reason to die: the write fails, and the message says so. Nor is a file that becomes
/// shorter while it is read (SIGBUS): see io/lost_pages.hpp.
void catch_interrupts();

/// While one lives, an interrupt waits until the next tensor is asked for: see interruptible().
class WritingSection {
 public:
  WritingSection();
  ~WritingSection();
  WritingSection(const WritingSection&) = delete;
  WritingSection& operator=(const WritingSection&) = delete;
};

/// Throws Error Cancelled after an interrupt within a WritingSection, Error Read after a page was lost.
void throw_if_interrupted();

/// The same snapshot, whose tensors throw Error Cancelled after an interrupt: the writer then unwinds and removes its
/// temporary file.
Snapshot interruptible(Snapshot snapshot);

}  // namespace tenon::cli
