// publish: gives finished files their names, the last one last, so that readers of the last see a whole checkpoint at
// any moment.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tenon/error.hpp>
#include <tenon/save.hpp>

#include "io/atomic_file.hpp"
#include "io/fs.hpp"

namespace tenon::saving {

/// Another save gave a file one of the names meanwhile.
struct NamesTaken : Error {
  explicit NamesTaken(const Error& error) : Error(error) {}
};

/// Publishes `files`, all finished, of a save to `path`. Several: shards and their index, the index last, under a
/// journal and a lock on their folder; then the shards of `path` that only the replaced index named are removed, and
/// nothing else that it named. `check` is called until the index, or the only file, gets its name. Throws Error: Write,
/// Exists, NamesTaken; nothing of this save stands then, unless the message says so.
void publish(io::Fs& fs, const std::string& path, const std::vector<std::unique_ptr<io::AtomicFile>>& files,
             Durability durability, const io::Check& check);

}  // namespace tenon::saving
