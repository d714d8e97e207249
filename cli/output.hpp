// What convert and adapt share: which format an output gets, and writing it so that an interrupt leaves nothing behind.
#pragma once

#include <string>

#include <tenon/save.hpp>
#include <tenon/snapshot.hpp>

namespace tenon::cli {

/// The format that `asked` names, else the one of the suffix. Throws Error Invalid where neither tells one that tenon
/// writes.
Format output_format(const std::string& out, const std::string& asked);

enum class Writing { ToDisk, Rehearse };

/// Saves, or rehearses the save. Throws what save() throws, and Error Cancelled after an interrupt.
SaveReport write_output(Snapshot snapshot, const std::string& out, const SaveOptions& options, Writing writing);

}  // namespace tenon::cli
