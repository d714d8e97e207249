// libFuzzer: whatever the bytes, the reader of archives of arrays gives an Error or an answer, and all that it lists
// can be read. Half of the inputs are archives as they are; the other half are one array that is packed into an archive
// here, so that the checksums hold and the array is what changes.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "container/zip_reader.hpp"
#include "container/zip_writer.hpp"
#include "formats/npy_header.hpp"
#include "formats/npz.hpp"
#include "read_all.hpp"

namespace {

std::shared_ptr<tenon::formats::CheckpointCore> open_archive(const tenon::formats::OpenRequest& request) {
  using tenon::container::ZipDamage;
  const bool salvage = request.options.salvage == tenon::Salvage::Yes;
  const tenon::container::ZipReader zip(request.file->bytes(), request.path, request.options.limits,
                                        salvage ? ZipDamage::Salvage : ZipDamage::Refuse);
  return tenon::formats::open_npz(request, zip);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size > 0 && bytes[0] == 'P') {
    tenon::fuzz::read_all(bytes, size, open_archive);
    return 0;
  }
  tenon::container::ZipWriter zip;
  zip.add("a.npy", std::string(tenon::formats::kNpyMagic) + std::string(reinterpret_cast<const char*>(bytes), size));
  std::string file;
  zip.write([&](std::span<const std::byte> piece) {
    file.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  tenon::fuzz::read_all(reinterpret_cast<const std::uint8_t*>(file.data()), file.size(), open_archive);
  return 0;
}
