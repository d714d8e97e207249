// A model of one's own in plain C++, without LibTorch: it describes itself, and is saved, loaded and checked like any
// other.
#include <cstdio>
#include <vector>

#include <tenon/describe.hpp>
#include <tenon/error.hpp>
#include <tenon/render.hpp>

#include "scratch_folder.hpp"

namespace {

struct Layer {
  std::int64_t in, out;
  std::vector<float> weight, bias;
  double slope;  // of the activation below zero: no tensor, and it decides what the layer computes

  Layer(std::int64_t inputs, std::int64_t outputs, double leak = 0.01)
      : in(inputs),
        out(outputs),
        weight(static_cast<std::size_t>(inputs * outputs), 0.5F),
        bias(static_cast<std::size_t>(outputs)),
        slope(leak) {}

  void describe(tenon::Description& d) {
    d.type("Layer").tensor("weight", weight, {out, in}).tensor("bias", bias, {out}).option("slope", slope);
  }
};

struct Network {
  Layer first{4, 8}, second{8, 2};
  void describe(tenon::Description& d) { d.type("Network").child("first", first).child("second", second); }
};

}  // namespace

int main() {
  const tenon_example::ScratchFolder folder;
  const std::string path = folder.file("network.safetensors");

  Network trained;
  trained.first.weight[3] = 42;
  tenon::save(tenon::describe(trained), path);

  Network fresh;
  const std::size_t loaded = tenon::load(tenon::describe(fresh), path);
  const bool is_equal = fresh.first.weight == trained.first.weight;
  std::printf("%zu tensors loaded, equal: %s\n", loaded, is_equal ? "yes" : "no");

  Network changed;
  changed.second.slope = 0.2;
  try {
    tenon::load(tenon::describe(changed), path);
    std::puts("another function was loaded");
    return 1;
  } catch (const tenon::Error& error) {
    std::printf("refused: %s\n\n", error.found.c_str());
  }
  const tenon::Report report = tenon::check(tenon::describe(changed), path);
  std::fputs(tenon::render_text(report, {}, tenon::TextStyle{}).c_str(), stdout);
  return is_equal && report.fits == false ? 0 : 1;
}
