// save_io: saving fails outside the model: the disk, permissions, a folder that is not there, another writer, a size
// limit.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kAtomic =
    "save to a new name and rename, so that the old file stays whole: tenon and tenon::torch::save do";

constexpr Reading kReadings[] = {
    {Symptom::FullDisk, 0.97, "no space is left where the file is written", "the disk is full, or a quota is used up",
     "free space, keep fewer checkpoints, or write elsewhere"},
    {Symptom::Denied, 0.93, "the program may not write or read there",
     "permissions, a read-only file system, or a file that belongs to someone else",
     "choose another folder, or change its permissions"},
    {Symptom::NoFolder, 0.8, "the path does not exist as the program writes it",
     "the folder was never made, another rank is faster, or the path is relative to another working directory",
     "make the folder first: os.makedirs(folder, exist_ok=True)"},
    {Symptom::LockedFile, 0.9, "another process, or this one, still has the file open",
     "several ranks or workers write one path, or a mapped file is written over",
     "let one rank write, each to its own name; close or copy tensors of a mapped file first"},
    {Symptom::SizeLimit, 0.9, "the file would be larger than the format or a call allows",
     "protobuf ends at 2 GB, pickle before protocol 4 at 4 GiB, an HDF5 attribute at 64 KiB",
     "keep tensors outside (external data), save shards, or use pickle_protocol=4"},
    {Symptom::WriteFailed, 0.93, "the file could not be written to its end",
     "most often the disk or a quota is full; the archive's end then finds itself at another place",
     "free space, then save again; the file that is there is not whole"},
    {Symptom::NoMemory, 0.85, "memory ran out while the file was written or read",
     "a whole copy of the tensors was made on the way", "save tensor by tensor or in shards"},
    {Symptom::LargeHeader, 0.35, "the header may be legal and larger than the reader allows",
     "safetensors readers end at 100 MB of header: some hundred thousand tensors", "split the file, or stack tensors"},
    {Symptom::BadName, 0.3, "a name or path is not one that can be written",
     "file systems and formats forbid some characters", "give it another name"},
};

}  // namespace

std::optional<Finding> find_save_io(const Case& facts) {
  auto finding = read_sightings(facts, kReadings);
  if (finding && finding->cause.confidence > 0.5) finding->cause.help.emplace_back(kAtomic);
  return finding;
}

}  // namespace tenon::diagnosis
