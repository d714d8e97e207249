// Source of the magic numbers: the formats' own documents, see docs/formats/README.md.
#include "formats/detect.hpp"

#include <algorithm>
#include <optional>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "container/tar_reader.hpp"
#include "formats/gguf.hpp"
#include "formats/npy_header.hpp"
#include "formats/onnx.hpp"
#include "formats/pickle.hpp"
#include "formats/sharded.hpp"
#include "formats/torch_legacy.hpp"
#include "formats/torch_tar.hpp"
#include "formats/torchsharp.hpp"

namespace tenon::formats {

namespace {

constexpr std::string_view kFetchAgain = "fetch the file itself again";
constexpr std::size_t kIndexHead = 1 << 20;  // metadata may stand before the map
constexpr std::string_view kLater = "tenon does not read this format yet";

struct Magic {
  std::size_t at;
  std::string_view bytes;
  std::string_view name;
  std::string_view next;
};
constexpr Magic kMagics[] = {
    {0, "tjgg", "a GGML file of the time before GGUF", kLater},
    {0, "fmgg", "a GGML file of the time before GGUF", kLater},
    {0, "algg", "a GGML adapter of the time before GGUF", kLater},
    {0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)", kLater},
    {512, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)", kLater},
    {0, "BZh", "a bzip2 file", "unpack it, then ask again"},
    {0,
     "\xfd"
     "7zXZ",
     "an xz file", "unpack it, then ask again"},
    {0, "7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, then ask again"},
    {0, "Rar!", "a RAR archive", "unpack it, then ask again"},
    {0, "PYTORCH1", "a TorchScript preview of the time before PyTorch 1.0",
     "load and save it with the PyTorch of that time"},
    {4, "TFL3", "a TensorFlow Lite model", kLater},
    {0,
     "\x7f"
     "ELF",
     "a program or library", "choose the checkpoint"},
    {0, "%PDF", "a PDF document", "choose the checkpoint"},
};

[[noreturn]] void refuse(Code code, const std::string& path, std::string what, std::string expected, std::string found,
                         std::string_view next) {
  throw Error(code, Where{path, {}, {}, 0}, std::move(what), std::move(expected), std::move(found), std::string(next));
}

/// The value of `key ` in the lines of a git-lfs pointer.
std::string pointer_field(std::string_view text, std::string_view key) {
  const std::size_t at = text.find("\n" + std::string(key) + " ");
  if (at == std::string_view::npos) return "unknown";
  const std::size_t begin = at + key.size() + 2;
  return base::escape_for_terminal(text.substr(begin, text.find('\n', begin) - begin));
}

void refuse_pointer(std::string_view head, const std::string& path) {
  if (!head.starts_with("version https://git-lfs")) return;
  refuse(Code::Corrupt, path, "this is a git-lfs pointer, not the file it stands for", "a checkpoint",
         "a pointer to " + pointer_field(head, "size") + " bytes, " + pointer_field(head, "oid"),
         "run `git lfs pull` where the pointer came from, or download the file itself");
}

bool starts_with_any_case(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  return std::equal(prefix.begin(), prefix.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b); });
}

void refuse_web_page(std::string_view head, const std::string& path) {
  std::string_view text = head;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const bool html = starts_with_any_case(text, "<!doctype") || starts_with_any_case(text, "<html") ||
                    starts_with_any_case(text, "<head");
  const bool xml = starts_with_any_case(text, "<?xml") || starts_with_any_case(text, "<error");
  const std::string shown = "`" + base::escape_for_terminal(text.substr(0, 60)) + "`";
  if (html)
    refuse(Code::Corrupt, path, "this is a web page (HTML), not a checkpoint", "a checkpoint", shown,
           "the download gave an error, login or confirmation page: open the address in a browser, then fetch the file "
           "itself");
  if (xml)
    refuse(Code::Corrupt, path, "this is an XML document, likely a storage server's error", "a checkpoint", shown,
           kFetchAgain);
  if (text.starts_with('{') || text.starts_with("[{"))
    refuse(Code::Unsupported, path, "this is JSON text", "a checkpoint", shown,
           "a server's error message, an index or a configuration: name the file that holds the tensors");
}

bool is_zeros(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

void refuse_nothing(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.empty())
    refuse(Code::Corrupt, path, "the file is empty", "a checkpoint", "0 bytes",
           "its writer was stopped or the disk was full: fetch or save it again");
  // A long file is looked at in its first megabyte: reading all of a sparse file to be sure would cost minutes.
  const std::size_t looked_at = std::min<std::size_t>(bytes.size(), 1 << 20);
  if (is_zeros(bytes.first(looked_at)))
    refuse(Code::Corrupt, path, "the file holds zeros", "a checkpoint",
           base::plural(looked_at, "byte") + " of zeros" + (looked_at < bytes.size() ? " at its start" : ""),
           "its writer was stopped or the disk was full: fetch or save it again");
}

void refuse_magic(std::string_view head, const std::string& path) {
  for (const Magic& magic : kMagics)
    if (head.size() > magic.at && head.substr(magic.at).starts_with(magic.bytes))
      refuse(Code::Unsupported, path, "this is " + std::string(magic.name), "a PyTorch or safetensors file", {},
             magic.next);
}

/// A header length that fits a safetensors file, and a header that begins as one.
bool looks_like_safetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 9) return false;
  const auto first = std::to_integer<char>(bytes[8]);
  return first == '{' || first == ' ' || first == '\n' || first == '\t';
}

/// The header's length fits the file and its first byte is right: no zip archive begins so.
bool has_safetensors_header(std::span<const std::byte> bytes) {
  if (!looks_like_safetensors(bytes) || bytes[8] != std::byte{'{'}) return false;
  base::Cursor in(bytes, {});
  return in.u64("header length") <= in.remaining();
}

bool looks_like_text(std::string_view head) {
  return std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
}

}  // namespace

bool is_archive(std::span<const std::byte> bytes) {
  if (container::begins_like_zip(bytes)) return true;
  // Only what begins as nothing else is told by its end: the signature may stand among a tensor's bytes by chance.
  return !looks_like_torch_legacy(bytes) && !has_safetensors_header(bytes) && !looks_like_gguf(bytes) &&
         container::ends_like_zip(bytes);
}

Known detect(std::span<const std::byte> bytes, const std::string& path) {
  refuse_nothing(bytes, path);
  if (is_archive(bytes)) return Known::Zip;
  if (looks_like_torch_legacy(bytes)) return Known::TorchLegacy;
  if (looks_like_gguf(bytes)) return Known::Gguf;
  if (looks_like_torch_tar(bytes)) return Known::TorchTar;
  if (container::looks_like_tar(bytes)) return Known::Tar;
  const std::string_view head = base::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 1024)));
  refuse_pointer(head, path);
  if (head.starts_with("\x1f\x8b")) return Known::Gzip;
  if (head.starts_with(kNpyMagic)) return Known::Npy;
  refuse_magic(head, path);
  if (has_safetensors_header(bytes)) return Known::Safetensors;
  if (looks_like_onnx(bytes)) return Known::Onnx;
  // These two have no mark and are tried: a file that is neither fails within a few bytes.
  if (looks_like_pickle(bytes)) return Known::Pickle;
  if (looks_like_torchsharp(bytes)) return Known::TorchSharp;
  if (looks_like_safetensors(bytes) && !looks_like_text(head)) return Known::Safetensors;
  if (looks_like_text(head) && looks_like_shard_index(base::as_text(bytes.first(std::min(bytes.size(), kIndexHead)))))
    return Known::ShardIndex;
  refuse_web_page(head, path);
  if (head.starts_with("PK"))
    refuse(Code::Corrupt, path, "the archive's first entry is damaged", "PK\\3\\4", {}, kFetchAgain);
  if (bytes.size() < 8)
    refuse(Code::Corrupt, path, "the file is too short for any checkpoint", "8 bytes and more",
           base::plural(bytes.size(), "byte"), kFetchAgain);
  if (looks_like_text(head))
    refuse(Code::Corrupt, path, "this is a text file", "a checkpoint",
           "`" + base::escape_for_terminal(head.substr(0, 60)) + "`", kFetchAgain);
  if (std::all_of(bytes.begin() + 4, bytes.begin() + 8, [](std::byte b) { return b == std::byte{0}; }))
    return Known::Safetensors;
  refuse(Code::Corrupt, path, "no format of checkpoints begins like this", "a PyTorch or safetensors file",
         "bytes `" + base::escape_for_terminal(head.substr(0, 8)) + "`",
         "the file is damaged, encrypted or something else: fetch it again, or ask who made it");
}

void refuse_archive(const container::ZipReader& zip, const std::string& path) {
  const auto any = [&](auto matches) {
    return std::any_of(zip.entries().begin(), zip.entries().end(),
                       [&](const container::ZipEntry& e) { return matches(e.name); });
  };
  const auto unsupported = [&](std::string what, std::string_view next) {
    refuse(Code::Unsupported, path, std::move(what), "a PyTorch archive with an entry `data.pkl`", {}, next);
  };
  if (any([](std::string_view n) { return n == "model.weights.h5"; }))
    unsupported("this is a Keras 3 model (.keras)", kLater);
  if (any([](std::string_view n) { return n.ends_with("/model.json") || n == "model.json"; }))
    unsupported("this is a TorchScript archive of the time before PyTorch 1.4",
                "load and save it with the PyTorch of that time");
  refuse(Code::Corrupt, path, "the archive has no entry `data.pkl`", "an archive that torch.save wrote",
         base::count_text(zip.entries().size()) + " other entries",
         "this is another kind of zip file, or data.pkl was lost: fetch it again");
}

}  // namespace tenon::formats
