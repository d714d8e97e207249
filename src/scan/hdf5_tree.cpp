#include "scan/hdf5_tree.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_set>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"

namespace tenon::scanning {

namespace {

/// A read that leaves the file: the block is damaged, or was none.
struct Outside {};

enum MessageType : std::uint64_t {
  kLink = 0x06,
  kExternalFiles = 0x07,
  kLayout = 0x08,
  kAttribute = 0x0C,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
};

/// Jenkins's lookup3, which HDF5 writes behind its metadata. Source: Bob Jenkins, lookup3.c, hashlittle().
std::uint32_t lookup3(std::string_view bytes) {
  std::uint32_t a = 0xdeadbeef + static_cast<std::uint32_t>(bytes.size()), b = a, c = a;
  const auto word = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4 && at + i < bytes.size(); ++i)
      value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    return value;
  };
  const auto mix = [](std::uint32_t& x, std::uint32_t& y, std::uint32_t& z, int by) {
    x = (x - z) ^ std::rotl(z, by);
    z += y;
  };
  std::size_t at = 0;
  for (; bytes.size() - at > 12; at += 12) {
    a += word(at), b += word(at + 4), c += word(at + 8);
    mix(a, b, c, 4), mix(b, c, a, 6), mix(c, a, b, 8), mix(a, b, c, 16), mix(b, c, a, 19), mix(c, a, b, 4);
  }
  if (at == bytes.size()) return c;
  a += word(at), b += word(at + 4), c += word(at + 8);
  const auto end = [](std::uint32_t& x, std::uint32_t y, int by) { x = (x ^ y) - std::rotl(y, by); };
  end(c, b, 14), end(a, c, 11), end(b, a, 25), end(c, b, 16), end(a, c, 4), end(b, a, 14), end(c, b, 24);
  return c;
}

/// Bytes with HDF5's widths of offsets and lengths.
class Bytes {
 public:
  explicit Bytes(std::string_view text) : text_(text) {}

  std::uint64_t size() const { return text_.size(); }

  std::string_view text(std::uint64_t at, std::uint64_t count) const {
    if (at > text_.size() || count > text_.size() - at) throw Outside{};
    return text_.substr(at, count);
  }
  std::uint64_t number(std::uint64_t at, std::uint64_t width) const {
    const std::string_view raw = text(at, width);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < raw.size() && i < 8; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(raw[i])} << (8 * i);
    return value;
  }
  /// Up to the next NUL, which must be there.
  std::string_view name(std::uint64_t at) const {
    constexpr std::uint64_t kLongest = 4096;
    const std::uint64_t left = text_.size() - std::min<std::uint64_t>(at, text_.size());
    const std::string_view rest = text(at, std::min(left, kLongest));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) throw Outside{};
    return rest.substr(0, end);
  }
  bool starts(std::uint64_t at, std::string_view magic) const {
    return at <= text_.size() && text_.substr(at).starts_with(magic);
  }
  std::size_t find(std::string_view what, std::size_t from) const { return text_.find(what, from); }

 private:
  std::string_view text_;
};

struct Message {
  std::uint64_t type = 0, at = 0, bytes = 0;
};

class Walk {
 public:
  Walk(const Part& part, std::uint64_t begin, const Hdf5Sights& sights)
      : in_(base::as_text(part.bytes)),
        begin_(begin),
        sights_(sights),
        left_(4 * part.bytes.size()),
        heap_steps_(8 * part.bytes.size()) {}

  Hdf5Walk run() {
    try {
      read_superblock();
    } catch (const Outside&) {
      ++result_.broken;
    }
    find_signatures();
    while (!waiting_.empty()) {
      const std::uint64_t at = waiting_.back();
      waiting_.pop_back();
      ++result_.objects;
      try {
        read_object(at);
      } catch (const Outside&) {
        ++result_.broken;
      }
    }
    return result_;
  }

 private:
  // ---- places

  /// Where an address of the file stands; nothing for the undefined one.
  std::optional<std::uint64_t> place(std::uint64_t address) const {
    const std::uint64_t undefined = offset_ == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * offset_)) - 1;
    const auto sum = address == undefined ? std::nullopt : base::checked_add(address, base_);
    return sum && *sum < in_.size() ? sum : std::nullopt;
  }
  std::optional<std::uint64_t> address_at(std::uint64_t at) const { return place(in_.number(at, offset_)); }

  void wait_for(std::optional<std::uint64_t> at) {
    if (at && seen_.insert(*at).second) waiting_.push_back(*at);
  }
  bool is_new_block(std::uint64_t at) { return blocks_.insert(at).second; }

  /// Blocks of an honest file do not overlap; those of a forged one may, and so ask for work without end.
  void spend(std::uint64_t bytes) { take(left_, bytes); }
  void take(std::uint64_t& left, std::uint64_t count) {
    if (count > left) {
      result_.overlaps = true;
      throw Outside{};
    }
    left -= count;
  }

  void read_superblock() {
    const std::uint64_t version = in_.number(begin_ + 8, 1);
    const bool is_old = version < 2;
    offset_ = in_.number(begin_ + (is_old ? 13 : 9), 1);
    length_ = in_.number(begin_ + (is_old ? 14 : 10), 1);
    if (version > 3 || !std::has_single_bit(offset_) || offset_ > 8 || !std::has_single_bit(length_) || length_ > 8) {
      offset_ = length_ = 8;  // the usual ones, for the objects that are found without it
      throw Outside{};
    }
    const std::uint64_t at = begin_ + (is_old ? (version == 1 ? 28U : 24U) : 12U);
    base_ = begin_;  // whatever stands there: a block of the user's may have been put in front later
    if (in_.number(at, offset_) == begin_) result_.stated_bytes = in_.number(at + 2 * offset_, offset_);
    wait_for(address_at(at + (is_old ? 5 * offset_ : 3 * offset_)));
  }

  /// Objects that no link that is followed leads to. Forged ones may overlap: all together may not be summed for long.
  void find_signatures() {
    std::uint64_t left = 2 * in_.size();
    for (std::size_t at = in_.find("OHDR", 0); at != std::string_view::npos; at = in_.find("OHDR", at + 4)) try {
        const auto [from, bytes] = first_chunk(at);
        take(left, bytes);
        if (in_.number(from + bytes, 4) == lookup3(in_.text(at, from + bytes - at))) wait_for(at);
      } catch (const Outside&) {  // bytes that happen to spell it
      }
  }

  // ---- object headers

  struct Chunk {
    std::uint64_t at, bytes;
  };

  /// Of a header of version 2: where its messages begin, and how many bytes they have.
  Chunk first_chunk(std::uint64_t at) const {
    const std::uint64_t flags = in_.number(at + 5, 1);
    if (in_.number(at + 4, 1) != 2 || flags > 0x3F) throw Outside{};
    const std::uint64_t width = std::uint64_t{1} << (flags & 3U);
    const std::uint64_t size_at = at + 6 + ((flags & 0x20U) != 0 ? 16 : 0) + ((flags & 0x10U) != 0 ? 4 : 0);
    const std::uint64_t bytes = in_.number(size_at, width);
    (void)in_.text(size_at + width, bytes);
    return {size_at + width, bytes};
  }

  void read_object(std::uint64_t at) {
    if (in_.starts(at, "OHDR")) {
      const std::uint64_t order = (in_.number(at + 5, 1) & 4U) != 0 ? 2 : 0;
      read_chunks(
          first_chunk(at), [this, order](Chunk& left) { return next_new(left, order); }, 4);
    } else {
      if (in_.number(at, 1) != 1) throw Outside{};
      read_chunks(
          {at + 16, in_.number(at + 8, 4)}, [this](Chunk& left) { return next_old(left); }, 0);
    }
  }

  Message next_old(Chunk& left) const {
    Message message{in_.number(left.at, 2), left.at + 8, in_.number(left.at + 2, 2)};
    if ((in_.number(left.at + 4, 1) & 2U) != 0) message.type = 0;  // shared: it stands elsewhere
    advance(left, 8 + message.bytes);
    return message;
  }
  Message next_new(Chunk& left, std::uint64_t order) const {
    Message message{in_.number(left.at, 1), left.at + 4 + order, in_.number(left.at + 1, 2)};
    if ((in_.number(left.at + 3, 1) & 2U) != 0) message.type = 0;
    advance(left, 4 + order + message.bytes);
    return message;
  }
  static void advance(Chunk& left, std::uint64_t bytes) {
    if (bytes > left.bytes) throw Outside{};
    left.at += bytes;
    left.bytes -= bytes;
  }

  /// `frame` bytes of signature stand in front of a continued block, and as many of a checksum behind it.
  template <class Next>
  void read_chunks(Chunk first, Next next, std::uint64_t frame) {
    std::vector<Chunk> chunks{first};
    while (!chunks.empty()) {
      Chunk left = chunks.back();
      chunks.pop_back();
      if (!is_new_block(left.at)) continue;
      (void)in_.text(left.at, left.bytes);
      spend(left.bytes);
      while (left.bytes >= (frame == 0 ? 8U : 4U)) {
        const Message message = next(left);
        if (message.type != kContinuation) {
          read_message(message);
          continue;
        }
        const auto at = address_at(message.at);
        const std::uint64_t bytes = in_.number(message.at + offset_, length_);
        if (!at || bytes < 2 * frame) throw Outside{};
        chunks.push_back({*at + frame, bytes - 2 * frame});
      }
    }
  }

  void read_message(const Message& message) {
    try {
      switch (message.type) {
        case kLink: return read_link(message.at);
        case kExternalFiles: return read_external_files(message);
        case kLayout: return read_layout(message.at);
        case kAttribute: return read_attribute(message);
        case kSymbolTable: return read_symbols(message.at);
        default: return;
      }
    } catch (const Outside&) {
      ++result_.broken;
    }
  }

  // ---- groups

  void read_link(std::uint64_t at) {
    const std::uint64_t flags = in_.number(at + 1, 1);
    std::uint64_t next = at + 2;
    const std::uint64_t type = (flags & 8U) != 0 ? in_.number(next++, 1) : 0;
    next += ((flags & 4U) != 0 ? 8 : 0) + ((flags & 16U) != 0 ? 1 : 0);
    const std::uint64_t width = std::uint64_t{1} << (flags & 3U);
    const std::uint64_t name_bytes = in_.number(next, width);
    (void)in_.text(next + width, name_bytes);
    next += width + name_bytes;
    if (type == 0) wait_for(address_at(next));
    if (type == 64) tell_other_file(in_.name(next + 3), "an external link to", at);  // behind length and version
  }

  /// A node that is broken hides no other one: a reader that looks for a name need not come by it.
  void read_symbols(std::uint64_t at) {
    std::vector<std::uint64_t> nodes;
    if (const auto tree = address_at(at)) nodes.push_back(*tree);
    while (!nodes.empty()) {
      const std::uint64_t node = nodes.back();
      nodes.pop_back();
      if (!is_new_block(node)) continue;
      try {
        in_.starts(node, "SNOD") ? read_symbol_node(node) : read_tree_node(node, nodes);
      } catch (const Outside&) {
        ++result_.broken;
      }
    }
  }

  void read_tree_node(std::uint64_t node, std::vector<std::uint64_t>& children) {
    if (!in_.starts(node, "TREE")) throw Outside{};
    const std::uint64_t count = in_.number(node + 6, 2), entry_bytes = length_ + offset_;
    const std::uint64_t first = node + 8 + 2 * offset_ + length_;  // behind the siblings and a key
    spend(in_.text(first, count * entry_bytes).size());
    for (std::uint64_t i = 0; i < count; ++i)
      if (const auto child = address_at(first + i * entry_bytes)) children.push_back(*child);
  }

  void read_symbol_node(std::uint64_t node) {
    const std::uint64_t symbols = in_.number(node + 6, 2), entry_bytes = 2 * offset_ + 24;
    spend(in_.text(node + 8, symbols * entry_bytes).size());
    for (std::uint64_t i = 0; i < symbols; ++i) {
      const std::uint64_t entry = node + 8 + i * entry_bytes;
      const bool is_soft = in_.number(entry + 2 * offset_, 4) == 2;  // a path within this file
      if (!is_soft) wait_for(address_at(entry + offset_));
    }
  }

  // ---- other files

  void tell_other_file(std::string_view file, std::string_view how, std::uint64_t at) {
    spend(file.size());
    sights_.other_file(file, how, at);
  }

  void read_external_files(const Message& message) {
    const std::uint64_t at = message.at, used = in_.number(at + 6, 2), slot_bytes = 3 * length_;
    const auto heap = address_at(at + 8);
    if (!heap || !in_.starts(*heap, "HEAP") || 8 + offset_ + used * slot_bytes > message.bytes) throw Outside{};
    const auto names = address_at(*heap + 8 + 2 * length_);
    if (!names) throw Outside{};
    for (std::uint64_t i = 0; i < used; ++i) {
      const std::uint64_t offset = in_.number(at + 8 + offset_ + i * slot_bytes, length_);
      if (offset > in_.size()) throw Outside{};
      tell_other_file(in_.name(*names + offset), "external storage in", at);
    }
  }

  /// A virtual dataset: version, count, and for each source a file, a dataset and two selections. The first is named;
  /// the others may be any.
  void read_layout(std::uint64_t at) {
    constexpr std::uint64_t kVirtual = 3;
    if (in_.number(at, 1) < 4 || in_.number(at + 1, 1) != kVirtual) return;
    const auto heap = address_at(at + 2);
    if (!heap) return;  // no sources yet
    const std::string_view sources = heap_object(*heap, in_.number(at + 2 + offset_, 4)).first;
    const std::size_t first = static_cast<std::size_t>(1 + length_);
    if (sources.size() <= first) throw Outside{};
    spend(sources.size());
    tell_other_file(sources.substr(first, sources.find('\0', first) - first), "a virtual dataset over", at);
  }

  // ---- attributes

  void read_attribute(const Message& message) {
    const std::uint64_t version = in_.number(message.at, 1), flags = in_.number(message.at + 1, 1);
    if (version < 1 || version > 3) throw Outside{};
    if (version > 1 && (flags & 1U) != 0) return;  // its type is shared: no text of its own
    const auto padded = [&](std::uint64_t bytes) { return version == 1 ? (bytes + 7) / 8 * 8 : bytes; };
    const std::uint64_t name_bytes = in_.number(message.at + 2, 2), type_bytes = in_.number(message.at + 4, 2),
                        space_bytes = in_.number(message.at + 6, 2);
    const std::uint64_t name_at = message.at + (version == 3 ? 9 : 8), type_at = name_at + padded(name_bytes),
                        value_at = type_at + padded(type_bytes) + padded(space_bytes);
    std::string_view name = in_.text(name_at, name_bytes);
    name = name.substr(0, name.find('\0'));
    const std::uint64_t type = in_.number(type_at, 1) & 15U, value_bytes = in_.number(type_at + 4, 4);
    constexpr std::uint64_t kText = 3, kOfAnyLength = 9;
    if (type == kText) {
      if (value_at + value_bytes > message.at + message.bytes) throw Outside{};
      sights_.text_attribute(name, in_.text(value_at, value_bytes), value_at);
    } else if (type == kOfAnyLength && (in_.number(type_at + 1, 1) & 15U) == 1) {
      const std::uint64_t bytes = in_.number(value_at, 4);
      const auto heap = address_at(value_at + 4);
      if (!heap || bytes == 0) return;
      const auto [text, at] = heap_object(*heap, in_.number(value_at + 4 + offset_, 4));
      if (!is_new_block(at)) return;  // told already
      spend(text.size());
      sights_.text_attribute(name, text.substr(0, bytes), at);
    }
  }

  /// An object of the global heap and where it stands. Collections are walked anew for each: they have 4 KiB, mostly,
  /// which are 170 steps at most for an object of 24 bytes.
  std::pair<std::string_view, std::uint64_t> heap_object(std::uint64_t heap, std::uint64_t index) {
    if (!in_.starts(heap, "GCOL") || index == 0) throw Outside{};
    const std::uint64_t end = heap + std::min(in_.number(heap + 8, length_), in_.size() - heap);
    const std::uint64_t head = 8 + length_;
    for (std::uint64_t at = heap + 8 + length_; at < end && end - at >= head;) {
      take(heap_steps_, 1);
      const std::uint64_t found = in_.number(at, 2), bytes = in_.number(at + 8, length_);
      if (found == index) return {in_.text(at + head, bytes), at + head};
      if (found == 0 || bytes > end - at - head) break;
      at += head + (bytes + 7) / 8 * 8;
    }
    throw Outside{};
  }

  Bytes in_;
  std::uint64_t begin_;
  const Hdf5Sights& sights_;
  std::uint64_t offset_ = 8, length_ = 8, base_ = 0;
  std::uint64_t left_;        ///< bytes that may yet be looked into
  std::uint64_t heap_steps_;  ///< that all look-ups in heaps together may yet take
  std::vector<std::uint64_t> waiting_;
  std::unordered_set<std::uint64_t> seen_;    ///< object headers that are or were waiting
  std::unordered_set<std::uint64_t> blocks_;  ///< parts of headers and nodes of trees that were read
  Hdf5Walk result_;
};

}  // namespace

Hdf5Walk walk_hdf5(const Part& part, std::uint64_t begin, const Hdf5Sights& sights) {
  return Walk(part, begin, sights).run();
}

}  // namespace tenon::scanning
