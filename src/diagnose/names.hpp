// Names of tensors taken apart: modules, leaves, the words that tell what a part of a network is for.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::diagnosis {

/// `layer1.0.conv1` of `layer1.0.conv1.weight`; empty for a name without dots.
std::string_view module_of(std::string_view name);

/// `weight` of `layer1.0.conv1.weight`.
std::string_view leaf_of(std::string_view name);

/// `layer1` of `layer1.0.conv1.weight`; the name itself when it has no dots.
std::string_view first_level(std::string_view name);

/// BatchNorm's counter: files from before PyTorch 0.4.1 lack it, and a load of them does not report it missing.
bool is_batch_counter(std::string_view name);

/// A part of the path is called like a task head: `fc`, `classifier`, `cls_score`, `yolo_head3`, ...
bool is_called_head(std::string_view path);

/// A part of the path is called like a table of tokens, symbols or classes: `embed_tokens`, `wte`, ...
bool is_called_embedding(std::string_view path);

/// Called like a second copy of the weights: an average, a teacher, a momentum encoder.
bool is_called_copy(std::string_view path);

/// Called like a copy that is kept to be used: an average, a teacher, the best so far. Evaluations often take it and
/// not the raw weights; a momentum encoder's keys, a target network are for training alone.
bool is_called_kept_copy(std::string_view path);

/// Called like the state of an optimizer, a scheduler or a scaler.
bool is_called_optimizer(std::string_view path);

/// A name that training loops give to the state dict inside what they save; `path` may have several levels.
bool is_called_container(std::string_view path);

/// A name that training loops give to what they save beside the state dict: `epoch`, `optimizer`, `best_acc`, ...
bool is_called_bookkeeping(std::string_view name);

}  // namespace tenon::diagnosis
