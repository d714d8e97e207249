// The durable save: check the request, lay the output out, write every file under a temporary name, then give the
// names.
//
//   checked_outputs -> write_digested and finish (each) -> publish
#include <tenon/save.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <tenon/error.hpp>

#include "base/meter.hpp"
#include "base/text.hpp"
#include "formats/npz.hpp"
#include "formats/safetensors.hpp"
#include "formats/torch_zip_writer.hpp"
#include "formats/writer.hpp"
#include "io/atomic_file.hpp"
#include "save/digested_write.hpp"
#include "save/journal.hpp"
#include "save/left_standing.hpp"
#include "save/publish.hpp"
#include "save/save_through.hpp"
#include "save/shards.hpp"

namespace tenon {

namespace {

/// A parameter of shape [0] is what ZeRO-3 leaves on every rank but the owner's, and what a lazy module has before its
/// first run. Other shapes without elements exist for good reasons ([0, 4] of a layer for no classes), and so do empty
/// buffers.
bool is_empty_parameter(const SnapshotTensor& tensor) {
  const std::string_view name = tensor.name;
  const bool parameter = name == "weight" || name == "bias" || name.ends_with(".weight") || name.ends_with(".bias");
  return parameter && tensor.shape == Shape{0};
}

void refuse_no_tensors(const Snapshot& snapshot, const std::string& path) {
  if (snapshot.tensors.empty())
    throw Error(
        Code::Refused, Where{path, {}, {}, {}}, "there is no tensor to save", "at least one tensor", "none",
        "name a checkpoint that holds tensors; a module that keeps its layers in a plain list or vector registers "
        "nothing: register them");
}

void refuse_placeholders(const Snapshot& snapshot, const std::string& path) {
  std::vector<std::string> placeholders, empty;
  bool all_empty = true;
  for (const SnapshotTensor& tensor : snapshot.tensors) {
    if (tensor.placeholder) placeholders.push_back(tensor.name);
    if (is_empty_parameter(tensor)) empty.push_back(tensor.name + " " + base::shape_text(tensor.shape));
    all_empty = all_empty && element_count(tensor.shape) == 0;
  }
  constexpr const char* kGather = "gather the full parameters, or run the model once, then save";
  formats::refuse_if_any(path, placeholders, "these tensors have a shape and no bytes (meta tensors)",
                         "load their values first, then save");
  formats::refuse_if_any(
      path, empty, "these parameters have no elements: placeholders of a sharded (ZeRO-3) or lazy model", kGather);
  if (all_empty)
    throw Error(Code::Refused, Where{path, {}, {}, {}},
                "no tensor has an element: placeholders of a sharded (ZeRO-3) or lazy model", "at least one element",
                base::plural(snapshot.tensors.size(), "empty tensor"), kGather);
}

/// Within one file its writer sees to it; here the two may fall into two shards.
void refuse_two_of_a_name(const Snapshot& snapshot, const std::string& path) {
  std::set<std::string_view> names;
  std::vector<std::string> twice;
  for (const SnapshotTensor& tensor : snapshot.tensors)
    if (!names.insert(tensor.name).second) twice.push_back(tensor.name);
  formats::refuse_if_any(path, twice, "two tensors have the same name", "give one of them another name");
}

formats::Layout lay_out(const formats::WriteRequest& request, Format format) {
  if (format == Format::Safetensors) return formats::lay_out_safetensors(request);
  if (format == Format::PytorchZip) return formats::lay_out_torch_zip(request);
  if (format == Format::Npz) return formats::lay_out_npz(request);
  throw Error(Code::Invalid, Where{request.file, {}, {}, {}}, "tenon does not write this format",
              "safetensors, pytorch-zip or npz", std::string(format_name(format)));
}

/// Arrays of text stand among the tensors of some formats and have a place in none that tenon writes: they are refused
/// by their type, or dropped like objects. Empty where there are none.
std::optional<Snapshot> without_text(const Snapshot& snapshot, const SaveOptions& options) {
  const auto is_text = [](const SnapshotTensor& tensor) { return tensor.dtype == DType::String; };
  const auto& all = snapshot.tensors;
  if (options.objects == Objects::Keep || std::none_of(all.begin(), all.end(), is_text)) return std::nullopt;
  Snapshot kept = snapshot;
  for (const SnapshotTensor& tensor : all)
    if (is_text(tensor)) --kept.containers[tensor.container].tensor_count;
  std::erase_if(kept.tensors, is_text);
  return kept;
}

/// One file to write: where, and what.
struct Output {
  std::string path;
  formats::Layout layout;
};

/// What a save writes, in the order in which the files get their names. Everything that can be refused is refused here.
struct Outputs {
  std::vector<Snapshot> shards;  ///< what the layouts read from, where it is not the whole snapshot
  std::vector<Output> files;
  std::size_t left_out = 0;  ///< arrays of text
};

formats::Layout text_layout(saving::IndexText index) {
  formats::Layout layout;
  layout.file_bytes = index.text.size();
  layout.digests = std::move(index.digests);
  layout.write = [text = std::move(index.text)](const formats::Sink& sink) { sink(std::as_bytes(std::span(text))); };
  return layout;
}

/// The index of shards that are laid out, and, once they are written, know their digests.
formats::Layout index_layout(const Outputs& outputs, const SaveOptions& options,
                             const std::vector<std::string>& digests) {
  std::vector<saving::ShardFile> shards;
  for (std::size_t i = 0; i < outputs.shards.size(); ++i) {
    const Output& file = outputs.files[i];
    shards.push_back({outputs.shards[i], file.path, file.layout.file_bytes, i < digests.size() ? digests[i] : ""});
  }
  return text_layout(saving::index_text(shards, options.digests));
}

Outputs checked_outputs(io::Fs& fs, const Snapshot& snapshot, const std::string& path, const SaveOptions& options,
                        std::uint64_t skipped_generations = 0) {
  refuse_no_tensors(snapshot, path);
  refuse_placeholders(snapshot, path);
  Outputs outputs;
  std::optional<Snapshot> kept = without_text(snapshot, options);
  const Snapshot& whole = kept ? *kept : snapshot;
  outputs.left_out = snapshot.tensors.size() - whole.tensors.size();
  if (options.max_shard_bytes > 0 && options.format == Format::Npz)
    throw Error(Code::Invalid, Where{path, {}, {}, {}}, "an .npz file is not written in shards",
                "safetensors or pytorch-zip", "--max-shard-size with npz", "leave --max-shard-size out");
  if (options.max_shard_bytes > 0) outputs.shards = saving::cut_into_shards(whole, options.max_shard_bytes);
  const std::size_t count = outputs.shards.size();
  if (count <= 1) {
    if (kept) outputs.shards.assign(1, std::move(*kept));
    const Snapshot& only = outputs.shards.empty() ? snapshot : outputs.shards.front();
    outputs.files.push_back({path, lay_out({only, path, options.objects, options.digests}, options.format)});
    return outputs;
  }
  refuse_two_of_a_name(whole, path);
  saving::refuse_index_elsewhere(fs, path);
  // What must not be replaced must not be evaded either.
  const std::uint64_t generation =
      options.existing == Existing::Replace ? saving::next_generation(fs, path, skipped_generations) : 1;
  for (std::size_t i = 0; i < count; ++i) {
    std::string shard = saving::shard_path(path, i + 1, count, generation);
    formats::Layout layout = lay_out({outputs.shards[i], shard, options.objects, options.digests}, options.format);
    outputs.files.push_back({std::move(shard), std::move(layout)});
  }
  outputs.files.push_back({saving::index_path(path), index_layout(outputs, options, {})});
  return outputs;
}

SaveReport report_of(io::Fs& fs, const std::string& path, const Outputs& outputs) {
  SaveReport report;
  report.path = outputs.files.back().path;
  for (const Output& output : outputs.files) {
    report.file_bytes += output.layout.file_bytes;
    report.files.push_back(output.path);
    for (const std::string& note : output.layout.notes)
      if (std::find(report.notes.begin(), report.notes.end(), note) == report.notes.end()) report.notes.push_back(note);
  }
  if (outputs.left_out > 0) report.notes.push_back(base::plural(outputs.left_out, "array") + " of text left out");
  const auto form = outputs.files.size() > 1 ? saving::OutputForm::Shards : saving::OutputForm::OneFile;
  for (std::string& note : saving::left_standing(fs, path, form)) report.notes.push_back(std::move(note));
  return report;
}

std::uint64_t bytes_of(const std::vector<Output>& files) {
  std::uint64_t bytes = 0;
  for (const Output& output : files) bytes += output.layout.file_bytes;
  return bytes;
}

SaveReport save_once(io::Fs& fs, const Snapshot& snapshot, const std::string& path, const SaveOptions& options,
                     std::uint64_t skipped_generations) {
  saving::recover(fs, io::folder_of(path));
  Outputs outputs = checked_outputs(fs, snapshot, path, options, skipped_generations);
  base::Meter meter(options.progress, bytes_of(outputs.files));
  const io::Check check = [&meter] { meter.tell(); };
  // Each file is compared with the free space as well; all together, a full disk shows before the first is written.
  if (outputs.files.size() > 1) io::make_sure_of_room(fs, outputs.files.back().path, bytes_of(outputs.files));
  std::vector<std::unique_ptr<io::AtomicFile>> files;
  std::vector<std::string> digests;
  for (std::size_t i = 0; i < outputs.files.size(); ++i) {
    // The index, or the only file, is what may replace an old one; shards have names of their own.
    const bool is_last = i + 1 == outputs.files.size();
    Output& output = outputs.files[i];
    if (i > 0 && is_last) output.layout = index_layout(outputs, options, digests);
    try {
      // New shards of a private checkpoint are as private as the index that they come under.
      files.push_back(std::make_unique<io::AtomicFile>(output.path, is_last ? options.existing : Existing::Refuse,
                                                       output.layout.file_bytes, fs, outputs.files.back().path));
    } catch (const Error& error) {
      if (is_last || error.code != Code::Exists) throw;
      throw saving::NamesTaken(error);
    }
    digests.push_back(saving::write_digested(output.layout, *files.back(),
                                             [&](std::span<const std::byte> bytes) { meter.add(bytes.size()); }));
    files.back()->finish(options.durability, check);
  }
  // Made before the names are given: a save that has happened must not fail for want of memory.
  SaveReport report = report_of(fs, path, outputs);
  const std::string unsure = fs.unsure_kind(io::folder_of(path));
  if (!unsure.empty() && options.durability == Durability::Fsync)
    report.notes.push_back("the file system (" + unsure + ") may call bytes written that a power cut can still lose");
  saving::publish(fs, path, files, options.durability, check);
  return report;
}

}  // namespace

/// Once more, all of it, where the disk did not take the bytes or another save took the names of the shards meanwhile.
SaveReport saving::save_through(io::Fs& fs, const Snapshot& snapshot, const std::string& path,
                                const SaveOptions& options) {
  constexpr int kAttempts = 20;  // of which all but one fail only while others save there
  std::uint64_t skipped = 0;
  for (int attempt = 1;; ++attempt) {
    try {
      return save_once(fs, snapshot, path, options, skipped);
    } catch (const io::SyncFailed&) {
      if (attempt > 1) throw;
    } catch (const saving::NamesTaken&) {
      if (attempt == kAttempts || options.existing == Existing::Refuse) throw;
      // Somewhere else: two writers that count in step would meet again and again.
      skipped = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) % 1000;
    }
  }
}

SaveReport rehearse_save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
  const Outputs outputs = checked_outputs(io::system_fs(), snapshot, path, options);
  for (const Output& output : outputs.files) io::refuse_unusable_name(io::system_fs(), output.path, options.existing);
  return report_of(io::system_fs(), path, outputs);
}

SaveReport save(const Snapshot& snapshot, const std::string& path, const SaveOptions& options) {
  return saving::save_through(io::system_fs(), snapshot, path, options);
}

}  // namespace tenon
