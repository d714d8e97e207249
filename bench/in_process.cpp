// tenon without the start of a process: what the library itself takes.
//
//   open FILE       open and pass over every name, shape and dtype
//   verify FILE     every byte
//   diff A B
//   hold FILE       the tensors into memory of their own, as a program that trains has them
//   save OUT        what is held, durably and with checksums
#include <memory>
#include <optional>

#include <tenon/checkpoint.hpp>
#include <tenon/save.hpp>
#include <tenon/verify.hpp>

#include "serve.hpp"

namespace {

using bench::Answer;
using bench::Arguments;

std::optional<tenon::Snapshot> held;

Answer open_and_list(const Arguments& given) {
  double elements = 0, name_bytes = 0;
  Answer answer = bench::measured([&] {
    const tenon::Checkpoint checkpoint = tenon::open(given.at(0));
    for (const tenon::TensorInfo& info : checkpoint.tensors()) {
      elements += static_cast<double>(tenon::element_count(info.shape));
      name_bytes += static_cast<double>(info.name.size());
    }
  });
  answer["elements"] = elements;
  answer["name_bytes"] = name_bytes;
  return answer;
}

Answer verify(const Arguments& given) {
  bool ok = false;
  Answer answer = bench::measured([&] { ok = tenon::verify(given.at(0)).ok; });
  answer["ok"] = ok ? 1 : 0;
  return answer;
}

Answer diff(const Arguments& given) {
  bool same = false;
  Answer answer = bench::measured([&] { same = tenon::diff(tenon::open(given.at(0)), tenon::open(given.at(1))).same; });
  answer["same"] = same ? 1 : 0;
  return answer;
}

Answer hold(const Arguments& given) {
  const tenon::Checkpoint checkpoint = tenon::open(given.at(0));
  held.emplace();
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const tenon::TensorInfo& info = checkpoint.tensors()[i];
    std::vector<std::byte> bytes(tenon::byte_size(info.shape, info.dtype));
    tenon::copy_dense(checkpoint.tensor(i), bytes);
    tenon::add_tensor(*held, info.name, tenon::make_tensor(info.dtype, info.shape, std::move(bytes)));
  }
  return {{"tensors", static_cast<double>(held->tensors.size())}};
}

Answer save(const Arguments& given) {
  const std::string& path = given.at(0);
  tenon::SaveOptions options;
  options.existing = tenon::Existing::Replace;
  options.format = tenon::format_from_suffix(path).value();
  return bench::measured([&] { tenon::save(held.value(), path, options); });
}

}  // namespace

int main() {
  return bench::serve({{"open", open_and_list}, {"verify", verify}, {"diff", diff}, {"hold", hold}, {"save", save}});
}
