// open(): tells the format by content and hands the file to its reader.
#include <tenon/checkpoint.hpp>

#include <utility>

#include "base/limit_error.hpp"
#include "base/text.hpp"
#include "formats/detect.hpp"
#include "formats/folder.hpp"
#include "formats/gguf.hpp"
#include "formats/npy.hpp"
#include "formats/npz.hpp"
#include "formats/onnx.hpp"
#include "formats/open.hpp"
#include "formats/pickle.hpp"
#include "formats/safetensors.hpp"
#include "formats/sharded.hpp"
#include "formats/torch_legacy.hpp"
#include "formats/torch_tar.hpp"
#include "formats/torch_zip.hpp"
#include "formats/torchsharp.hpp"
#include "formats/wrapped.hpp"

namespace tenon {

namespace {

using formats::CheckpointCore;
using formats::OpenRequest;

std::shared_ptr<CheckpointCore> open_zip(const OpenRequest& request) {
  const auto damage =
      request.options.salvage == Salvage::Yes ? container::ZipDamage::Salvage : container::ZipDamage::Refuse;
  const container::ZipReader zip(request.file->bytes(), request.path, request.options.limits, damage);
  if (!formats::find_data_pickle(zip).empty()) return formats::open_torch_zip(request, zip);
  if (formats::is_npz(zip)) return formats::open_npz(request, zip);
  if (auto core = formats::open_zip_of_checkpoints(request, zip)) return core;
  formats::refuse_archive(zip, request.path);
}

// A new format: its file pair, and a row here and in detect().
constexpr std::pair<formats::Known, formats::Reader> kReaders[] = {
    {formats::Known::Zip, open_zip},
    {formats::Known::TorchLegacy, formats::open_torch_legacy},
    {formats::Known::Safetensors, formats::open_safetensors},
    {formats::Known::ShardIndex, formats::open_sharded},
    {formats::Known::Gzip, formats::open_gzip},
    {formats::Known::Gguf, formats::open_gguf},
    {formats::Known::TorchTar, formats::open_torch_tar},
    {formats::Known::Tar, formats::open_tar_of_checkpoints},
    {formats::Known::TorchSharp, formats::open_torchsharp},
    {formats::Known::Pickle, formats::open_pickle},
    {formats::Known::Npy, formats::open_npy},
    {formats::Known::Onnx, formats::open_onnx},
};

formats::Reader reader_for(formats::Known known) {
  for (const auto& [format, reader] : kReaders)
    if (format == known) return reader;
  throw Bug("a known format without a reader");
}

/// A blueprint belongs to a checkpoint when it is inside it, or beside it as FILE.blueprint.json.
std::string find_blueprint(const CheckpointCore& core, const Limits& limits) {
  if (!core.blueprint_json.empty()) return core.blueprint_json;
  const std::string beside = core.file + ".blueprint.json";
  if (io::path_kind(beside) != io::PathKind::File) return {};
  return io::read_text(beside, limits);
}

}  // namespace

std::shared_ptr<CheckpointCore> formats::open_core(const OpenRequest& request) {
  if (request.depth > request.options.limits.wrapper_depth)
    throw base::limit_error({request.path, {}, {}, {}}, "checkpoints stand too deep within one another",
                            {&Limits::wrapper_depth, request.options.limits}, {}, "unpack the outer ones first");
  auto core = reader_for(detect(request.file->bytes(), request.path))(request);
  core->bytes_check = request.options.check;
  return core;
}

Checkpoint open(const std::string& path, const OpenOptions& options) {
  const bool is_folder = io::path_kind(path) == io::PathKind::Folder;
  const auto core = is_folder ? formats::open_folder(path, options)
                              : formats::open_core({path, io::MappedFile::open(path, options.mode), options});
  core->blueprint_json = find_blueprint(*core, options.limits);
  if (options.salvage == Salvage::Yes && options.check == Check::Yes) formats::leave_out_damaged(*core);
  return Checkpoint(core);
}

}  // namespace tenon
