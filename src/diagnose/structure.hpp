// Structure of lists of names: templates, subtrees, index tails, and the one edit that turns one list into another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "diagnose/open_rows.hpp"

namespace tenon::diagnosis {

/// `layers.#.conv.weight` of `layers.12.conv.weight`: every run of digits is one `#`.
std::string template_of(std::string_view name);

/// The deepest module that holds all names; "" when there is none.
std::string_view common_module(const std::vector<OpenName>& rows);

/// Distinct first levels, in order of appearance, at most `most`.
std::vector<std::string> first_levels(const std::vector<OpenName>& rows, std::size_t most = 16);

/// Blocks that are there from index `first` on, and none before: `layers.6.`, `layers.7.`, ... of a deeper model.
struct IndexTail {
  std::string stem;  ///< `encoder.layers.`
  std::int64_t first = 0, last = 0;
  std::vector<OpenName> rows;
  bool is_outermost = true;  ///< no index stands before it in its names
};
/// The tail with most rows, if it has two rows or more.
std::optional<IndexTail> index_tail(const std::vector<OpenName>& rows);

/// Levels `from` of the checkpoint's names stand where the model has `to`; either may be empty.
struct LevelEdit {
  std::string from, to;
  bool at_front = false;                      ///< nothing stands before it
  std::vector<OpenName> missing, unexpected;  ///< names that it explains: the model's and the checkpoint's
  bool by_template = false;                   ///< indices were let out of account: the lists are cut
};
/// The edit of up to three neighbouring levels that pairs the most names; nothing when no two names pair. O(names x
/// levels).
std::optional<LevelEdit> best_edit(const std::vector<OpenName>& missing, const std::vector<OpenName>& unexpected);

/// Levels that wrappers and trainers put around a whole network: `module`, `_orig_mod`, `base_model.model`.
bool is_wrapper_level(std::string_view levels);

/// One of the levels is a wrapper's.
bool has_wrapper_level(std::string_view levels);

/// Called as the first layers of networks are (`conv1.`, `patch_embed`): what stands before is then a whole network's.
bool begins_network(std::string_view rest);

/// Only numbers differ, one for one: a layer more in a sequence shows the same, and no name tells which.
bool is_index_edit(const LevelEdit& edit);

/// A number came or went, and nothing else: the same layers are counted in groups, or no longer (`blocks.0.0`,
/// `blocks.0`).
bool is_regrouping(const LevelEdit& edit);

/// Every tensor is of a normalisation, by its module's name or by the statistics beside it (`conv1.1.running_mean`).
bool are_normalisations(const std::vector<OpenName>& rows);

/// Most of the unexpected layers are called as missing ones are, by three names or more, and stand under other paths:
/// then other names are likelier than another network.
bool are_kindred(const OpenRows& rows);

/// All rows are of one part within the blocks of a network: `layers.#.mamba.`, which was put into them.
bool are_within_blocks(const std::vector<OpenName>& rows);

/// All names begin with one word of several (`template_embedder.`, `template_stack.`): one branch of a network.
bool are_of_one_word(const std::vector<OpenName>& rows);

/// Blocks in two stages or more, in each of them from a later index on (`dark2.1.m.1`, `dark3.1.m.3`); the rows that
/// are in such blocks, or none where a stage lacks its first block, too.
std::vector<OpenName> deeper_stages(const std::vector<OpenName>& rows);

/// How alike two level names are, 0..1: shared letters in order.
double likeness(std::string_view a, std::string_view b);

/// Every name ends in one of two leaves at most, in three modules or more: `dwconv.bias` in every block.
std::optional<std::string> shared_leaf(const std::vector<OpenName>& rows);

}  // namespace tenon::diagnosis
