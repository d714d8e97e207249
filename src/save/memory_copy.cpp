#include "save/memory_copy.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <tenon/tensor.hpp>

namespace tenon::saving {

namespace {

/// Copies begin at multiples of this, as the tensors of frameworks do.
constexpr std::uint64_t kAlignment = 64;

class Copier {
 public:
  Copier(io::Arena& arena, const Snapshot& snapshot) : snapshot_(snapshot) {
    for (const SnapshotTensor& tensor : snapshot.tensors)
      if (tensor.storage) ++users_[*tensor.storage];
    for (const SnapshotTensor& tensor : snapshot.tensors) places_.push_back(place(tensor));
    bytes_ = arena.take(end_);
  }

  Snapshot run() {
    Snapshot copied = snapshot_;
    for (std::size_t i = 0; i < copied.tensors.size(); ++i) {
      SnapshotTensor& tensor = copied.tensors[i];
      if (places_[i].kind == Kind::None) continue;
      tensor.load = [tensor = places_[i].kind == Kind::Shared ? shared(i) : dense(i)] { return tensor; };
    }
    return copied;
  }

 private:
  enum class Kind : std::uint8_t {
    None,    ///< nothing to copy: a placeholder, or text
    Dense,   ///< its elements
    Shared,  ///< a view of a copied storage
  };
  struct Place {
    Kind kind = Kind::None;
    std::uint64_t begin = 0;
  };
  struct Shared {
    std::span<const std::byte> original;
    std::uint64_t begin = 0;
    bool is_copied = false;
  };

  std::uint64_t room(std::uint64_t count) {
    return std::exchange(end_, end_ + (count + kAlignment - 1) / kAlignment * kAlignment);
  }

  Place place(const SnapshotTensor& tensor) {
    if (tensor.placeholder || dtype_kind(tensor.dtype) == DTypeKind::Text) return {};
    if (tensor.storage && users_[*tensor.storage] > 1) {
      const Tensor loaded = tensor.load();
      const auto [known, is_first] = shared_.try_emplace(*tensor.storage, Shared{loaded.storage, end_, false});
      if (is_first) room(loaded.storage.size());
      const std::span<const std::byte> original = known->second.original;
      if (original.data() == loaded.storage.data() && original.size() == loaded.storage.size())
        return {Kind::Shared, known->second.begin};
    }
    return {Kind::Dense, room(byte_size(tensor.shape, tensor.dtype))};
  }

  std::span<std::byte> at(std::uint64_t begin, std::uint64_t count) {
    return bytes_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
  }

  Tensor shared(std::size_t index) {
    Tensor tensor = snapshot_.tensors[index].load();
    Shared& storage = shared_.at(*snapshot_.tensors[index].storage);
    const auto copy = at(storage.begin, storage.original.size());
    if (!std::exchange(storage.is_copied, true)) std::copy(tensor.storage.begin(), tensor.storage.end(), copy.begin());
    tensor.storage = copy;
    tensor.owner.reset();
    return tensor;
  }

  Tensor dense(std::size_t index) {
    const SnapshotTensor& row = snapshot_.tensors[index];
    Tensor tensor;
    tensor.dtype = row.dtype;
    tensor.shape = row.shape;
    tensor.stride = dense_stride(row.shape);
    const auto copy = at(places_[index].begin, byte_size(row.shape, row.dtype));
    copy_dense(row.load(), copy);
    tensor.storage = copy;
    return tensor;
  }

  const Snapshot& snapshot_;
  std::map<std::uint64_t, std::uint64_t> users_;
  std::map<std::uint64_t, Shared> shared_;
  std::vector<Place> places_;
  std::uint64_t end_ = 0;
  std::span<std::byte> bytes_;
};

}  // namespace

Snapshot copied_into(io::Arena& arena, const Snapshot& snapshot) { return Copier(arena, snapshot).run(); }

}  // namespace tenon::saving
