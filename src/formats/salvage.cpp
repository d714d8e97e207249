// What --salvage means for bytes: what is listed is whole.
#include <unordered_map>

#include "formats/open.hpp"

namespace tenon::formats {

namespace {

/// Why the storage is of no use; "" where its bytes are as they were saved.
std::string damage_of(const CheckpointCore& core, std::uint32_t storage) {
  try {
    static_cast<void>(core.bytes_of(storage));
    return {};
  } catch (const Error& error) {
    if (error.code != Code::Corrupt) throw;
    return error.what();
  }
}

}  // namespace

void leave_out_damaged(CheckpointCore& core) {
  std::unordered_map<std::uint32_t, std::string> damage;  // by storage
  std::erase_if(core.tensors, [&](const TensorInfo& tensor) {
    if (tensor.storage == kNoStorage) return false;
    const auto [known, is_new] = damage.try_emplace(tensor.storage);
    if (is_new) known->second = damage_of(core, tensor.storage);
    if (known->second.empty()) return false;
    --core.containers[tensor.container].tensor_count;
    core.warnings.push_back("left out: " + tensor.name + ": " + known->second);
    return true;
  });
}

}  // namespace tenon::formats
