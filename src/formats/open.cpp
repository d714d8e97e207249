// open(): tells the format by content and hands the file to its reader.
#include <tenon/checkpoint.hpp>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/text.hpp"
#include <tenon/save.hpp>

#include "formats/detect.hpp"
#include "formats/npy.hpp"
#include "formats/npz.hpp"
#include "formats/onnx.hpp"
#include "formats/safetensors.hpp"
#include "formats/torch_legacy.hpp"
#include "formats/torch_zip.hpp"

namespace tenon {

namespace {

namespace fs = std::filesystem;
using formats::CheckpointCore;
using formats::OpenRequest;

std::shared_ptr<CheckpointCore> open_zip(const OpenRequest& request) {
  const auto damage =
      request.options.salvage == Salvage::Yes ? container::ZipDamage::Salvage : container::ZipDamage::Refuse;
  const container::ZipReader zip(request.file->bytes(), request.path, request.options.limits, damage);
  if (formats::is_npz(zip)) return formats::open_npz(request, zip);
  if (formats::find_data_pickle(zip).empty()) formats::refuse_archive(zip, request.path);
  return formats::open_torch_zip(request, zip);
}

// A new format: its file pair, and a row here and in detect().
constexpr std::pair<formats::Known, formats::Reader> kReaders[] = {
    {formats::Known::Zip, open_zip},
    {formats::Known::TorchLegacy, formats::open_torch_legacy},
    {formats::Known::Safetensors, formats::open_safetensors},
    {formats::Known::Npy, formats::open_npy},
    {formats::Known::Onnx, formats::open_onnx},
};

formats::Reader reader_for(formats::Known known) {
  for (const auto& [format, reader] : kReaders)
    if (format == known) return reader;
  throw Bug("a known format without a reader");
}

[[noreturn]] void refuse_folder(const std::string& path) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(path, failed))
    if (format_from_suffix(entry.path().string())) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  const std::size_t count = names.size();
  names.resize(std::min<std::size_t>(count, 3));
  throw Error(Code::Unsupported, Where{path, {}, {}, {}}, "this is a folder; tenon reads single files", "a file",
              count == 0 ? "a folder without checkpoint files"
                         : base::plural(count, "checkpoint file") + " in it: " + base::join(names, ", "),
              "name one of its files");
}

/// A blueprint belongs to a checkpoint when it is inside it, or beside it as FILE.blueprint.json.
std::string find_blueprint(const CheckpointCore& core, const Limits& limits) {
  if (!core.blueprint_json.empty()) return core.blueprint_json;
  const std::string beside = core.file + ".blueprint.json";
  if (io::path_kind(beside) != io::PathKind::File) return {};
  return io::read_text(beside, limits.json_file_bytes);
}

}  // namespace

Checkpoint open(const std::string& path, const OpenOptions& options) {
  if (io::path_kind(path) == io::PathKind::Folder) refuse_folder(path);
  const OpenRequest request{path, io::MappedFile::open(path, options.mode), options};
  const auto core = reader_for(formats::detect(request.file->bytes(), path))(request);
  core->blueprint_json = find_blueprint(*core, options.limits);
  return Checkpoint(core);
}

}  // namespace tenon
