#include "torch/direct_reads.hpp"

#include <algorithm>
#include <functional>

#include <tenon/error.hpp>

#include "torch/dtypes.hpp"
#include "torch/tensors.hpp"
#include "torch/workers.hpp"

namespace tenon::torch_bridge {

namespace {

/// For each tensor, whether it is on the CPU and no other one reaches into the memory between its first element and its
/// last.
std::vector<bool> which_stand_apart(const std::vector<NamedTensor>& live) {
  std::vector<bool> apart(live.size(), false);
  std::vector<std::size_t> by_place;
  for (std::size_t i = 0; i < live.size(); ++i)
    if (live[i].tensor.is_cpu() && live[i].tensor.numel() > 0) by_place.push_back(i);
  const auto begin = [&](std::size_t i) { return memory_of(live[i].tensor).data(); };
  std::sort(by_place.begin(), by_place.end(), [&](auto a, auto b) { return std::less<>{}(begin(a), begin(b)); });
  const std::byte* end = nullptr;  // of all tensors before, and whose it is
  std::size_t reaches_there = 0;
  for (const std::size_t i : by_place) {
    const auto memory = memory_of(live[i].tensor);
    apart[i] = end == nullptr || !std::less<>{}(memory.data(), end);
    if (!apart[i]) apart[reaches_there] = false;
    const std::byte* const own_end = memory.data() + memory.size();
    if (end != nullptr && !std::less<>{}(end, own_end)) continue;
    end = own_end;
    reaches_there = i;
  }
  return apart;
}

}  // namespace

DirectReads::DirectReads(std::vector<Pair>& pairs, const Listing& checkpoint, const std::vector<NamedTensor>& live)
    : checkpoint_(checkpoint) {
  const std::vector<bool> apart = which_stand_apart(live);
  std::erase_if(pairs, [&](const Pair& pair) {
    const ::torch::Tensor& target = live[pair.wanted].tensor;
    if (!apart[pair.wanted] || !is_dense_on_cpu(target) || pair.planned.recipe || !checkpoint.values) return false;
    const auto stored = checkpoint.values->find(checkpoint.value_names[pair.planned.source]);
    if (!stored || scalar_type_of(checkpoint.values->tensors()[*stored].dtype) != target.scalar_type()) return false;
    reads_.push_back({*stored, target});
    return true;
  });
  std::sort(reads_.begin(), reads_.end(),
            [](const Read& a, const Read& b) { return a.live.nbytes() > b.live.nbytes(); });
}

void DirectReads::run() const {
  try {
    for_each_in_parallel(reads_.size(), [&](std::size_t i) {
      reads_[i].live.unsafeGetTensorImpl()->bump_version();  // as copy_ does
      checkpoint_.values->read(reads_[i].stored, memory_of(reads_[i].live));
    });
  } catch (const Error& error) {
    Error in_part(error.code, error.where, error.what_happened + "; the module is loaded in part", error.expected,
                  error.found,
                  "load a whole checkpoint before the module is used; Checking::First changes nothing then");
    in_part.limit = error.limit;
    throw in_part;
  }
}

}  // namespace tenon::torch_bridge
