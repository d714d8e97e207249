// The bridge's second half: blueprints and probes of live modules.
//
//   blueprint(model, example) -> Blueprint     modules, options, operations of one run, probe
//   save(*model, path, blueprint)              both in one file
//   load_and_probe(model, path)                loads, runs the stored probe again, takes everything back where the
//                                              model computes something else
//   expect_round_trip(make_model, input)       for the tests of a custom layer
//
// `model` is a module holder or a shared pointer to a module whose `forward` takes tensors. docs/formats/blueprint.md
// has the form. Runs are made in evaluation mode without gradients; training modes, buffers and the CPU's random
// generator are afterwards as they were. One run at a time in a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/torch.hpp>

namespace tenon::torch {

/// Runs a model: the tensors that go in, the tensors that come out, in order.
using Forward = std::function<std::vector<::torch::Tensor>(const std::vector<::torch::Tensor>&)>;

/// What a probe runs on. `seed` where example_inputs() made the inputs, so that other runtimes can make them, too.
struct Example {
  std::vector<::torch::Tensor> inputs;
  std::optional<std::uint64_t> seed = std::nullopt;
};

struct InputSpec {
  Shape shape;
  ::torch::ScalarType dtype = ::torch::kFloat32;
  std::int64_t below = 2;  ///< bound of integer inputs: the number of classes, of words
};

/// Inputs from tenon's own generator (probe_values(), probe_integers()), filled one after another from one sequence.
Example example_inputs(std::uint64_t seed, const std::vector<InputSpec>& specs);

/// What a run may cost. What is over a limit is left out, and Blueprint::left_out says so; the rest is written.
///
/// A forward pass that runs cannot be stopped in C++: after `seconds` nothing more of it is recorded, there is no
/// second run, and graph and probe are left out.
struct RunLimits {
  double seconds = 60;               ///< of the run, and of a second one where the first drew random numbers
  std::uint64_t bytes = 1ULL << 30;  ///< inputs and outputs together, whose digests are taken
  std::size_t operations = 100'000;  ///< more are not written down
};

struct BlueprintOptions {
  const ::torch::optim::Optimizer* optimizer = nullptr;  ///< its groups are listed by parameter name
  JsonMembers training = {};                             ///< the user's own, values are JSON texts
  std::string accepted = {};  ///< why the function differs from an older one on purpose; kept in the probe
  RunLimits limits = {};
};

/// Modules, options, tensors, environment of `module`, without a run. Plain members of custom modules cannot be seen in
/// C++: what they decide shows in the operations of a run. Throws Error Unsupported for a dtype without a name.
Blueprint blueprint(const ::torch::nn::Module& module, const BlueprintOptions& options = {});

/// The same with the operations of one run on `example`, and the probe. Tensors that operations take and nothing
/// registered or computed are listed in `unsaved`. Throws what `forward` throws (as tenon::Error).
Blueprint blueprint(::torch::nn::Module& module, const Forward& forward, const Example& example,
                    const BlueprintOptions& options = {});

/// Saves `module` with this blueprint inside the file. save(module, path) stores one without a run.
SaveReport save(const ::torch::nn::Module& module, const std::string& path, const Blueprint& blueprint,
                const SaveOptions& options = {});

/// Does the file fit, and was it made for a model that computes what `own`, the module's blueprint, says?
Report check(const ::torch::nn::Module& module, const Blueprint& own, const std::string& path,
             const OpenOptions& options = {});

struct ProbedLoad {
  LoadReport load;
  std::optional<ProbeComparison> probe;  ///< nothing where it could not be run; `why_not` then says why
  std::string why_not;
};

/// Loads the file, runs the file's probe on `module` and compares. Where the outputs are another function's, every
/// tensor gets its old values back and LoadError names the causes, unless options.function is Function::Ignore: then
/// the comparison is reported. Needs memory for a second copy of the module's tensors. `inputs` are needed where
/// the file keeps neither the inputs' values nor their seed; they must be the saved ones.
ProbedLoad load_and_probe(::torch::nn::Module& module, const Forward& forward, const std::string& path,
                          const LoadOptions& options = {}, const std::vector<::torch::Tensor>& inputs = {});

/// A model made for a test.
struct LiveModel {
  std::shared_ptr<::torch::nn::Module> module;
  Forward forward;
};

/// What is wrong with saving and loading models that `make` makes: save a moved one, load it into a fresh one, compare
/// tensors and outputs, through tenon and through LibTorch's own archives. Sentences; none when all is well.
/// `train` changes a model as training would; without one every registered floating tensor is moved a little.
std::vector<std::string> round_trip_problems(const std::function<LiveModel()>& make, const Example& example,
                                             const std::function<void(::torch::nn::Module&)>& train = {});

namespace detail {

inline void flatten(const ::torch::Tensor& tensor, std::vector<::torch::Tensor>& into) { into.push_back(tensor); }
inline void flatten(const std::vector<::torch::Tensor>& tensors, std::vector<::torch::Tensor>& into) {
  into.insert(into.end(), tensors.begin(), tensors.end());
}
template <class... Parts>
void flatten(const std::tuple<Parts...>& parts, std::vector<::torch::Tensor>& into) {
  std::apply([&](const auto&... part) { (flatten(part, into), ...); }, parts);
}
template <class A, class B>
void flatten(const std::pair<A, B>& parts, std::vector<::torch::Tensor>& into) {
  flatten(parts.first, into);
  flatten(parts.second, into);
}

[[noreturn]] void refuse_inputs(std::size_t count);

}  // namespace detail

/// `model->forward` with one to four tensors; returns of tensors, vectors, pairs and tuples of them are flattened.
template <class Model>
Forward forward_of(Model model) {
  return [model](const std::vector<::torch::Tensor>& in) mutable {
    std::vector<::torch::Tensor> out;
    const auto keep = [&out](auto&& result) { detail::flatten(result, out); };
    if constexpr (requires { model->forward(in[0]); })
      if (in.size() == 1) return keep(model->forward(in[0])), out;
    if constexpr (requires { model->forward(in[0], in[0]); })
      if (in.size() == 2) return keep(model->forward(in[0], in[1])), out;
    if constexpr (requires { model->forward(in[0], in[0], in[0]); })
      if (in.size() == 3) return keep(model->forward(in[0], in[1], in[2])), out;
    if constexpr (requires { model->forward(in[0], in[0], in[0], in[0]); })
      if (in.size() == 4) return keep(model->forward(in[0], in[1], in[2], in[3])), out;
    detail::refuse_inputs(in.size());
  };
}

template <class Model>
concept ModelPointer = requires(Model& model) {
  { *model } -> std::convertible_to<::torch::nn::Module&>;
};

template <ModelPointer Model>
Blueprint blueprint(Model model, const Example& example, const BlueprintOptions& options = {}) {
  return blueprint(*model, forward_of(model), example, options);
}

template <ModelPointer Model>
ProbedLoad load_and_probe(Model model, const std::string& path, const LoadOptions& options = {},
                          const std::vector<::torch::Tensor>& inputs = {}) {
  return load_and_probe(*model, forward_of(model), path, options, inputs);
}

/// Throws Error Invalid that lists every problem of round_trip_problems(); with GoogleTest or without.
/// `make_model()` returns a module holder or a shared pointer; `input` is what its forward takes.
template <class Make>
void expect_round_trip(Make make_model, const Example& example) {
  const auto problems = round_trip_problems(
      [&make_model] {
        auto model = make_model();
        const auto pointer = [&]() -> std::shared_ptr<::torch::nn::Module> {
          if constexpr (requires { model.ptr(); })
            return model.ptr();
          else
            return model;
        };
        return LiveModel{pointer(), forward_of(model)};
      },
      example);
  if (problems.empty()) return;
  std::string all;
  for (const std::string& problem : problems) all += (all.empty() ? "" : "; ") + problem;
  throw Error(Code::Invalid, {}, "the model does not survive save and load",
              "equal tensors and outputs in a fresh model", all,
              "register every tensor and layer; keep save() and load() overrides alike");
}

template <class Make>
void expect_round_trip(Make make_model, const ::torch::Tensor& input) {
  expect_round_trip(std::move(make_model), Example{{input}});
}

}  // namespace tenon::torch
