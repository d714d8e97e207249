#include "faults/writers.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <stdexcept>
#include <utility>

#include "formats/writer.hpp"
#include "save/journal.hpp"
#include "save/save_through.hpp"

namespace tenon::test {

namespace {

const std::string kSafetensors = "d/model.safetensors";
const std::string kZip = "d/model.pt";
const std::string kIndex = "d/model.safetensors.index.json";
const std::string kPlain = "d/plain";

Snapshot snapshot_of(const Version& version, std::size_t tensors, std::size_t bytes_each) {
  Snapshot snapshot;
  for (std::size_t i = 0; i < tensors; ++i)
    add_tensor(snapshot, "layer." + std::to_string(i),
               make_tensor(DType::UInt8, {static_cast<std::int64_t>(bytes_each)},
                           std::vector<std::byte>(bytes_each, static_cast<std::byte>(version.mark))));
  return snapshot;
}

/// Files of one version, as a save without faults writes them, in the order of their names.
std::vector<std::string> expected_files(const std::function<void(io::Fs&, const Version&)>& save, char mark,
                                        const std::string& index) {
  ModelFs fs;
  save(fs, {mark});
  std::vector<std::string> contents;
  for (const std::string& path : fs.paths())
    if (path != index) contents.push_back(*fs.content(path));
  return contents;
}

/// Which of the versions that the sweeps save has these files.
char version_with(const std::vector<std::string>& contents,
                  const std::vector<std::pair<char, std::vector<std::string>>>& versions) {
  for (const auto& [mark, expected] : versions)
    if (contents == expected) return mark;
  return '?';
}

Writer writer_of_one_file(std::string name, std::string path, std::function<void(io::Fs&, const Version&)> save) {
  std::vector<std::pair<char, std::vector<std::string>>> versions;
  for (const char mark : {'a', 'b', 'c'}) versions.emplace_back(mark, expected_files(save, mark, {}));
  Writer writer;
  writer.name = std::move(name);
  writer.save = std::move(save);
  writer.read = [path, versions](ModelFs& fs) {
    const auto content = fs.content(path);
    return content ? version_with({*content}, versions) : '-';
  };
  writer.left_behind = [path](ModelFs& fs) {
    std::vector<std::string> others = fs.paths();
    std::erase(others, path);
    return others;
  };
  return writer;
}

Writer writer_with_index(std::string name, std::function<void(io::Fs&, const Version&)> save) {
  std::vector<std::pair<char, std::vector<std::string>>> versions;
  for (const char mark : {'a', 'b', 'c'}) versions.emplace_back(mark, expected_files(save, mark, kIndex));
  Writer writer;
  writer.name = std::move(name);
  writer.save = std::move(save);
  writer.read = [versions](ModelFs& fs) {
    if (!fs.content(kIndex)) return '-';
    std::vector<std::string> contents;
    for (const saving::JournalRow& row : saving::shards_of_index(fs, kIndex))
      contents.push_back(*fs.content("d/" + row.name));
    return version_with(contents, versions);
  };
  writer.left_behind = [](ModelFs& fs) {
    std::set<std::string> known = {kIndex};
    for (const saving::JournalRow& row : saving::shards_of_index(fs, kIndex)) known.insert("d/" + row.name);
    std::vector<std::string> others = fs.paths();
    std::erase_if(others, [&](const std::string& path) { return known.contains(path); });
    return others;
  };
  return writer;
}

// ---- the mistakes

void check(ssize_t result) {
  if (result < 0) throw std::runtime_error("a call failed");
}

int open_new(io::Fs& fs, const std::string& path) {
  const int file = fs.create(path, io::Readers::ByUmask);
  check(file);
  return file;
}

void write_all(io::Fs& fs, int file, std::string_view text) {
  for (std::uint64_t at = 0; at < text.size();) {
    const ssize_t count = fs.write(file, std::as_bytes(std::span(text.substr(at))), at);
    check(count);
    at += static_cast<std::uint64_t>(count);
  }
}

void sync_folder(io::Fs& fs, const std::string& folder) {
  const int opened = fs.open_folder(folder);
  check(opened);
  const int synced = fs.sync(opened);
  fs.close(opened);
  check(synced);
}

std::string plain_text(const Version& version) { return std::string(5'000, version.mark); }

/// Where a bad writer makes its temporary file, and whether it starts clean.
int temporary(io::Fs& fs, const std::string& path) {
  fs.unlink(path);
  return open_new(fs, path);
}

/// The right order, with one step to leave out or to do wrong.
struct Steps {
  std::string temporary = "d/plain.tmp";
  std::function<void(io::Fs&, int, std::string_view)> write = write_all;
  std::function<void(io::Fs&, int)> sync = [](io::Fs& fs, int file) { check(fs.sync(file)); };
  std::function<void(io::Fs&, int)> close = [](io::Fs& fs, int file) { check(fs.close(file)); };
  std::function<void(io::Fs&)> sync_names = [](io::Fs& fs) { sync_folder(fs, "d"); };
  bool name_before_sync = false;
};

void save_by(const Steps& steps, io::Fs& fs, const Version& version) {
  const int file = temporary(fs, steps.temporary);
  try {
    steps.write(fs, file, plain_text(version));
    if (steps.name_before_sync) check(fs.rename(steps.temporary, kPlain, io::Overwrite::Yes));
    steps.sync(fs, file);
    steps.close(fs, file);
    if (!steps.name_before_sync) check(fs.rename(steps.temporary, kPlain, io::Overwrite::Yes));
  } catch (const std::runtime_error&) {
    fs.unlink(steps.temporary);
    throw;
  }
  steps.sync_names(fs);
}

Writer bad(std::string name, Steps steps) {
  return writer_of_one_file(std::move(name), kPlain, [steps = std::move(steps)](io::Fs& fs, const Version& version) {
    save_by(steps, fs, version);
  });
}

/// Removes the old file, then writes the new one in its place: what open(path, "wb") comes to.
void save_in_place(io::Fs& fs, const Version& version) {
  fs.unlink(kPlain);
  const int file = open_new(fs, kPlain);
  write_all(fs, file, plain_text(version));
  check(fs.sync(file));
  check(fs.close(file));
  sync_folder(fs, "d");
}

/// A temporary folder may be another file system; what moves files there falls back to copying.
void save_from_another_folder(io::Fs& fs, const Version& version) {
  const std::string aside = "e/plain.tmp";
  const int file = temporary(fs, aside);
  write_all(fs, file, plain_text(version));
  check(fs.sync(file));
  check(fs.close(file));
  if (fs.rename(aside, kPlain, io::Overwrite::Yes) < 0) save_in_place(fs, version);
  fs.unlink(aside);
}

/// One durable file under its final name, as part of a checkpoint in several.
void write_file(io::Fs& fs, const std::string& path, std::string_view text) {
  const int file = temporary(fs, path + ".tmp");
  write_all(fs, file, text);
  check(fs.sync(file));
  check(fs.close(file));
  check(fs.rename(path + ".tmp", path, io::Overwrite::Yes));
}

void write_index(io::Fs& fs) {
  write_file(fs, kIndex,
             R"({"weight_map": {"x": "model-00001-of-00002.safetensors", "y": "model-00002-of-00002.safetensors"}})");
}

void write_shards(io::Fs& fs, const Version& version) {
  for (const char* name : {"d/model-00001-of-00002.safetensors", "d/model-00002-of-00002.safetensors"})
    write_file(fs, name, plain_text(version));
}

}  // namespace

Writer single_writer(std::size_t bytes, bool as_torch_zip) {
  const std::string path = as_torch_zip ? kZip : kSafetensors;
  const Format format = as_torch_zip ? Format::PytorchZip : Format::Safetensors;
  return writer_of_one_file("one file", path, [=](io::Fs& fs, const Version& version) {
    saving::save_through(fs, snapshot_of(version, 1, bytes), path, {.format = format, .existing = Existing::Replace});
  });
}

Writer sharded_writer(std::size_t shards, std::size_t bytes_each) {
  return writer_with_index("shards", [=](io::Fs& fs, const Version& version) {
    saving::save_through(fs, snapshot_of(version, shards, bytes_each), kSafetensors,
                         {.existing = Existing::Replace, .max_shard_bytes = bytes_each});
  });
}

std::vector<Writer> bad_writers() {
  const auto no_sync = [](io::Fs&, int) {};
  std::vector<Writer> writers;
  writers.push_back(writer_of_one_file("writes in place", kPlain, save_in_place));
  writers.push_back(bad("no fsync of the file", {.sync = no_sync}));
  writers.push_back(bad("no fsync of the folder", {.sync_names = [](io::Fs&) {}}));
  writers.push_back(bad("tries a failed fsync again", {.sync = [](io::Fs& fs, int file) {
                          if (fs.sync(file) < 0) check(fs.sync(file));
                        }}));
  writers.push_back(bad("does not look at what close says", {.close = [](io::Fs& fs, int file) { fs.close(file); }}));
  writers.push_back(bad("does not look at what fsync says", {.sync = [](io::Fs& fs, int file) { fs.sync(file); }}));
  writers.push_back(
      bad("does not look at how much was written", {.write = [](io::Fs& fs, int file, std::string_view text) {
            check(fs.write(file, std::as_bytes(std::span(text)), 0));
          }}));
  writers.push_back(bad("renames before fsync", {.name_before_sync = true}));
  writers.push_back(writer_of_one_file("temporary in another folder", kPlain, save_from_another_folder));
  writers.push_back(writer_with_index("index first", [](io::Fs& fs, const Version& version) {
    write_index(fs);
    write_shards(fs, version);
    sync_folder(fs, "d");
  }));
  writers.push_back(writer_with_index("replaces shards under their old names", [](io::Fs& fs, const Version& version) {
    write_shards(fs, version);
    sync_folder(fs, "d");
    write_index(fs);
    sync_folder(fs, "d");
  }));
  return writers;
}

}  // namespace tenon::test
