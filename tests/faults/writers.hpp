// Writers under test: tenon's own, and bad ones that make the mistakes of real programs. A sweep that lets one of the
// bad ones pass proves nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "faults/model_fs.hpp"
#include "io/fs.hpp"

namespace tenon::test {

/// A checkpoint of several files, whole or absent. Each version has bytes of its own in every file.
struct Version {
  char mark = 'a';
};

/// Saves a version into the folder `d`. Returns when the save is acknowledged; throws when it failed.
struct Writer {
  std::string name;
  std::function<void(io::Fs& fs, const Version& version)> save;
  /// The version that a reader finds: '-' when nothing is there, '?' for what is no whole version.
  std::function<char(ModelFs& fs)> read;
  /// Files that no reader of the checkpoint opens.
  std::function<std::vector<std::string>(ModelFs& fs)> left_behind;
};

/// tenon: one file of `bytes`, in either format; or shards and an index.
Writer single_writer(std::size_t bytes, bool as_torch_zip);
Writer sharded_writer(std::size_t shards, std::size_t bytes_each);

/// What the sweeps must catch. `raw` gives access to what Fs has no call for.
std::vector<Writer> bad_writers();

}  // namespace tenon::test
