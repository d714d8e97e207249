#include "scan/zip_scan.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/cursor.hpp"
#include "base/digest.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/zip_reader.hpp"
#include "scan/content.hpp"
#include "scan/npy_scan.hpp"
#include "scan/pickle_scan.hpp"
#include "scan/unpack.hpp"
#include "scan/zip_records.hpp"

namespace tenon::scanning {

namespace {

using base::as_text;

constexpr std::uint64_t kSniffed = 1 << 16;
constexpr std::string_view kDataPickle = "data.pkl";

std::string_view base_name(std::string_view name) { return name.substr(name.rfind('/') + 1); }
std::string_view folder_of(std::string_view name) { return name.substr(0, name.rfind('/') + 1); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

class ZipScan {
 public:
  ZipScan(const Part& part, Collector& out)
      : part_(part), out_(out), zip_(read_zip_records(part.bytes, out.limits())) {}

  void run() {
    for (const ZipProblem& problem : zip_.problems) add_problem(problem);
    index();
    check_names();
    name_format();
    look_at_code();
    for (const ZipRecord* record : pickles_)
      if (scanned_.insert(record).second) scan_pickle_record(*record);
    for (const ZipRecord& record : zip_.records) {
      if (!is_done(record))
        scan_record(record);
      else if (storages_.contains(std::string(record.name())))
        check_storage(record);
    }
    scan_gaps();
  }

 private:
  void add_problem(const ZipProblem& problem) {
    if (problem.is_limit)
      return out_.add_limit(ScanVerdict::Malformed, &Limits::zip_entries, problem.what, part_, problem.at);
    ScanFinding finding;
    finding.rule = "zip-inconsistent";
    finding.verdict = ScanVerdict::Malformed;
    finding.member = problem.member.empty() ? part_.member : member_name(problem.member);
    finding.offset = part_.origin + problem.at;
    finding.why = problem.what;
    // Marked as encrypted in both places, an entry is only closed to us.
    if (problem.what.starts_with("the entry is marked")) finding.verdict = ScanVerdict::UnknownCode;
    out_.add(std::move(finding));
  }

  std::string member_name(std::string_view name) const { return part_.inside({}, std::string(name)).member; }

  void index() {
    for (const ZipRecord& record : zip_.records) {
      const ZipHeader& header = record.central ? *record.central : *record.local;
      sizes_.emplace(record.name(), header.unpacked_bytes);
      has_checksums_ = has_checksums_ || header.crc32 != 0;
      const std::string_view name = base_name(record.name());
      if (name == kDataPickle) roots_.emplace(folder_of(record.name()));
      if (name == kDataPickle || name == "constants.pkl" || name == "bytecode.pkl") pickles_.push_back(&record);
      if (name == "constants.pkl") is_script_ = true;
      if (name.ends_with(".debug_pkl")) pickles_.push_back(&record);
    }
  }

  void name_format() {
    const auto has = [&](std::string_view suffix) {
      return std::any_of(sizes_.begin(), sizes_.end(), [&](const auto& row) { return row.first.ends_with(suffix); });
    };
    if (!roots_.empty())
      out_.name_format(is_script_ ? "TorchScript or LibTorch archive" : "PyTorch archive");
    else
      out_.name_format(has("model.weights.h5") ? "Keras 3 model" : has(".npy") ? "NumPy archive" : "zip archive");
  }

  // ---- names

  void check_names() {
    std::set<std::string_view> names;
    std::set<std::string> folded;
    for (const ZipRecord& record : zip_.records) {
      check_name(record, record.name());
      if (record.central && record.local && record.local->name != record.central->name)
        check_name(record, record.local->name);
      if (!names.insert(record.name()).second)
        complain(record, ScanVerdict::Malformed, "zip-duplicate",
                 "two entries have one name: readers disagree about which counts");
      else if (!folded.insert(lower(record.name())).second)
        complain(record, ScanVerdict::UnknownCode, "zip-duplicate",
                 "another entry's name differs in upper and lower case only");
      constexpr std::uint32_t kLink = 0xA000, kKind = 0xF000;
      if (record.made_by >> 8 == 3 && ((record.external_attributes >> 16) & kKind) == kLink)
        complain(record, ScanVerdict::Malformed, "zip-link", "the entry is a symbolic link");
    }
  }

  void check_name(const ZipRecord& record, std::string_view name) {
    const std::string_view why = escaping_name(name);
    if (!why.empty()) complain(record, ScanVerdict::Dangerous, "zip-path", std::string(why));
    constexpr std::uint16_t kUtf8 = 0x0800;
    const bool says_utf8 = record.central && (record.central->flags & kUtf8) != 0;
    if (name.find('\0') != std::string_view::npos || (says_utf8 && !base::is_utf8(name)))
      complain(record, ScanVerdict::Malformed, "zip-name", "the entry's name has a NUL or is no UTF-8");
  }

  void complain(const ZipRecord& record, ScanVerdict verdict, std::string_view rule, std::string why) {
    ScanFinding finding;
    finding.rule = rule;
    finding.verdict = verdict;
    finding.member = member_name(record.name());
    finding.offset = 0;
    finding.why = std::move(why);
    out_.add(std::move(finding));
  }

  // ---- code

  void look_at_code() {
    for (const ZipRecord& record : zip_.records) {
      const std::string_view name = record.name();
      const bool is_source = name.ends_with(".py") && name.find("code/") != std::string_view::npos;
      if (is_source && is_script_) look_at_source(record);
      if (base_name(name) == "bytecode.pkl") report_code(record);
    }
    home_ = is_script_ ? Home::BareScript : roots_.empty() ? Home::Pickle : Home::Archive;
  }

  void look_at_source(const ZipRecord& record) {
    std::vector<std::byte> unpacked;
    const auto content = whole(record, unpacked, &Limits::script_source_bytes);
    if (!content || defines_functions(as_text(*content))) report_code(record);
  }

  void report_code(const ZipRecord& record) {
    if (std::exchange(has_code_, true)) return;
    complain(record, ScanVerdict::UnknownCode, "torchscript-code",
             "the archive carries TorchScript code, which loading and calling the model runs");
  }

  // ---- records

  bool is_done(const ZipRecord& record) const {
    return storages_.contains(std::string(record.name())) || scanned_.contains(&record);
  }

  void scan_pickle_record(const ZipRecord& record) {
    std::vector<std::byte> unpacked;
    const auto content = whole(record, unpacked, &Limits::pickle_bytes);
    if (!content) return;
    const std::string root(folder_of(record.name()));
    const bool is_constants = base_name(record.name()) == "constants.pkl";
    PickleSetting setting;
    setting.ids = PersistentIds::Storages;
    setting.home = home_;
    setting.storage_bytes = [this, root, is_constants](std::string_view key) -> std::optional<std::uint64_t> {
      for (const char* folder : {"data/", "", "tensors/", "constants/"}) {
        if (is_constants != (std::string_view(folder) == "constants/")) continue;
        const std::string name = root + folder + std::string(key);
        const auto found = sizes_.find(name);
        if (found == sizes_.end()) continue;
        storages_.insert(name);
        return found->second;
      }
      return std::nullopt;
    };
    const Part part = part_.inside(*content, std::string(record.name()));
    if (!scan_pickles(part, base_name(record.name()).ends_with("debug_pkl") ? Start::Likely : Start::Certain, setting,
                      out_))
      scan_content(part, Place::Member, out_);
  }

  void scan_record(const ZipRecord& record) {
    const ZipHeader& header = record.central ? *record.central : *record.local;
    if (record.data_at == 0 || (header.packed_bytes == 0 && header.unpacked_bytes == 0)) return;
    if (scan_numbers(record, header)) return;
    std::vector<std::byte> unpacked;
    const auto content = whole(record, unpacked, &Limits::scan_unpacked_bytes);
    if (content) scan_content(part_.inside(*content, std::string(record.name())), Place::Member, out_);
  }

  /// An array of numbers is known by its header; its elements are not unpacked.
  bool scan_numbers(const ZipRecord& record, const ZipHeader& header) {
    if (!record.name().ends_with(".npy")) return false;
    if (header.method == container::kZipStored) {
      const Part part = part_.inside(packed(record, header), std::string(record.name()));
      return looks_like_npy(part.bytes) && scan_npy_header(part, part.bytes.size(), out_);
    }
    if (header.method != container::kZipDeflated) return false;
    const Unpacked head =
        unpack(packed(record, header), Wrapping::Deflate, {&Limits::scan_unpacked_bytes, kSniffed}, out_);
    const Part part = part_.inside(head.bytes, std::string(record.name()));
    return looks_like_npy(part.bytes) && scan_npy_header(part, header.unpacked_bytes, out_);
  }

  /// Tensor bytes are not read for the verdict; the checksums of small ones are checked all the same.
  void check_storage(const ZipRecord& record) {
    constexpr std::uint64_t kMostChecked = 16 << 20;
    const ZipHeader& header = record.central ? *record.central : *record.local;
    if (record.data_at == 0 || header.method != container::kZipStored ||
        out_.budget().checked_bytes + header.packed_bytes > kMostChecked)
      return;
    out_.budget().checked_bytes += header.packed_bytes;
    verified(record, header, packed(record, header));
  }

  std::span<const std::byte> packed(const ZipRecord& record, const ZipHeader& header) const {
    std::uint64_t count = header.packed_bytes;
    if (header.method == container::kZipStored) count = std::max(count, header.unpacked_bytes);
    return part_.bytes.subspan(record.data_at, std::min<std::uint64_t>(count, part_.bytes.size() - record.data_at));
  }

  /// The entry's bytes, unpacked into `unpacked` where they are packed. What contradicts the headers is told.
  std::optional<std::span<const std::byte>> whole(const ZipRecord& record, std::vector<std::byte>& unpacked,
                                                  std::uint64_t Limits::*most) {
    if (record.data_at == 0) return std::nullopt;
    const ZipHeader& central = record.central ? *record.central : *record.local;
    // Where the two headers disagree, the other reading is scanned, too.
    if (record.central && record.local && record.local->packed_bytes != 0 &&
        (record.local->method != central.method || record.local->packed_bytes != central.packed_bytes))
      scan_other_reading(record, *record.local);
    const auto bytes = packed(record, central);
    read_bytes_ += bytes.size();
    if (read_bytes_ > 2 * part_.bytes.size() + out_.limits().scan_overlap_bytes) {
      out_.add_limit(ScanVerdict::Malformed, &Limits::scan_overlap_bytes,
                     "the entries overlap so often that they hold more than the file", part_, record.local_at);
      return std::nullopt;
    }
    if (central.method == container::kZipStored) return verified(record, central, bytes);
    if (central.method != container::kZipDeflated) {
      complain(record, ScanVerdict::UnknownCode, "zip-method",
               "cannot look inside: the entry is packed by method " + std::to_string(central.method));
      return bytes;
    }
    Unpacked found = unpack(bytes, Wrapping::Deflate, {most, out_.limits()}, out_);
    unpacked = std::move(found.bytes);
    report_unpacking(record, central, found, unpacked.size());
    if (found.end == UnpackEnd::Damaged) scan_strays(part_.inside(bytes, std::string(record.name())), out_);
    return verified(record, central, unpacked);
  }

  void report_unpacking(const ZipRecord& record, const ZipHeader& header, const Unpacked& found, std::uint64_t bytes) {
    if ((header.flags & 1) != 0) return;  // closed to us, and said so
    if (found.limit != nullptr)
      out_.add_limit(ScanVerdict::Malformed, found.limit, "the entry unpacks to more than the scan allows",
                     part_.inside({}, std::string(record.name())));
    else if (found.end == UnpackEnd::Damaged)
      complain(record, ScanVerdict::Malformed, "zip-inconsistent", "the packed entry does not unpack");
    else if (bytes != header.unpacked_bytes)
      complain(record, ScanVerdict::Malformed, "zip-inconsistent",
               "the entry unpacks to " + base::plural(bytes, "byte") + ", the archive says " +
                   base::count_text(header.unpacked_bytes));
  }

  std::span<const std::byte> verified(const ZipRecord& record, const ZipHeader& header,
                                      std::span<const std::byte> content) {
    if (has_checksums_ && (header.flags & 1) == 0 && base::crc32(content) != header.crc32)
      complain(record, ScanVerdict::Malformed, "zip-checksum",
               "the entry's checksum is wrong; PyTorch loads it all the same");
    return content;
  }

  void scan_other_reading(const ZipRecord& record, const ZipHeader& header) {
    const Part part = part_.inside({}, std::string(record.name()) + " (by its local header)");
    const auto bytes = packed(record, header);
    if (header.method == container::kZipDeflated) {
      const Unpacked found = unpack(bytes, Wrapping::Deflate, {&Limits::scan_unpacked_bytes, out_.limits()}, out_);
      scan_content({found.bytes, part.member, 0, part.depth}, Place::Member, out_);
    } else {
      scan_content({bytes, part.member, 0, part.depth}, Place::Member, out_);
    }
  }

  // ---- what belongs to no record

  void scan_gaps() {
    for (const auto& [begin, end] : zip_.gaps) {
      const auto bytes = part_.bytes.subspan(begin, end - begin);
      if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; })) continue;
      const bool is_comment = end == part_.bytes.size() && begin > 0;
      Part gap = part_.from(begin);
      gap.bytes = bytes;
      ++gap.depth;
      out_.add_unexplained(part_, begin, bytes.size());
      if (begin == 0)
        out_.add(ScanVerdict::Malformed, "zip-inconsistent", part_, 0,
                 base::plural(bytes.size(), "byte") +
                     " stand in front of the archive: a reader that begins there sees another file");
      else if (!is_comment)
        out_.add(ScanVerdict::UnknownCode, "zip-gap", part_, begin,
                 base::plural(bytes.size(), "byte") + " between the entries belong to none");
      if (gap.depth <= out_.limits().scan_depth) scan_content(gap, Place::Member, out_);
    }
  }

  const Part& part_;
  Collector& out_;
  ZipRecords zip_;
  std::unordered_map<std::string_view, std::uint64_t> sizes_;
  std::set<std::string_view> roots_;
  std::vector<const ZipRecord*> pickles_;
  std::unordered_set<const ZipRecord*> scanned_;
  std::uint64_t read_bytes_ = 0;              ///< entries may overlap: what they hold together is more than the file
  std::unordered_set<std::string> storages_;  ///< records that a pickle names as tensor bytes
  Home home_ = Home::Pickle;
  bool is_script_ = false, has_code_ = false, has_checksums_ = false;
};

}  // namespace

// torch.distributed.checkpoint writes a torch.save archive for each item, one behind the other, and loads each by its
// place in the file: they are siblings, and each is judged by what it holds.
void scan_zip(const Part& part, Collector& out) {
  const std::vector<ZipSlice> slices = split_archives(part.bytes, out.limits());
  if (slices.size() == 1) return ZipScan(part, out).run();
  out.name_format("archives one behind the other, as in a shard of a distributed checkpoint");
  if (const auto at = other_directory(part.bytes, slices))
    out.add(ScanVerdict::Malformed, "zip-inconsistent", part, *at,
            "readers that count from the file's start find another directory here than in the archive itself");
  for (const ZipSlice& slice : slices)
    ZipScan(part.inside(part.bytes.subspan(slice.begin, slice.end - slice.begin),
                        "archive at byte " + std::to_string(part.origin + slice.begin)),
            out)
        .run();
}

std::string_view escaping_name(std::string_view name) {
  if (name.starts_with('/') || name.starts_with('\\'))
    return "the entry's path is absolute: unpacking writes elsewhere";
  if (name.size() > 1 && name[1] == ':') return "the entry's path names a drive: unpacking writes elsewhere";
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find_first_of("/\\", at), name.size());
    if (name.substr(at, end - at) == "..") return "the entry's path leaves its folder: unpacking writes elsewhere";
    at = end + 1;
  }
  if (name.find('\\') != std::string_view::npos)
    return "the entry's name has a backslash, which Windows takes for a folder";
  return {};
}

bool defines_functions(std::string_view source) {
  for (std::size_t at = 0; at < source.size();) {
    const std::size_t end = std::min(source.find('\n', at), source.size());
    std::string_view line = source.substr(at, end - at);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    at = end + 1;
    if (line.empty() || line.starts_with('#') || line.starts_with("class ")) continue;
    if (line.starts_with("def ") || line.find('(') != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace tenon::scanning
