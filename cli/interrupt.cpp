#include "interrupt.hpp"

#include <unistd.h>

#include <csignal>
#include <utility>

#include <tenon/error.hpp>

#include "exit_code.hpp"
#include "io/lost_pages.hpp"

namespace tenon::cli {

namespace {

// Touched by the handler: nothing but these, and _exit.
volatile std::sig_atomic_t is_writing = 0;
volatile std::sig_atomic_t is_interrupted = 0;

extern "C" void on_interrupt(int) {
  if (is_writing == 0) ::_exit(kInterrupted);
  is_interrupted = 1;
}

}  // namespace

void throw_if_interrupted() {
  io::throw_if_pages_were_lost();  // before the file that is being written gets its name
  if (is_interrupted != 0)
    throw Error(Code::Cancelled, {}, "interrupted", {}, {}, "the old output, if there is one, is untouched");
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    // nohup and shells that start jobs in the background ignore signals on purpose.
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      ::sigaction(signal, &action, nullptr);
  }
  io::outlive_lost_pages();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

WritingSection::WritingSection() { is_writing = 1; }

WritingSection::~WritingSection() { is_writing = 0; }

Snapshot interruptible(Snapshot snapshot) {
  for (SnapshotTensor& tensor : snapshot.tensors)
    tensor.load = [load = std::move(tensor.load)] {
      throw_if_interrupted();
      return load();
    };
  return snapshot;
}

}  // namespace tenon::cli
