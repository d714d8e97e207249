// Fuzzes the reader of plans, the rehearsal on a small model, and the way back.
//
// Whatever the text: an answer or an Error, in bounded time and memory; what is read is written and read alike; a plan
// that can be turned round gives every name and shape back (invert() checks that itself).
#include <tenon/error.hpp>
#include <tenon/plan.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

tenon::Listing model() {
  using tenon::DType;
  tenon::Listing listing;
  const auto add = [&](const char* name, DType dtype, tenon::Shape shape) {
    listing.tensors.push_back({name, dtype, std::move(shape), tenon::Role::Unknown, {}});
  };
  add("module.h.0.qkv.weight", DType::Float32, {12, 4});
  add("module.h.1.qkv.weight", DType::Float16, {12, 4});
  add("module.h.0.q.bias", DType::Float32, {4});
  add("module.h.0.k.bias", DType::Float32, {4});
  add("module.pos", DType::Float32, {1, 17, 4});
  add("module.stem.weight", DType::BFloat16, {2, 3, 2, 2});
  add("module.bn.running_mean", DType::Float32, {2});
  add("module.bn.running_var", DType::Float32, {2});
  add("a.lora_A.weight", DType::Float32, {2, 4});
  add("a.lora_B.weight", DType::Float32, {12, 2});
  add("q", DType::QInt8, {2, 2});
  add("packed", DType::F4, {2, 2});
  add("steps", DType::Int64, {});
  add("empty", DType::Float64, {0, 3});
  listing.tensors.push_back({"module.told", {}, {}, tenon::Role::Unknown, {}});  // as an error text names one
  return listing;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  static const tenon::Listing checkpoint = model();
  try {
    const tenon::Plan plan = tenon::parse_plan({reinterpret_cast<const char*>(bytes), count}, "plan.json");
    const std::string text = tenon::to_json(plan);
    require(tenon::to_json(tenon::parse_plan(text)) == text);
    for (const tenon::Planned& planned : tenon::rehearse(plan, checkpoint).tensors)
      for (const std::size_t source : tenon::sources(planned)) require(source < checkpoint.tensors.size());
    tenon::invert(plan, checkpoint);
  } catch (const tenon::Error&) {  // an answer, too
  }
  return 0;
}
