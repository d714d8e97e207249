#include "formats/gguf_split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "formats/merge.hpp"

namespace tenon::formats {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNext = "fetch all parts of one model again, into one folder";

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> number_of(const CheckpointCore& core, std::string_view key) {
  const auto found =
      std::find_if(core.metadata.begin(), core.metadata.end(), [&](const auto& pair) { return pair.first == key; });
  return found == core.metadata.end() ? std::nullopt : number_in(found->second);
}

void note_part(CheckpointCore& core, std::uint64_t count, std::string_view why) {
  const auto all = number_of(core, "split.tensors.count"), number = number_of(core, "split.no");
  core.warnings.push_back(
      fmt::format("this is one file of {} that hold one model (split.no {}): {} tensors of {} are here{}", count,
                  number ? std::to_string(*number) : "unknown", core.tensors.size(),
                  all ? std::to_string(*all) : "an unknown number", why));
}

class Parts {
 public:
  Parts(const OpenRequest& request, CheckpointCore& whole, Reader read)
      : request_(request), whole_(whole), read_(read), folder_(fs::path(request.path).parent_path().string()) {
    if (folder_.empty()) folder_ = ".";
  }

  void add_all(const GgufPartName& name) {
    if (name.count > request_.options.limits.shards)
      throw base::limit_error(at("split.count"), "the model is in too many files",
                              {&Limits::shards, request_.options.limits}, std::to_string(name.count));
    claim_names(whole_, name.of(1));
    for (std::uint64_t number = 2; number <= name.count; ++number) add(name.of(number), number, name.count);
    check_total();
  }

 private:
  void add(const std::string& file, std::uint64_t number, std::uint64_t count) {
    std::shared_ptr<CheckpointCore> part;
    try {
      part = open(file);
      require_place(*part, number, count);
      claim_names(*part, file);
    } catch (const Error& error) {
      if (whole_.salvage == Salvage::No) throw;
      whole_.warnings.push_back("the part " + base::escape_for_terminal(file) + " is left out: " + error.what());
      return;
    }
    whole_.file_bytes += part->file_bytes;
    merge(whole_, std::move(*part));
  }

  std::shared_ptr<CheckpointCore> open(const std::string& file) const {
    try {
      const auto opened = io::MappedFile::open_beside(folder_, file, request_.options.mode);
      return read_({opened->path(), opened, request_.options, request_.depth + 1});
    } catch (const Error& error) {
      if (error.code != Code::NotFound) throw;
      throw Error(Code::Corrupt, at("split.count"), "a part of the model is missing",
                  folder_ + "/" + base::escape_for_terminal(file), "no such file",
                  "fetch the missing file into the same folder; --salvage reads the others");
    }
  }

  /// llama.cpp trusts the names; a part of another model under the right name is told by its numbers.
  void require_place(const CheckpointCore& part, std::uint64_t number, std::uint64_t count) const {
    const auto expect = [&](const char* key, std::uint64_t expected) {
      const auto found = number_of(part, key);
      if (found == expected) return;
      throw Error(Code::Corrupt, {part.file, {}, key, {}}, "the part does not belong where its name says",
                  std::to_string(expected), found ? std::to_string(*found) : "no such number", std::string(kNext));
    };
    expect("split.no", number - 1);
    expect("split.count", count);
  }

  /// Nothing is claimed of a part that repeats a name.
  void claim_names(const CheckpointCore& part, const std::string& file) {
    for (const TensorInfo& tensor : part.tensors)
      if (const auto other = owners_.find(tensor.name); other != owners_.end())
        throw Error(Code::Corrupt, {part.file, {}, tensor.name, {}}, "two parts hold a tensor of the same name", "one",
                    base::escape_for_terminal(other->second) + " and " + base::escape_for_terminal(file),
                    std::string(kNext));
    for (const TensorInfo& tensor : part.tensors) owners_.emplace(tensor.name, file);
  }

  void check_total() const {
    const auto total = number_of(whole_, "split.tensors.count");
    if (!total || *total == whole_.tensors.size()) return;
    const Error wrong(Code::Corrupt, at("split.tensors.count"),
                      "the parts hold another number of tensors than they say", std::to_string(*total),
                      std::to_string(whole_.tensors.size()), std::string(kNext));
    if (whole_.salvage == Salvage::No) throw wrong;
    whole_.warnings.push_back(wrong.what());
  }

  Where at(const char* key) const { return {request_.path, {}, key, {}}; }

  const OpenRequest& request_;
  CheckpointCore& whole_;
  Reader read_;
  std::string folder_;
  std::unordered_map<std::string, std::string> owners_;  ///< tensor -> file
};

}  // namespace

std::string GgufPartName::of(std::uint64_t other) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, other, count);
}

std::optional<GgufPartName> parse_gguf_part(std::string_view file_name) {
  constexpr std::string_view kSuffix = ".gguf", kOf = "-of-";
  if (!file_name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view stem = file_name.substr(0, file_name.size() - kSuffix.size());
  const std::size_t of = stem.rfind(kOf);
  if (of == std::string_view::npos || of == 0) return std::nullopt;
  const std::size_t dash = stem.rfind('-', of - 1);
  if (dash == std::string_view::npos) return std::nullopt;
  const auto number = number_in(stem.substr(dash + 1, of - dash - 1)), count = number_in(stem.substr(of + kOf.size()));
  if (!number || !count || *number < 1 || *number > *count) return std::nullopt;
  GgufPartName name{std::string(stem.substr(0, dash)), *number, *count};
  if (name.of(*number) != file_name) return std::nullopt;  // written with other digits: the others cannot be guessed
  return name;
}

std::shared_ptr<CheckpointCore> join_gguf_parts(const OpenRequest& request, std::shared_ptr<CheckpointCore> first,
                                                Reader read) {
  const std::uint64_t count = number_of(*first, "split.count").value_or(0);
  if (count < 2) return first;
  if (number_of(*first, "split.no") != 0U) {
    note_part(*first, count, "; name the first one to read all");
  } else if (request.depth > 0) {
    note_part(*first, count, "; the others are not looked for inside of another file");
  } else if (const auto name = parse_gguf_part(fs::path(request.path).filename().string());
             !name || name->number != 1 || name->count != count) {
    note_part(*first, count, "; its name does not tell those of the others, as `name-00001-of-00003.gguf` does");
  } else {
    Parts(request, *first, read).add_all(*name);
  }
  return first;
}

}  // namespace tenon::formats
