#include "save/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <tenon/error.hpp>

#include "base/json_reader.hpp"
#include "io/atomic_file.hpp"
#include "io/temporary.hpp"
#include "save/shards.hpp"

namespace tenon::saving {

namespace {

namespace paths = std::filesystem;

constexpr std::string_view kFirstLine = "tenon journal 1";
/// Shard indices of the largest models have some 10 MB; a journal has a line for each shard.
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{256} << 20U;
constexpr std::uint64_t kMaxJournalBytes = std::uint64_t{16} << 20U;
constexpr std::uint64_t kMaxIndexDepth = 16;

bool is_one_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\0\n", 3)) == name.npos;
}

/// Twice: an error that passes must not leave files behind.
std::optional<io::FileState> state_of(io::Fs& fs, const std::string& path) {
  const auto state = fs.state(path);
  return state || fs.is_missing(path) ? state : fs.state(path);
}

enum class Found : std::uint8_t { Same, Other, Untold };

/// What stands under a name of a journal: the file that was meant, another or none, or what nobody can tell.
Found look_for(io::Fs& fs, const std::string& path, const JournalRow& row) {
  const auto state = state_of(fs, path);
  if (!state) return fs.is_missing(path) ? Found::Other : Found::Untold;
  const bool is_same = !state->is_folder && state->inode == row.inode && state->size == row.bytes;
  return is_same ? Found::Same : Found::Other;
}

std::string line_of(std::string_view kind, const JournalRow& row) {
  return fmt::format("{} {} {} {}\n", kind, row.inode, row.bytes, row.name);
}

/// Takes the text up to the next space.
std::string_view next_word(std::string_view& line) {
  const std::size_t space = line.find(' ');
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space == line.npos ? line.size() : space + 1);
  return word;
}

std::optional<std::uint64_t> number_of(std::string_view word) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc{} && end == word.data() + word.size() ? std::optional(number) : std::nullopt;
}

/// Nothing for a journal that was cut or is none: its writer died before it gave the first name.
std::optional<Journal> parse_journal(std::string_view text) {
  if (!text.ends_with("end\n")) return std::nullopt;
  Journal journal;
  std::string_view rest = text;
  for (bool first = true; !rest.empty(); first = false) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (first) {
      if (line != kFirstLine) return std::nullopt;
      continue;
    }
    if (line == "end") return rest.empty() ? std::optional(std::move(journal)) : std::nullopt;
    const std::string_view kind = next_word(line);
    if (kind == "of") {
      journal.output = line;
      continue;
    }
    const auto inode = number_of(next_word(line)), bytes = number_of(next_word(line));
    if (!inode || !bytes || !is_one_component(line)) return std::nullopt;
    const JournalRow row{std::string(line), *inode, *bytes};
    if (kind == "index") journal.index = row;
    if (kind == "new") journal.made.push_back(row);
    if (kind == "old") journal.replaced.push_back(row);
  }
  return std::nullopt;
}

/// A journal that names anything else was written by no save.
bool names_only_shards(const Journal& journal) {
  const auto is_shard = [&](const JournalRow& row) { return is_shard_of(row.name, journal.output); };
  return is_one_component(journal.output) && std::all_of(journal.made.begin(), journal.made.end(), is_shard) &&
         std::all_of(journal.replaced.begin(), journal.replaced.end(), is_shard);
}

/// The values of "weight_map", each once.
std::set<std::string> files_named_in(const std::string& text, const std::string& path) {
  std::set<std::string> files;
  base::JsonReader json(text, path, 0, kMaxIndexDepth);
  json.begin_object();
  while (const auto key = json.next_key()) {
    if (*key != "weight_map") {
      json.skip_value();
      continue;
    }
    json.begin_object();
    while (json.next_key()) files.emplace(json.string("a file"));
  }
  return files;
}

}  // namespace

FolderLock::FolderLock(io::Fs& fs, const std::string& folder)
    : fs_(fs), folder_(fs.open_folder(folder)), is_held_(folder_ >= 0 && fs.lock(folder_) == 0) {}

FolderLock::FolderLock(io::Fs& fs, const std::string& folder, const io::Check& check) : FolderLock(fs, folder) {
  // Not by a call that waits: an interrupt could not be heard in it.
  constexpr std::chrono::milliseconds kLongest(20);
  std::chrono::milliseconds pause(1);
  while (!is_held_ && folder_ >= 0) {
    const int error = fs_.lock(folder_);
    is_held_ = error == 0;
    if (error != -EWOULDBLOCK) return;  // there may be no locks at all
    check();
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongest);
  }
}

FolderLock::~FolderLock() {
  if (folder_ >= 0) fs_.close(folder_);
}

std::string write_journal(io::Fs& fs, const std::string& folder, const Journal& journal) {
  if ((journal.output + journal.index.name).find('\n') != std::string::npos)
    throw Error(Code::Invalid, {io::path_in(folder, journal.index.name), {}, {}, {}},
                "a checkpoint in several files cannot have a line break in its name", "a name of one line", {},
                "choose another name");
  std::string text = std::string(kFirstLine) + "\nof " + journal.output + "\n" + line_of("index", journal.index);
  for (const JournalRow& row : journal.made) text += line_of("new", row);
  for (const JournalRow& row : journal.replaced) text += line_of("old", row);
  text += "end\n";
  std::string path = io::temporary_path(fs, folder, journal.index.name, io::Temporary::Journal);
  io::AtomicFile file(path, Existing::Refuse, text.size(), fs);
  file.write(std::as_bytes(std::span(text)));
  file.finish(Durability::Fsync);
  file.publish();
  try {
    file.sync_folder();
  } catch (...) {
    file.withdraw();
    throw;
  }
  return path;
}

Removal::Removal(io::Fs& fs, const std::string& folder, std::vector<JournalRow> rows)
    : fs_(fs), rows_(std::move(rows)) {
  for (JournalRow& row : rows_) row.name = io::path_in(folder, row.name);
}

bool Removal::run() const {
  bool all = true;
  for (const JournalRow& row : rows_) {
    const Found found = look_for(fs_, row.name, row);
    if (found == Found::Untold || (found == Found::Same && fs_.unlink(row.name) < 0)) all = false;
  }
  return all;
}

namespace {

/// Whether nothing of it is left to do.
bool carry_out(io::Fs& fs, const std::string& folder, Journal journal) {
  // A look that fails must not pass for a save that has not happened: its shards would be removed.
  const Found index = look_for(fs, io::path_in(folder, journal.index.name), journal.index);
  if (index == Found::Untold) return false;
  return Removal(fs, folder, std::move(index == Found::Same ? journal.replaced : journal.made)).run();
}

}  // namespace

void recover(io::Fs& fs, const std::string& folder, const FolderLock& held) {
  if (!held.is_held()) return;
  for (const std::string& path : io::stale_temporaries(fs, folder, io::Temporary::Journal)) {
    const auto text = io::read_small_file(fs, path, kMaxJournalBytes, io::Owner::Self);
    if (!text) continue;  // another user's; or it may be whole, and the next save looks again
    auto journal = parse_journal(*text);
    if (journal && !names_only_shards(*journal)) continue;
    if (!journal || carry_out(fs, folder, std::move(*journal))) fs.unlink(path);
  }
}

void recover(io::Fs& fs, const std::string& folder) {
  if (io::stale_temporaries(fs, folder, io::Temporary::Journal).empty()) return;
  recover(fs, folder, FolderLock(fs, folder));
}

std::set<std::string> files_of_index(io::Fs& fs, const std::string& path) {
  auto text = io::read_small_file(fs, path, kMaxIndexBytes);
  // An error that passes must not leave the shards of the old index behind for good.
  if (!text) text = io::read_small_file(fs, path, kMaxIndexBytes);
  if (!text) return {};
  try {
    return files_named_in(*text, path);
  } catch (const Error&) {
    return {};  // no index that tenon reads: nothing of it is touched
  }
}

std::vector<JournalRow> shards_of_index(io::Fs& fs, const std::string& path) {
  const std::string folder = paths::path(path).parent_path().string();
  std::vector<JournalRow> rows;
  for (const std::string& name : files_of_index(fs, path)) {
    if (!is_one_component(name)) continue;
    const auto state = state_of(fs, io::path_in(folder, name));
    if (state && !state->is_folder) rows.push_back({name, state->inode, state->size});
  }
  return rows;
}

}  // namespace tenon::saving
