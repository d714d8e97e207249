// What convert and adapt share: which format an output gets, and writing it so that an interrupt leaves nothing behind.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include <tenon/save.hpp>
#include <tenon/snapshot.hpp>

#include "session.hpp"

namespace tenon::cli {

/// The format that `asked` names, else the one of the suffix. Throws Error Invalid where neither tells one that tenon
/// writes.
Format output_format(const std::string& out, const std::string& asked);

/// `--max-shard-size 5GB`: sizes in powers of 1000, as KB, MB, GB.
void add_shard_size(CLI::App* command, std::uint64_t& bytes);

/// `--no-digests`.
void add_no_digests(CLI::App* command, bool& no_digests);

enum class Writing { ToDisk, Rehearse };

/// Saves, telling how far it is, or rehearses the save. Throws what save() throws, and Error Cancelled after an
/// interrupt.
SaveReport write_output(Snapshot snapshot, const std::string& out, SaveOptions options, Writing writing,
                        const Session& session);

}  // namespace tenon::cli
