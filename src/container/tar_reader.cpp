#include "container/tar_reader.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/cursor.hpp"
#include "base/limit_error.hpp"
#include "base/text.hpp"

namespace tenon::container {

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::string_view kMagic = "ustar";
constexpr std::size_t kMagicAt = 257;

/// One field of a header: name, where it begins, how long it is.
struct Field {
  std::string_view name;
  std::size_t at, bytes;
};
constexpr Field kName{"the name", 0, 100}, kSize{"the size", 124, 12}, kChecksum{"the checksum", 148, 8},
    kPrefix{"the prefix", 345, 155};
constexpr std::size_t kTypeAt = 156;

class TarWalk {
 public:
  TarWalk(std::span<const std::byte> archive, const std::string& file, const Limits& limits)
      : text_(base::as_text(archive)), file_(file), limits_(limits) {}

  std::vector<TarMember> run() {
    while (at_ + kBlock <= text_.size() && !is_end()) step();
    if (members_.empty()) throw error("the archive has no members", "a header", "zeros or nothing");
    return std::move(members_);
  }

 private:
  std::string_view block() const { return text_.substr(at_, kBlock); }
  bool is_end() const { return block().find_first_not_of('\0') == std::string_view::npos; }

  void step() {
    require_checksum();
    TarMember member;
    member.bytes = pax_size_.value_or(number(kSize));
    member.offset = at_ + kBlock;
    if (member.bytes > text_.size() - member.offset)
      throw error("a member of the archive reaches past its end",
                  "at most " + base::plural(text_.size() - member.offset, "byte"), base::plural(member.bytes, "byte"));
    const char type = block()[kTypeAt];
    const std::string_view content = text_.substr(member.offset, member.bytes);
    if (type == 'L')
      long_name_ = content.substr(0, content.find('\0'));
    else if (type == 'x')
      read_pax(content);
    else if (type != 'g' && type != 'K')
      add(std::move(member), type);
    at_ += kBlock + (content.size() + kBlock - 1) / kBlock * kBlock;
    at_ = std::min<std::uint64_t>(at_, text_.size());
  }

  void add(TarMember member, char type) {
    if (members_.size() >= limits_.tar_members)
      throw base::limit_error(where(), "the archive has too many members", {&Limits::tar_members, limits_});
    member.name = long_name_ ? std::string(*long_name_) : plain_name();
    member.is_file = type == '0' || type == '\0' || type == '7';
    members_.push_back(std::move(member));
    long_name_.reset();
    pax_size_.reset();
  }

  std::string_view text_of(const Field& field) const {
    const std::string_view text = block().substr(field.at, field.bytes);
    return text.substr(0, text.find('\0'));
  }

  std::string plain_name() const {
    const bool has_prefix = block().substr(kMagicAt, 6) == std::string_view("ustar\0", 6);
    const std::string prefix(has_prefix ? text_of(kPrefix) : std::string_view());
    return prefix.empty() ? std::string(text_of(kName)) : prefix + "/" + std::string(text_of(kName));
  }

  /// Octal text, or base 256 when the first bit is set.
  std::uint64_t number(const Field& field) const {
    std::string_view digits = block().substr(field.at, field.bytes);
    if ((static_cast<unsigned char>(digits[0]) & 0x80U) != 0) return base_256(field, digits);
    digits = digits.substr(0, digits.find('\0'));
    digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
    digits = digits.substr(0, digits.find(' '));
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
    if (!digits.empty() && (failed != std::errc{} || end != digits.data() + digits.size()))
      throw error(std::string(field.name) + " of a member is no number", "octal digits");
    return value;
  }

  std::uint64_t base_256(const Field& field, std::string_view bytes) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      if (value >> 56 != 0) throw error(std::string(field.name) + " of a member is too great", "fewer than 2^64");
      value = value << 8 | (i == 0 ? byte & 0x7FU : byte);
    }
    return value;
  }

  void require_checksum() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      const bool is_blank = i >= kChecksum.at && i < kChecksum.at + kChecksum.bytes;
      sum += is_blank ? ' ' : static_cast<unsigned char>(block()[i]);
    }
    if (const std::uint64_t stored = number(kChecksum); stored != sum)
      throw error("the checksum of a header is wrong", std::to_string(stored), std::to_string(sum));
  }

  /// Records `LENGTH KEY=VALUE\n`; LENGTH counts the whole record.
  void read_pax(std::string_view records) {
    while (!records.empty()) {
      std::uint64_t length = 0;
      const auto [end, failed] = std::from_chars(records.data(), records.data() + records.size(), length);
      const auto digits = static_cast<std::size_t>(end - records.data());
      if (failed != std::errc{} || length <= digits + 1 || length > records.size())
        throw error("a record of an extended header is malformed", "LENGTH KEY=VALUE");
      const std::string_view record = records.substr(digits + 1, length - digits - 2);
      const std::size_t equals = record.find('=');
      if (record.substr(0, equals) == "path") long_name_ = record.substr(equals + 1);
      if (record.substr(0, equals) == "size") read_pax_size(record.substr(equals + 1));
      records.remove_prefix(length);
    }
  }

  void read_pax_size(std::string_view digits) {
    std::uint64_t size = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (failed != std::errc{} || end != digits.data() + digits.size())
      throw error("the size in an extended header is no number", "decimal digits");
    pax_size_ = size;
  }

  Where where() const { return {file_, {}, {}, at_}; }
  Error error(std::string what, std::string expected = {}, std::string found = {}) const {
    return Error(Code::Corrupt, where(), std::move(what), std::move(expected), std::move(found),
                 "the archive is damaged: fetch it again");
  }

  std::string_view text_;
  const std::string& file_;
  const Limits& limits_;
  std::uint64_t at_ = 0;
  std::vector<TarMember> members_;
  std::optional<std::string_view> long_name_;  ///< of the next member
  std::optional<std::uint64_t> pax_size_;
};

}  // namespace

bool looks_like_tar(std::span<const std::byte> bytes) {
  return bytes.size() >= kBlock && base::as_text(bytes.subspan(kMagicAt, kMagic.size())) == kMagic;
}

std::vector<TarMember> read_tar(std::span<const std::byte> archive, const std::string& file, const Limits& limits) {
  return TarWalk(archive, file, limits).run();
}

}  // namespace tenon::container
