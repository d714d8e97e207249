// What every writer gives to the durable save: a layout that knows its exact size and how to produce its bytes in
// order. Everything that can be refused is refused while laying out, before a temporary file exists.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tenon/save.hpp>
#include <tenon/snapshot.hpp>

#include "base/sink.hpp"
#include "formats/digests.hpp"

namespace tenon::formats {

using base::Sink;

struct WriteRequest {
  const Snapshot& snapshot;  ///< must outlive the layout
  std::string file;          ///< the output, for messages and for the root name of archives
  Objects objects = Objects::Keep;
  Digests digests = Digests::Write;
};

struct Layout {
  std::uint64_t file_bytes = 0;
  std::vector<std::string> notes;          ///< what changes form on the way
  std::function<void(const Sink&)> write;  ///< calls the sink with exactly file_bytes bytes
  std::optional<DigestPlaces> digests;     ///< zero bytes stand there until the digests are known
};

/// Passes the dense bytes of a snapshot's tensor to the sink. Throws Bug when `load` gives another type or shape than
/// announced.
void write_tensor(const SnapshotTensor& tensor, const Sink& sink);

/// Throws Error Refused that lists what the format cannot hold; returns when the list is empty.
void refuse_if_any(const std::string& file, const std::vector<std::string>& refused, std::string what,
                   std::string next);

/// What to do about tensors whose types a format cannot hold: `otherwise`, or the way out for ggml's blocks.
std::string next_for_types(const Snapshot& snapshot, std::string otherwise);

/// The `_metadata` of a state dict: versions of its modules, an attribute of the dict and no entry. Loading needs it
/// for files of PyTorch before 0.4.1 only, so writers leave it out silently.
bool is_state_dict_metadata(const Object& object);

/// Objects that a format without room for them leaves out, as `name (type)`.
/// Throws Error Refused when there are any and Objects::Keep was asked for; otherwise returns a note, or "" for none.
std::string leave_out_objects(const WriteRequest& request, const std::vector<std::string>& names,
                              std::string_view format);

/// Every object that is no `_metadata`, as `name (type)`: what formats of tensors alone cannot hold.
std::vector<std::string> objects_to_leave_out(const Snapshot& snapshot);

/// A note on tensors that share storage and are written out one by one; "" when none do.
std::string sharing_note(const Snapshot& snapshot, std::string_view format);

/// Keys of nested dicts are joined with ".", so `{"a": {"b": ..}, "a.b": ..}` gives one name twice.
std::vector<std::string> names_that_stand_twice(const Snapshot& snapshot);

}  // namespace tenon::formats
