// round_trip_problems: the contract of a module that can be saved, tried out on the module itself.
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include <tenon/torch_blueprint.hpp>

#include "torch/door.hpp"
#include "torch/state.hpp"

namespace tenon::torch {

using namespace torch_bridge;

namespace {

/// A folder of its own that goes with the object.
class Scratch {
 public:
  Scratch() : path_((std::filesystem::temp_directory_path() / "tenon-round-trip-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr)
      throw Error(Code::Write, {path_, {}, {}, {}}, "no temporary folder can be made", {}, {}, "set TMPDIR");
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string file() const { return path_ + "/model.safetensors"; }

 private:
  std::string path_;
};

/// As training does, and more: what is not saved must not be what a fresh model happens to start with.
void move_everything(::torch::nn::Module& module) {
  const ::torch::NoGradGuard no_grad;
  double factor = 1.01;
  for (const NamedTensor& row : named_tensors(module)) {
    if (!row.tensor.is_floating_point() || row.tensor.is_meta()) continue;
    ::torch::Tensor live = row.tensor;
    live.mul_(factor);
    if (row.role == Role::Parameter) live.add_(0.01);
    factor += 0.01;
  }
}

void compare_construction(const ::torch::nn::Module& first, const ::torch::nn::Module& second,
                          std::vector<std::string>& problems) {
  const auto a = named_tensors(first), b = named_tensors(second);
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string x = i < a.size() ? a[i].name : "nothing", y = i < b.size() ? b[i].name : "nothing";
    if (x != y) {
      problems.push_back("two models made one after the other have other names: " + x + " and " + y);
      return;
    }
    if (a[i].tensor.sizes() != b[i].tensor.sizes())
      problems.push_back(x + " has another shape in the next model that is made");
  }
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (a[i].name == a[k].name) problems.push_back("two tensors are both called " + a[i].name);
}

void compare_tensors(const ::torch::nn::Module& saved, const ::torch::nn::Module& loaded, const std::string& through,
                     std::vector<std::string>& problems) {
  const auto a = named_tensors(saved), b = named_tensors(loaded);
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (a[i].name == b[i].name && !a[i].tensor.is_meta() && !a[i].tensor.equal(b[i].tensor))
      problems.push_back(a[i].name + " has other values after " + through);
}

/// What a run tells of a model after loading; `before` is the saved one's.
void compare_outputs(const Blueprint& before, const Blueprint& after, const std::string& through,
                     std::vector<std::string>& problems) {
  const auto comparison = compare_probes(before, after);
  if (!comparison || comparison->verdict != ProbeVerdict::OtherFunction) return;
  std::string text = "other outputs after " + through + ": " + comparison->detail;
  if (!comparison->first_deviating_module.empty())
    text += "; the first that deviates: " + comparison->first_deviating_module;
  problems.push_back(std::move(text));
}

std::string words(const Error& error) {
  return error.what_happened + (error.found.empty() ? std::string() : " (" + error.found + ")");
}

class RoundTrip {
 public:
  RoundTrip(const std::function<LiveModel()>& make, const Example& example,
            const std::function<void(::torch::nn::Module&)>& train)
      : make_(make), example_(example), saved_(make()) {
    compare_construction(*saved_.module, *make_().module, problems_);
    train ? train(*saved_.module) : move_everything(*saved_.module);
    before_ = blueprint(*saved_.module, saved_.forward, example_);
    for (const Unsaved& row : before_.unsaved) problems_.push_back(row.name + " is not saved: " + row.why);
  }

  std::vector<std::string> problems() {
    through_tenon();
    through_archive();
    return std::move(problems_);
  }

 private:
  void through_tenon() {
    const Scratch scratch;
    const LiveModel fresh = make_();
    try {
      save(*saved_.module, scratch.file(), before_);
      load(*fresh.module, scratch.file());
    } catch (const Error& error) {
      problems_.push_back("save and load: " + words(error));
      return;
    }
    compare(fresh, "save and load");
  }

  /// The module's own save() and load(), which a class may override.
  void through_archive() {
    const LiveModel fresh = make_();
    try {
      std::stringstream stream;
      ::torch::serialize::OutputArchive out;
      saved_.module->save(out);
      out.save_to(stream);
      ::torch::serialize::InputArchive in;
      in.load_from(stream);
      fresh.module->load(in);
    } catch (const c10::Error& error) {
      problems_.push_back("the module's own load() refuses what its save() wrote: " +
                          std::string(error.what_without_backtrace()));
      return;
    }
    compare(fresh, "the module's own save() and load()");
  }

  void compare(const LiveModel& fresh, const std::string& through) {
    compare_tensors(*saved_.module, *fresh.module, through, problems_);
    compare_outputs(before_, blueprint(*fresh.module, fresh.forward, example_), through, problems_);
  }

  const std::function<LiveModel()>& make_;
  const Example& example_;
  LiveModel saved_;
  Blueprint before_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> round_trip_problems(const std::function<LiveModel()>& make, const Example& example,
                                             const std::function<void(::torch::nn::Module&)>& train) {
  return at_the_door({}, [&] { return RoundTrip(make, example, train).problems(); });
}

}  // namespace tenon::torch
