// A test's folder in memory where the machine has such a place: for tests that save thousands of times and ask nothing
// about power cuts, which need a disk.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "support/folder.hpp"

namespace tenon::test {

class MemoryFolder : public TemporaryFolder {
 protected:
  void SetUp() override {
    constexpr const char* kInMemory = "/dev/shm";
    if (::access(kInMemory, W_OK) == 0) ::setenv("TMPDIR", kInMemory, 0);
    TemporaryFolder::SetUp();
  }
};

}  // namespace tenon::test
