// tar archives: entries of any kind, and PyTorch's format before 0.1.10, whose tables have raw bytes between pickles.
// Source: POSIX.1-2001 ustar and pax; GNU tar's long names; torch/serialization.py, legacy_load.
#include "scan/other_formats.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/checked.hpp"
#include "base/cursor.hpp"
#include "base/text.hpp"
#include "container/tar_reader.hpp"
#include "formats/pickle_globals.hpp"
#include "formats/pickle_graph.hpp"
#include "formats/tensor_rebuild.hpp"
#include "scan/content.hpp"
#include "scan/pickle_scan.hpp"
#include "scan/preview.hpp"
#include "scan/side_files.hpp"
#include "scan/zip_scan.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;
using container::NodeId;
using container::NodeKind;
using formats::PickleGraph;

constexpr std::uint64_t kBlock = 512;

struct Entry {
  std::string name;
  std::string link;
  char kind = '0';
  std::uint64_t at = 0, bytes = 0;
  bool has_idle_size = false;  ///< a size, where the kind has no bytes
  bool is_sparse = false;      ///< its bytes are pieces with holes between
};

std::string_view field_of(std::string_view block, std::size_t at, std::size_t count) {
  const std::string_view field = block.substr(at, count);
  return field.substr(0, field.find('\0'));
}

/// Octal text, or GNU's binary form with the first bit set.
std::optional<std::uint64_t> number_of(std::string_view field) {
  if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
    std::uint64_t value = static_cast<unsigned char>(field[0]) & 0x7FU;
    for (const char c : field.substr(1)) {
      if (value >> 55 != 0) return std::nullopt;
      value = (value << 8U) | static_cast<unsigned char>(c);
    }
    return value;
  }
  std::uint64_t value = 0;
  for (const char c : field) {
    if (c == '\0') break;
    if (c == ' ') continue;
    if (c < '0' || c > '7') return std::nullopt;
    value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

bool checksum_is_right(std::string_view block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  return number_of(block.substr(148, 8)) == sum;
}

/// What headers of another kind say of the entry behind them.
struct Overrides {
  std::optional<std::string> name, link;
  std::optional<std::uint64_t> size;
  bool is_sparse = false;

  Overrides or_else(const Overrides& general) const {
    return {name ? name : general.name, link ? link : general.link, size ? size : general.size,
            is_sparse || general.is_sparse};
  }
};

class TarScan {
 public:
  TarScan(const Part& part, Collector& out) : part_(part), out_(out) {}

  void run() {
    read_entries();
    const bool is_torch = find("pickle") != nullptr && find("storages") != nullptr;
    out_.name_format(is_torch ? "PyTorch tar archive" : "tar archive");
    for (const Entry& entry : entries_) {
      check(entry);
      if (entry.bytes == 0) continue;  // what kind ever: readers take one that they do not know for a file
      if (is_torch && scan_torch_entry(entry)) continue;
      scan_content(inside(entry), Place::Member, out_);
    }
  }

 private:
  const Entry* find(std::string_view name) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
      return e.name == name || e.name == "./" + std::string(name);
    });
    return found == entries_.end() ? nullptr : &*found;
  }

  Part inside(const Entry& entry) const { return part_.inside(part_.bytes.subspan(entry.at, entry.bytes), entry.name); }

  void malformed(std::uint64_t at, std::string why) {
    out_.add(ScanVerdict::Malformed, "tar-malformed", part_, at, std::move(why));
  }

  void read_entries() {
    std::uint64_t at = 0;
    Overrides next, all;
    while (part_.bytes.size() - at >= kBlock) {
      const std::string_view block = as_text(part_.bytes.subspan(at, kBlock));
      if (block.find_first_not_of('\0') == std::string_view::npos) return look_behind(at);
      const auto size = number_of(block.substr(124, 12));
      if (!checksum_is_right(block) || !size) return malformed(at, "an entry's header is damaged");
      Entry entry;
      entry.kind = block[156];
      entry.at = at + kBlock;
      const bool is_extra = is_header_of_next(entry.kind);
      const Overrides own = is_extra ? Overrides{} : next.or_else(all);
      const std::uint64_t stated = own.size.value_or(*size);
      entry.bytes = has_no_bytes(entry.kind) ? 0 : stated;
      entry.is_sparse = own.is_sparse;
      entry.has_idle_size = entry.bytes != stated;
      entry.link = own.link.value_or(std::string(field_of(block, 157, 100)));
      entry.name = own.name.value_or(name_of(block));
      if (entry.bytes > part_.bytes.size() - entry.at)
        return malformed(at, "an entry reaches past the end of the archive: " + preview(entry.name));
      if (entries_.size() >= out_.limits().zip_entries)
        return out_.add_limit(ScanVerdict::Malformed, &Limits::zip_entries, "the archive has too many entries", part_,
                              at);
      at = entry.at + (entry.bytes + kBlock - 1) / kBlock * kBlock;
      if (is_extra) {
        read_extra(entry, entry.kind == 'g' ? all : next);
        if (at > part_.bytes.size()) return;
        continue;
      }
      next = {};
      entries_.push_back(std::move(entry));
      if (at > part_.bytes.size()) return;
    }
  }

  /// GNU's long name and link, and POSIX' records for the next entry or all that follow.
  static bool is_header_of_next(char kind) {
    return kind == 'L' || kind == 'K' || kind == 'x' || kind == 'X' || kind == 'g';
  }

  /// Links, devices, folders and pipes.
  static bool has_no_bytes(char kind) { return kind >= '1' && kind <= '6'; }

  void read_extra(const Entry& entry, Overrides& into) {
    const std::string_view text = as_text(part_.bytes.subspan(entry.at, entry.bytes));
    if (entry.kind == 'L')
      into.name = std::string(field_of(text, 0, text.size()));
    else if (entry.kind == 'K')
      into.link = std::string(field_of(text, 0, text.size()));
    else if (!read_records(text, into))
      malformed(entry.at, "an entry's extended header is damaged");
  }

  /// `LENGTH KEY=VALUE\n`, the length counting all of it.
  bool read_records(std::string_view text, Overrides& into) {
    while (!text.empty() && text[0] != '\0') {
      std::size_t length = 0;
      const auto [digits_end, failed] = std::from_chars(text.data(), text.data() + text.size(), length);
      const auto digits = static_cast<std::size_t>(digits_end - text.data());
      if (failed != std::errc{} || length > text.size() || length < digits + 3 || text[digits] != ' ') return false;
      const std::string_view record = text.substr(digits + 1, length - digits - 2);
      const std::size_t equals = record.find('=');
      if (equals == std::string_view::npos || !take_record(record.substr(0, equals), record.substr(equals + 1), into))
        return false;
      text.remove_prefix(length);
    }
    return true;
  }

  bool take_record(std::string_view key, std::string_view value, Overrides& into) {
    if (key.starts_with("GNU.sparse.")) into.is_sparse = true;
    if (key == "path" || key == "GNU.sparse.name") into.name = std::string(value);
    if (key == "linkpath") into.link = std::string(value);
    if (key != "size") return true;
    std::uint64_t size = 0;
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (failed != std::errc{} || end != value.data() + value.size()) return false;
    into.size = size;
    return true;
  }

  static std::string name_of(std::string_view block) {
    const std::string_view prefix =
        block.substr(257, 6) == std::string_view("ustar\0", 6) ? field_of(block, 345, 155) : std::string_view{};
    std::string name(prefix);
    if (!name.empty()) name += '/';
    return name.append(field_of(block, 0, 100));
  }

  /// Behind the blocks of zeros that end an archive nothing is read.
  void look_behind(std::uint64_t at) {
    const auto rest = part_.bytes.subspan(at);
    if (std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; })) return;
    out_.add_unexplained(part_, at, rest.size());
    out_.add(ScanVerdict::UnknownCode, "tar-trailing-bytes", part_, at, "bytes follow the archive's end");
    scan_strays(part_.from(at), out_);
  }

  void check(const Entry& entry) {
    if (const auto why = escaping_name(entry.name); !why.empty())
      out_.add(ScanVerdict::Dangerous, "tar-path", part_, entry.at - kBlock,
               std::string(why) + ": `" + preview(entry.name) + "`");
    const auto unknown = [&](std::string_view rule, std::string why) {
      out_.add(ScanVerdict::UnknownCode, rule, part_, entry.at - kBlock, std::move(why));
    };
    if (entry.has_idle_size)
      unknown("tar-size", "an entry that has no bytes states a size: readers disagree about where the next one begins");
    if (entry.is_sparse || entry.kind == 'S')
      unknown("tar-sparse", "the entry's bytes stand in pieces, which are not put together here");
    if (entry.kind == '3' || entry.kind == '4' || entry.kind == '6')
      unknown("tar-device", "the archive holds a device or a pipe: `" + preview(entry.name) + "`");
    if (entry.kind != '1' && entry.kind != '2') return;
    const bool leaves = judge_side_path(entry.link) == SidePath::Leaves;
    out_.add(leaves ? ScanVerdict::Dangerous : ScanVerdict::UnknownCode, "tar-link", part_, entry.at - kBlock,
             leaves ? "a link leads out of the archive: `" + preview(entry.link) + "`" : "the archive holds a link");
  }

  // ---- PyTorch's tables

  bool scan_torch_entry(const Entry& entry) {
    const Part part = inside(entry);
    const std::string_view name = entry.name.starts_with("./") ? std::string_view(entry.name).substr(2) : entry.name;
    if (name == "sys_info") return scan_pickles(part, Start::Certain, {}, out_);
    if (name == "pickle")
      return scan_pickles(part, Start::Certain,
                          {.ids = PersistentIds::Numbers, .home = Home::Pickle, .storage_bytes = {}}, out_);
    if (name == "storages") return scan_table(part, true), true;
    if (name == "tensors") return scan_table(part, false), true;
    return false;
  }

  /// A count, then rows of a pickle and raw bytes, and behind the storages a list of views.
  void scan_table(const Part& part, bool of_storages) {
    const auto count = scan_one_pickle(part, Start::Certain, {}, out_);
    if (!count || !count->complete()) return;
    std::uint64_t at = count->end_bytes;
    const NodeId root = count->tree.root();
    const std::int64_t rows = count->tree.kind(root) == NodeKind::Integer ? count->tree.integer(root) : 0;
    for (std::int64_t i = 0; i < rows && at < part.bytes.size(); ++i) {
      const auto row = scan_one_pickle(part.from(at), Start::Certain, {}, out_);
      if (!row || !row->complete()) return;
      at += row->end_bytes;
      const auto raw = of_storages ? storage_bytes(*row, part.from(at)) : tensor_bytes(part.from(at));
      if (!raw || *raw > part.bytes.size() - at) {
        out_.add(ScanVerdict::Malformed, "tar-malformed", part, at, "the table ends within a row");
        return;
      }
      at += *raw;
    }
    if (at < part.bytes.size()) scan_pickles(part.from(at), Start::Certain, {}, out_);
  }

  std::optional<std::uint64_t> storage_bytes(const container::PickleAttempt& row, const Part& rest) {
    const auto& tree = row.tree;
    const auto parts = tree.tuple(tree.root());
    if (parts.size() < 3 || tree.kind(parts[2]) != NodeKind::Global || rest.bytes.size() < 8) return std::nullopt;
    const auto& global = tree.global(parts[2]);
    const auto dtype = formats::storage_dtype(formats::canonical_name(global.module, global.name));
    if (!dtype) return std::nullopt;
    base::Cursor in(rest.bytes, {});
    const auto bytes = base::checked_multiply(in.u64("count"), formats::storage_element_bytes(*dtype));
    return bytes ? base::checked_add(*bytes, 8) : std::nullopt;
  }

  static std::optional<std::uint64_t> tensor_bytes(const Part& rest) {
    if (rest.bytes.size() < 8) return std::nullopt;
    base::Cursor in(rest.bytes, {});
    const std::uint32_t rank = in.u32("rank");
    return rank > 64 ? std::nullopt : std::optional<std::uint64_t>(8 + 16ULL * rank + 8);
  }

  const Part& part_;
  Collector& out_;
  std::vector<Entry> entries_;
};

}  // namespace

bool looks_like_any_tar(std::span<const std::byte> bytes) {
  if (bytes.size() < kBlock) return false;
  const std::string_view block = as_text(bytes.first(kBlock));
  const bool is_old = block[0] != '\0' &&
                      block.substr(100, 4).find_first_not_of("0123456789 ") == std::string_view::npos &&
                      checksum_is_right(block);
  return is_old || container::looks_like_tar(bytes);
}

void scan_tar(const Part& part, Collector& out) { TarScan(part, out).run(); }

}  // namespace tenon::scanning
