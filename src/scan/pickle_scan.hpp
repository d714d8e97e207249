// The scan of pickle streams: every opcode on a full machine, every class and function judged when it is pushed, what
// follows STOP looked at as well.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "container/pickle_reader.hpp"
#include "scan/collector.hpp"
#include "scan/judge.hpp"

namespace tenon::scanning {

/// Who loads the pickle, and so what its persistent ids must be.
enum class PersistentIds : std::uint8_t { Unknown, Storages, StoragesAndModules, Numbers };

/// Bytes of the record of that storage; nothing when the archive has none.
using StorageBytes = std::function<std::optional<std::uint64_t>(std::string_view key)>;

struct PickleSetting {
  PersistentIds ids = PersistentIds::Unknown;
  Home home = Home::Pickle;
  StorageBytes storage_bytes = {};  ///< empty: the records are not known
};

/// How sure it is that a pickle starts here.
enum class Start : std::uint8_t {
  Certain,  ///< the place or the first bytes say so: an error is damage
  Likely,   ///< text may be a pickle of protocol 0: an error counts when something was called before it
  Stray,    ///< any bytes: only what ends well and names something, or names something dangerous, counts
};

/// Reads one pickle and judges it. Nothing when none starts there. Never throws.
std::optional<container::PickleAttempt> scan_one_pickle(const Part& part, Start start, const PickleSetting& setting,
                                                        Collector& out);

/// Reads pickle after pickle, and then searches what is left. False when none starts at the first byte.
bool scan_pickles(const Part& part, Start start, const PickleSetting& setting, Collector& out);

/// Searches bytes that nothing explains for places where a pickle may start.
void scan_strays(const Part& part, Collector& out);

/// For bytes that another format explains: a loader of pickles does not ask for that format's mark and begins at byte
/// 0, where a mark may read as opcodes. Tells whether it reaches a name there.
bool scan_head(const Part& part, Collector& out);

/// The first byte and its neighbour are those of a pickle of protocol 2 or newer.
bool begins_like_pickle(std::string_view bytes);

}  // namespace tenon::scanning
