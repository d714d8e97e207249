#include "formats/core.hpp"

#include <algorithm>
#include <numeric>

#include "base/checked.hpp"
#include "base/digest.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "container/inflate.hpp"
#include "container/zip_reader.hpp"

namespace tenon::formats {

namespace {

constexpr const char* kDamaged =
    "the file is damaged: fetch or save it again; --salvage reads the other tensors. "
    "Where another program rewrote it and kept the old digests, --no-check reads it";

[[noreturn]] void refuse(const CheckpointCore& core, const TensorInfo& tensor, std::string what, std::string expected,
                         std::string found) {
  const std::string member = tensor.storage == kNoStorage ? std::string() : core.storages[tensor.storage].member;
  throw Error(Code::Corrupt, {core.file, member, tensor.name, {}}, std::move(what), std::move(expected),
              std::move(found), "the file is damaged or forged: fetch or save it again");
}

/// Offset of the byte behind the last element, or nothing when that passes 2^64.
std::optional<std::uint64_t> end_of_view(const TensorInfo& tensor) {
  if (is_block_dtype(tensor.dtype))  // dense always
    return base::checked_add(tensor.offset_bytes, byte_size(tensor.shape, tensor.dtype));
  std::uint64_t last = 0;  // element
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    const auto steps = base::checked_multiply(static_cast<std::uint64_t>(tensor.shape[axis] - 1),
                                              static_cast<std::uint64_t>(tensor.stride[axis]));
    const auto sum = steps ? base::checked_add(last, *steps) : std::nullopt;
    if (!sum) return std::nullopt;
    last = *sum;
  }
  const auto bits = base::checked_multiply(last + 1, static_cast<std::uint64_t>(dtype_bits(tensor.dtype)));
  if (last == ~std::uint64_t{0} || !bits) return std::nullopt;
  return base::checked_add(tensor.offset_bytes, *bits / 8 + (*bits % 8 != 0 ? 1 : 0));
}

}  // namespace

HeldBytes CheckpointCore::derived(std::uint32_t index) const {
  const StorageBytes& place = storage_bytes[index];
  std::span<const std::byte> stored;
  if (place.packed_bytes > 0) {
    files[place.file]->require_unchanged();
    stored = files[place.file]->bytes().subspan(place.offset, place.packed_bytes);
  }
  const auto bytes = std::make_shared<const std::vector<std::byte>>(place.made->derive(stored));
  TENON_ASSERT(bytes->size() == storages[index].nbytes);
  return {*bytes, bytes};
}

HeldBytes CheckpointCore::bytes_of(std::uint32_t index) const {
  TENON_ASSERT(index < storages.size() && storage_bytes.size() == storages.size());
  const StorageInfo& storage = storages[index];
  const StorageBytes& place = storage_bytes[index];
  if (place.kind == StorageBytes::Kind::Owned) return {place.made->bytes, {}};
  if (place.kind == StorageBytes::Kind::Derived) return derived(index);
  files[place.file]->require_unchanged();
  const std::span<const std::byte> archive = files[place.file]->bytes();
  if (!place.offset_is_of_zip_header && !place.crc32 && !place.digests.of && place.kind == StorageBytes::Kind::Mapped)
    return {archive.subspan(place.offset, storage.nbytes), {}};

  if (const auto view = known(index)) return {*view, {}};
  // Outside the lock, so that two threads look at two storages at once; where both want the same one, the first wins.
  Unpacked fresh = unpack(index);
  const std::lock_guard lock(mutex_);
  if (place.kind == StorageBytes::Kind::Deflated)
    return {inflated_.try_emplace(index, std::move(fresh.bytes)).first->second, {}};
  checked_.resize(storages.size());
  checked_[index] = fresh.view.data();
  return {fresh.view, {}};
}

/// The bytes of a storage that was looked at before.
std::optional<std::span<const std::byte>> CheckpointCore::known(std::uint32_t index) const {
  const std::lock_guard lock(mutex_);
  if (storage_bytes[index].kind == StorageBytes::Kind::Deflated) {
    const auto found = inflated_.find(index);
    return found == inflated_.end() ? std::nullopt : std::optional<std::span<const std::byte>>(found->second);
  }
  if (checked_.empty() || checked_[index] == nullptr) return std::nullopt;
  return std::span(checked_[index], storages[index].nbytes);
}

ByteRange CheckpointCore::place_in_file(std::uint32_t index) const {
  const StorageInfo& storage = storages[index];
  const StorageBytes& place = storage_bytes[index];
  const std::uint64_t count = place.kind == StorageBytes::Kind::Mapped ? storage.nbytes : place.packed_bytes;
  if (!place.offset_is_of_zip_header) return {place.offset, count};
  const auto archive = files[place.file]->bytes();
  return {container::zip_data_offset(archive, place.offset, count, storage.member, where_is(index)), count};
}

Where CheckpointCore::where_is(std::uint32_t index) const {
  return {files[storage_bytes[index].file]->path(), storages[index].member, {}, {}};
}

CheckpointCore::Unpacked CheckpointCore::unpack(std::uint32_t index) const {
  const StorageBytes& place = storage_bytes[index];
  const auto [offset, count] = place_in_file(index);
  const std::span<const std::byte> stored = files[place.file]->bytes().subspan(offset, count);
  Unpacked result;
  result.view = stored;
  if (place.kind == StorageBytes::Kind::Deflated) {
    result.bytes = container::inflate(stored, storages[index].nbytes, where_is(index), limits);
    result.view = result.bytes;
  }
  if (bytes_check == Check::Yes) check_bytes(index, stored, result.view);
  return result;
}

bool CheckpointCore::has_digests(const StorageBytes& place) const {
  return place.digests.of && place.digests.of->problem().empty();
}

void CheckpointCore::check_bytes(std::uint32_t index, std::span<const std::byte> stored,
                                 std::span<const std::byte> unpacked) const {
  const StorageBytes& place = storage_bytes[index];
  if (has_digests(place)) {
    const auto& [sums, row] = place.digests;
    const auto damaged = sums->damaged_block(row, stored);
    if (!damaged) return;
    const auto block = digest_block(stored, *damaged, sums->block_bytes());
    const auto begin = static_cast<std::uint64_t>(block.data() - files[place.file]->bytes().data());
    refuse_block(index, *damaged, {begin, block.size()});
  }
  if (place.crc32) check_crc32(index, base::crc32(unpacked));
}

void CheckpointCore::read(std::uint32_t index, std::span<std::byte> out) const {
  constexpr std::uint64_t kPiece = 256U << 10U;  // stays in the second-level cache until it is checked
  const StorageBytes& place = storage_bytes[index];
  TENON_ASSERT(out.size() == storages[index].nbytes);
  if (place.kind != StorageBytes::Kind::Mapped || known(index)) {
    const HeldBytes held = bytes_of(index);
    std::copy(held.view.begin(), held.view.end(), out.begin());
    return;
  }
  const io::MappedFile& from = *files[place.file];
  from.require_unchanged();
  const std::uint64_t begin = place_in_file(index).offset;
  const bool by_blocks = bytes_check == Check::Yes && has_digests(place);
  const bool by_checksum = bytes_check == Check::Yes && !by_blocks && place.crc32;
  const auto& [sums, row] = place.digests;
  const std::uint64_t step = by_blocks ? sums->block_bytes() : kPiece;
  std::uint32_t checksum = 0;
  for (std::uint64_t at = 0; at == 0 || at < out.size(); at += step) {
    const std::span<std::byte> piece = out.subspan(at, std::min(step, out.size() - at));
    from.read(begin + at, piece);
    if (by_blocks && !sums->block_matches(row, at / step, piece))
      refuse_block(index, at / step, {begin + at, piece.size()});
    if (by_checksum) checksum = base::crc32(piece, checksum);
  }
  if (by_checksum) check_crc32(index, checksum);
}

void CheckpointCore::refuse_block(std::uint32_t index, std::uint64_t block, ByteRange place) const {
  const auto& [sums, row] = storage_bytes[index].digests;
  Where where = where_is(index);
  where.byte = place.offset;
  throw Error(Code::Corrupt, std::move(where), damage_text(block, sums->blocks(row), place), {}, {}, kDamaged);
}

void CheckpointCore::check_crc32(std::uint32_t index, std::uint32_t found) const {
  const std::uint32_t expected = *storage_bytes[index].crc32;
  if (found != expected)
    throw Error(Code::Corrupt, where_is(index), "the checksum of a storage is wrong", base::hex(expected),
                base::hex(found), kDamaged);
}

void CheckpointCore::add_digests(std::shared_ptr<const FileDigests> of_a_file) {
  if (!of_a_file->problem().empty()) warnings.push_back(of_a_file->problem());
  digests.push_back(std::move(of_a_file));
}

std::optional<std::size_t> CheckpointCore::find(std::string_view name) const {
  std::call_once(sorted_, [this] {
    by_name_.resize(tensors.size());
    std::iota(by_name_.begin(), by_name_.end(), 0U);
    std::stable_sort(by_name_.begin(), by_name_.end(),
                     [this](auto a, auto b) { return tensors[a].name < tensors[b].name; });
  });
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](std::uint32_t i, std::string_view wanted) { return tensors[i].name < wanted; });
  if (found == by_name_.end() || tensors[*found].name != name) return std::nullopt;
  return *found;
}

void CheckpointCore::check(const TensorInfo& tensor) const {
  if (tensor.shape.size() > limits.tensor_rank)
    throw base::limit_error({file, {}, tensor.name, {}}, "the tensor has too many dimensions",
                            {&Limits::tensor_rank, limits}, std::to_string(tensor.shape.size()));
  if (tensor.shape.size() != tensor.stride.size())
    refuse(*this, tensor, "shape and stride of the tensor differ in length",
           base::plural(tensor.shape.size(), "stride"), base::plural(tensor.stride.size(), "stride"));
  const auto negative = [](std::int64_t n) { return n < 0; };
  if (std::any_of(tensor.shape.begin(), tensor.shape.end(), negative))
    refuse(*this, tensor, "an extent of the tensor is negative", "0 or more", base::shape_text(tensor.shape));
  if (std::any_of(tensor.stride.begin(), tensor.stride.end(), negative))
    refuse(*this, tensor, "a stride of the tensor is negative", "0 or more", base::shape_text(tensor.stride));
  try {
    (void)byte_size(tensor.shape, tensor.dtype);
  } catch (const Error& error) {  // names the shape; the tensor is named here
    refuse(*this, tensor, error.what_happened, error.expected,
           error.found.empty() ? base::shape_text(tensor.shape) : error.found);
  }
  const bool is_empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  if (is_empty || tensor.storage == kNoStorage) return;
  const std::uint64_t storage_bytes_there = storages[tensor.storage].nbytes;
  const auto end = end_of_view(tensor);
  if (!end || *end > storage_bytes_there)
    refuse(*this, tensor, "the tensor reaches past its storage", "at most byte " + std::to_string(storage_bytes_there),
           end ? "byte " + std::to_string(*end) : "more than 2^64 bytes");
}

}  // namespace tenon::formats
