// One pickle is the object; pickle.load() would read no further. What follows it is counted and said.
//
// Source: CPython's Lib/pickletools.py; joblib/numpy_pickle.py.
#include "formats/pickle.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "container/pickle_reader.hpp"
#include "formats/joblib.hpp"
#include "formats/object_walk.hpp"

namespace tenon::formats {

namespace {

using container::PickleTree;

PickleTree read(const container::PickleSource& source, const Limits& limits) {
  return container::read_pickle(source, limits, joblib_elements(source, limits));
}

/// The pickles behind the first one, as far as they can be read.
struct Rest {
  std::uint64_t pickles = 0;
  std::uint64_t bytes = 0;  ///< behind the last pickle
  bool are_zeros = false;
};

Rest read_rest(std::span<const std::byte> bytes, const std::string& file, std::uint64_t at, const Limits& limits) {
  constexpr std::uint64_t kMost = 1'000;
  Rest rest;
  try {
    while (at < bytes.size() && rest.pickles < kMost) {
      at += read({bytes.subspan(at), file, {}, at}, limits).stream_bytes();
      ++rest.pickles;
    }
  } catch (const Error&) {  // no pickle, or a damaged one: bytes
  }
  rest.bytes = bytes.size() - at;
  const auto left = bytes.subspan(at);
  rest.are_zeros = std::all_of(left.begin(), left.end(), [](std::byte b) { return b == std::byte{0}; });
  return rest;
}

void note(const Rest& rest, CheckpointCore& core) {
  if (rest.pickles > 0)
    core.warnings.push_back(base::plural(rest.pickles, "more pickle") + (rest.pickles == 1 ? " follows" : " follow") +
                            " the first, which is what pickle.load gives: not listed");
  if (rest.bytes > 0)
    core.warnings.push_back(base::plural(rest.bytes, rest.are_zeros ? "zero byte" : "byte") +
                            " at the end of the file that are no pickle");
}

/// Where tensors are torch's, their storages are in the archive that this pickle was taken from.
class MissingStorages {
 public:
  StorageFinder finder() {
    return [this](const StorageClaim&, const Where&) {
      is_met_ = true;
      return kNoStorage;
    };
  }
  void note(CheckpointCore& core) const {
    if (is_met_)
      core.warnings.push_back(
          "the pickle names storages of a PyTorch file and holds none of their bytes: it is a part of an archive");
  }

 private:
  bool is_met_ = false;
};

/// A number, and near it the protocol version 1001: a legacy file of torch.save whose magic number is not the right
/// one.
void refuse_wrong_magic(const PickleTree& first, std::span<const std::byte> bytes, const OpenRequest& request) {
  constexpr std::string_view kVersion[] = {"M\xe9\x03.", "I1001\n."};  // BININT2, INT
  constexpr std::size_t kNear = 64;
  const NodeKind kind = first.kind(first.root());
  const bool is_number = kind == NodeKind::Integer || kind == NodeKind::BigInteger || kind == NodeKind::Decimal;
  const std::string_view rest = base::as_text(bytes.subspan(first.stream_bytes())).substr(0, kNear);
  const auto stands_near = [&](std::string_view version) { return rest.find(version) != std::string_view::npos; };
  if (is_number && std::any_of(std::begin(kVersion), std::end(kVersion), stands_near))
    throw Error(Code::Corrupt, {request.path, {}, {}, 0}, "this is a legacy PyTorch file with a wrong magic number",
                "0x1950a86a20f9469cfc6c", "another number", "the file is damaged or forged: fetch or save it again");
}

}  // namespace

bool looks_like_pickle(std::span<const std::byte> bytes) {
  const std::string_view head = base::as_text(bytes.first(std::min<std::size_t>(bytes.size(), 4096)));
  if (head.size() < 2) return false;
  if (head[0] == '\x80') return head[1] >= 0 && head[1] <= 5;
  // Protocols 0 and 1 have no mark: opcodes are tried. A text is no pickle after a few of them.
  constexpr std::string_view kFirstOpcodes = "(c]}lISVNKJMGFLTXU)";
  constexpr std::uint64_t kEnough = 16;  // bytes of opcodes that are no accident
  if (kFirstOpcodes.find(head[0]) == std::string_view::npos) return false;
  const bool is_line = std::string_view("cISVFL").find(head[0]) != std::string_view::npos;
  try {
    const Limits limits;
    (void)read({bytes, {}, {}, 0}, limits);
    return true;
  } catch (const Error& error) {
    return !is_line && error.where.byte && *error.where.byte >= kEnough;
  }
}

std::shared_ptr<CheckpointCore> open_pickle(const OpenRequest& request) {
  const std::span<const std::byte> bytes = request.file->bytes();
  const Limits& limits = request.options.limits;
  const PickleTree tree = read({bytes, request.path, {}, 0}, limits);
  refuse_wrong_magic(tree, bytes, request);
  auto core = std::make_shared<CheckpointCore>();
  core->file = request.path;
  core->format = Format::Pickle;
  core->format_version = std::to_string(tree.protocol());
  core->file_bytes = bytes.size();
  core->files = {request.file};
  core->salvage = request.options.salvage;
  core->limits = limits;
  const PickleGraph graph(tree);
  const PickleOrigin origin{{}, 0, 0};
  MissingStorages storages;
  const StorageFinder finder = storages.finder();
  walk_objects({graph, origin, finder, false}, *core);
  storages.note(*core);
  note(read_rest(bytes, request.path, tree.stream_bytes(), limits), *core);
  return core;
}

}  // namespace tenon::formats
