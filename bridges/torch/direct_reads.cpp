#include "torch/direct_reads.hpp"

#include <algorithm>
#include <functional>
#include <span>

#include <tenon/error.hpp>

#include "torch/dtypes.hpp"
#include "torch/workers.hpp"

namespace tenon::torch_bridge {

namespace {

bool is_dense_on_cpu(const ::torch::Tensor& live) {
  return live.is_cpu() && live.is_contiguous() && !live.is_conj() && !live.is_neg() && live.numel() > 0;
}

std::span<std::byte> memory_of(const ::torch::Tensor& live) {
  return {static_cast<std::byte*>(live.data_ptr()), live.nbytes()};
}

/// For each tensor, whether it is dense on the CPU and apart from all others that are. One that is not dense may be a
/// view into anything, so beside such a one none is apart.
std::vector<bool> which_stand_apart(const std::vector<NamedTensor>& live) {
  std::vector<bool> apart(live.size(), false);
  std::vector<std::size_t> by_place;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (is_dense_on_cpu(live[i].tensor))
      by_place.push_back(i);
    else if (live[i].tensor.is_cpu() && live[i].tensor.numel() > 0)
      return apart;
  }
  const auto begin = [&](std::size_t i) { return memory_of(live[i].tensor).data(); };
  std::sort(by_place.begin(), by_place.end(), [&](auto a, auto b) { return std::less<>{}(begin(a), begin(b)); });
  const std::byte* end = nullptr;  // of all tensors before
  for (std::size_t n = 0; n < by_place.size(); ++n) {
    const auto memory = memory_of(live[by_place[n]].tensor);
    apart[by_place[n]] = n == 0 || !std::less<>{}(memory.data(), end);
    if (!apart[by_place[n]]) apart[by_place[n - 1]] = false;
    end = std::max<const std::byte*>(end, memory.data() + memory.size(), std::less<>{});
  }
  return apart;
}

}  // namespace

DirectReads::DirectReads(std::vector<Pair>& pairs, const Listing& checkpoint, const std::vector<NamedTensor>& live)
    : checkpoint_(checkpoint) {
  const std::vector<bool> apart = which_stand_apart(live);
  std::erase_if(pairs, [&](const Pair& pair) {
    const ::torch::Tensor& target = live[pair.wanted].tensor;
    if (!apart[pair.wanted] || pair.planned.recipe || !checkpoint.values) return false;
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
    throw Error(error.code, error.where, error.what_happened + "; the module is loaded in part", error.expected,
                error.found, "load a whole checkpoint before the module is used; Checking::First changes nothing then");
  }
}

}  // namespace tenon::torch_bridge
