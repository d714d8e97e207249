// corrupt_file: the file is cut, damaged, or something else was saved under its name (a web page, a git-lfs pointer).
//
// From a file: its first and last bytes (file_kind.hpp) and what its reader found. From a text: the loader's last
// words, which are often a follow-up: "failed finding central directory" is a zip without its end, or a file that never
// was a zip.
#include "base/text.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kDownload =
    "download or copy the file again and compare its size, or its checksum, with the original";

std::string error_evidence(const Error& error) {
  std::string text = error.what_happened;
  if (!error.where.member.empty()) text = "member " + quoted(error.where.member) + ": " + text;
  if (error.where.byte) text += " at byte " + base::count_text(*error.where.byte);
  if (!error.expected.empty()) text += ", expected " + error.expected;
  if (!error.found.empty()) text += ", found " + error.found;
  return text;
}

std::optional<Finding> in_file(const UnreadableFile& file) {
  const bool is_damaged = file.kind.condition == Condition::Damaged || file.kind.condition == Condition::Stand;
  const bool is_contradicted =
      file.error && file.error->code == Code::Corrupt && file.kind.condition == Condition::Unknown;
  if (!is_damaged && !is_contradicted) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = is_damaged ? 0.98 : 0.9;
  cause.place = file.path;
  cause.keys = 1;
  cause.summary = is_damaged ? "the file is " + file.kind.what : "the file contradicts its own format";
  cause.why = file.kind.condition == Condition::Stand
                  ? "a download or a checkout put it in the file's place"
                  : "a download, copy or save was interrupted, or the bytes changed since";
  if (!file.kind.evidence.empty()) cause.evidence.push_back(file.kind.evidence);
  if (file.error) cause.evidence.push_back(error_evidence(*file.error));
  cause.help = {file.kind.help.empty() ? std::string(kDownload) : file.kind.help};
  return finding;
}

constexpr std::string_view kSee = "see what the file is    tenon check FILE --against TARGET";
constexpr Reading kReadings[] = {
    {Symptom::LfsPointer, 0.98, "the file is a git-lfs pointer, not the file that it stands for",
     "a checkout without git-lfs leaves the pointer", "git lfs pull"},
    {Symptom::WebPage, 0.9, "the file is a web page: a login, quota or confirmation page",
     "a download stored the page in the file's place", kDownload},
    {Symptom::CutArchive, 0.85,
     "the file is no whole zip archive: its directory, which stands at the end, was not found",
     "a download, upload or copy was cut; or the file is of another kind and never was a zip archive", kDownload},
    {Symptom::DamagedArchive, 0.95, "the archive has its directory, and an entry in it is damaged",
     "bytes changed in a copy, or two processes wrote the file at once", kDownload},
    {Symptom::EarlyEnd, 0.95, "the file ends before its content does", "a save, download or copy was interrupted",
     kDownload},
    {Symptom::StorageSize, 0.9, "a tensor's bytes are not as many as the file says",
     "the file was cut, or several processes wrote to one path", kDownload},
    {Symptom::BadHeader, 0.9, "the safetensors header contradicts the file",
     "the file is cut, or a git-lfs pointer or web page stands in its place", kDownload},
    {Symptom::LargeHeader, 0.85, "the safetensors header would be longer than any reader allows",
     "the first eight bytes are text, of a git-lfs pointer or web page; or the header is legal and beyond the reader's "
     "limit",
     kDownload},
    {Symptom::BadHdf5, 0.88, "the HDF5 file is cut or damaged, or is no HDF5 file",
     "a save or download was interrupted, or another format was saved under this name", kDownload},
    {Symptom::BadTensorTable, 0.8, "the TensorFlow bundle is damaged, or is another kind of file",
     "a copy lost or changed a part: index, data and metadata belong together", kDownload},
    {Symptom::BadHash, 0.92, "the file's digest is not the one that was published",
     "a download was cut or changed, or another version was published", kDownload},
    {Symptom::BadStream, 0.85, "the pickle's operations make no sense",
     "the file is damaged, or its bytes are of another format", kDownload},
    {Symptom::BadMagic, 0.5, "the file does not begin as a checkpoint does",
     "it is damaged, or it is another kind of pickle than torch.save writes", kDownload},
    {Symptom::AbsentShard, 0.85, "one of the files that the checkpoint is spread over is not there: `%`",
     "a download or copy left it out, or the index names another count", kDownload},
    {Symptom::AbsentFile, 0.5, "a file of the checkpoint is not there: `%`",
     "a shard or part was not downloaded or copied", kDownload},
};

/// What the first byte that was no pickle tells.
struct FirstByte {
  std::string_view detail;
  std::string_view what;
  std::string_view help;
};
constexpr FirstByte kFirstBytes[] = {
    {"v", "the file is a git-lfs pointer (it begins with `version`), not the file that it stands for", "git lfs pull"},
    {"<", "the file is a web page (it begins with `<`): a login, quota or confirmation page", kDownload},
    {"\\x00", "the file begins with zeros: its content never reached the disk, or it is of another format", kDownload},
};

Finding from_load_key(const Case& facts, const Sighting& sighting) {
  Finding finding;
  Cause& cause = finding.cause;
  cause.place = facts.checkpoint.label;
  cause.keys = 1;
  cause.confidence = 0.6;
  cause.summary = "the file begins with " + quoted(sighting.detail) + ", and no pickle does";
  cause.why = "another file was saved under this name, or it is damaged";
  cause.evidence = {sighting.excerpt + "'"};
  cause.help = {std::string(kDownload)};
  for (const FirstByte& row : kFirstBytes) {
    if (row.detail != sighting.detail) continue;
    cause.confidence = 0.95;
    cause.summary = row.what;
    cause.help = {std::string(row.help)};
  }
  return finding;
}

std::optional<Finding> in_text(const Case& facts) {
  if (const Sighting* sighting = facts.text->find(Symptom::LoadKey)) return from_load_key(facts, *sighting);
  auto finding = read_sightings(facts, kReadings);
  if (finding) finding->cause.help.emplace_back(kSee);
  return finding;
}

}  // namespace

std::optional<Finding> find_corrupt_file(const Case& facts) {
  if (facts.unreadable != nullptr) return in_file(*facts.unreadable);
  // A checkpoint that was opened is readable, whatever a text says of another attempt.
  if (facts.text != nullptr && !facts.checkpoint.values) return in_text(facts);
  return std::nullopt;
}

}  // namespace tenon::diagnosis
