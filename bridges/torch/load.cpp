// load and check: everything that can fail comes before the first copy; damage, too, but with Checking::WhileReading.
#include <optional>
#include <utility>

#include <tenon/torch_blueprint.hpp>
#include <tenon/verify.hpp>

#include "torch/direct_reads.hpp"
#include "torch/door.hpp"
#include "torch/dtypes.hpp"
#include "torch/match.hpp"
#include "torch/module_tree.hpp"
#include "torch/optimizer_state.hpp"
#include "torch/state.hpp"
#include "torch/tensors.hpp"
#include "torch/workers.hpp"

namespace tenon::torch {

using namespace torch_bridge;

namespace {

/// A pair whose stored values have been touched.
struct Ready {
  std::size_t wanted = 0;
  Tensor stored;
};

std::vector<Ready> touch(const Match& match, const Listing& checkpoint) {
  std::vector<Ready> ready(match.pairs.size());
  for_each_in_parallel(ready.size(), [&](std::size_t i) {
    ready[i] = {match.pairs[i].wanted, values_of(checkpoint, match.pairs[i].planned)};
  });
  return ready;
}

std::vector<DTypeChange> dtype_changes(const std::vector<Ready>& ready, const Listing& wanted) {
  std::vector<DTypeChange> changes;
  for (const Ready& row : ready)
    if (row.stored.dtype != wanted.tensors[row.wanted].dtype)
      changes.push_back(measure(wanted.tensors[row.wanted], row.stored));
  return changes;
}

bool any_loss(const std::vector<DTypeChange>& changes) {
  for (const DTypeChange& change : changes)
    if (change.loss && change.loss->changed > 0) return true;
  return false;
}

/// Names that share memory in the model and have different values in the file: the last one copied would win.
std::vector<std::string> torn_ties(const std::vector<Ready>& ready, const std::vector<NamedTensor>& live) {
  const auto first = first_of_same(live);
  std::vector<const Ready*> by_wanted(live.size(), nullptr);
  for (const Ready& row : ready) by_wanted[row.wanted] = &row;
  std::vector<std::string> torn;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const Ready* one = by_wanted[first[i]];
    const Ready* other = by_wanted[i];
    if (one == other || !one || !other) continue;
    if (one->stored.dtype != other->stored.dtype || sha256(one->stored) != sha256(other->stored))
      torn.push_back(live[first[i]].name + " = " + live[i].name);
  }
  return torn;
}

/// All memory is taken before the first copy.
void copy_all(std::vector<Ready>& ready, const std::vector<NamedTensor>& live) {
  Copier copier;
  for (Ready& row : ready) copier.prepare(row.stored, *dtype_of(live[row.wanted].tensor.scalar_type()));
  for (const Ready& row : ready) copier.copy(live[row.wanted].tensor, row.stored);
  copier.finish();
}

/// The whole difference, names and dtypes, as a Report without causes: for optimizers, whose names are our own.
Report plain_report(const Listing& checkpoint, const Listing& wanted, Difference difference) {
  Report report;
  report.checkpoint_label = checkpoint.label;
  report.target_label = wanted.label;
  report.fits = false;
  report.checkpoint_tensors = checkpoint.tensors.size();
  report.target_tensors = wanted.tensors.size();
  report.leaves = {difference.missing.size(), difference.unexpected.size(), difference.mismatched.size()};
  report.difference = std::move(difference);
  return report;
}

bool same_framework(const Blueprint& a, const Blueprint& b) {
  const auto name = [](const Blueprint& blueprint) {
    for (const auto& [key, json] : blueprint.environment)
      if (key == "framework") return json.substr(0, json.find(' '));
    return std::string();
  };
  return name(a) == name(b);
}

/// The operations before the first that is not accepted: the ones behind it work on what it leaves.
Plan accepted_start(const Plan& plan, const Acceptance& acceptance) {
  Plan start;
  for (const Op& op : plan.ops) {
    if (accepted({{op}}, acceptance).ops.empty()) break;
    start.ops.push_back(op);
  }
  return start;
}

/// One load into a module, from open to the last check.
class ModuleLoad {
 public:
  ModuleLoad(const ::torch::nn::Module& module, const std::string& path, const LoadOptions& options)
      : module_(module),
        options_(options),
        file_(path),
        live_(named_tensors(module)),
        wanted_(tenon::torch::list(module)),
        checkpoint_(part_of(read_listing(path, options.open), Part::Module)) {}

  LoadReport run() {
    check_writable(live_, file_);
    find_fit();
    compare_functions();
    std::optional<DirectReads> direct;
    if (options_.checking == Checking::WhileReading) direct.emplace(match_.pairs, checkpoint_, live_);
    auto ready = touch(match_, checkpoint_);
    report_.dtype_changes = dtype_changes(ready, wanted_);
    if (any_loss(report_.dtype_changes) && !options_.accept.lossy) refuse_loss();
    if (const auto torn = torn_ties(ready, live_); !torn.empty()) refuse_torn(torn);
    copy_all(ready, live_);
    if (direct) direct->run();
    report_.loaded = ready.size() + (direct ? direct->size() : 0);
    report_.kept = std::move(match_.kept);
    report_.dropped = std::move(match_.dropped);
    return std::move(report_);
  }

 private:
  void find_fit() {
    match_ = match({}, checkpoint_, wanted_);
    if (match_.difference.names_and_shapes_fit()) return;
    Report report = diagnose(checkpoint_, wanted_);
    if (options_.repair == Repair::No)
      throw LoadError(file_, std::move(report), in_words(match_.difference),
                      "read the causes in the error's report; Repair::Exact carries out the exact part of its plan");
    report_.plan = accepted_start(report.plan, options_.accept);
    match_ = match(report_.plan, checkpoint_, wanted_);
    if (match_.difference.names_and_shapes_fit()) return;
    const bool is_cut = report_.plan.ops.size() < report.plan.ops.size();
    throw LoadError(file_, std::move(report), "after the accepted operations still " + in_words(match_.difference),
                    is_cut
                        ? "read the plan in the error's report: a part of it is guessed or lossy and waits for `accept`"
                        : "read the causes in the error's report");
  }

  /// Names and shapes fit: was the file made for the same modules? Asked of LibTorch's own blueprints only, since other
  /// frameworks build the same function from other modules.
  void compare_functions() {
    report_.blueprint = checkpoint_.blueprint;
    if (!checkpoint_.blueprint || !report_.plan.ops.empty()) return;  // after a repair paths are other ones
    const auto own = std::make_shared<const Blueprint>(tenon::torch::blueprint(module_));
    if (!same_framework(*checkpoint_.blueprint, *own)) return;
    report_.architecture = architecture_changes(*checkpoint_.blueprint, *own);
    // a lost tie shows in the values, which are looked at below
    std::erase_if(report_.architecture, [](const auto& change) { return change.what.rfind("tie of ", 0) == 0; });
    if (report_.architecture.empty() || options_.function == Function::Ignore) return;
    wanted_.blueprint = own;
    const ArchitectureChange& first = report_.architecture.front();
    throw LoadError(file_, diagnose(checkpoint_, wanted_),
                    "names and shapes fit, but the file was saved from another model: " +
                        (first.module.empty() ? std::string("the model") : first.module) + ", " + first.what + " " +
                        std::string(kind_name(first.kind)),
                    "read the causes in the error's report; Function::Ignore loads it all the same");
  }

  [[noreturn]] void refuse_loss() {
    Report report = diagnose(checkpoint_, wanted_);
    report.fits = false;
    report.difference.dtype_changes = report_.dtype_changes;
    Difference losses;
    losses.dtype_changes = report_.dtype_changes;
    const std::string found = in_words(losses);
    throw LoadError(file_, std::move(report), found,
                    "convert the module first (module->to(torch::kFloat64)), or set accept.lossy");
  }

  [[noreturn]] void refuse_torn(const std::vector<std::string>& torn) {
    Report report = diagnose(checkpoint_, wanted_);
    report.fits = false;
    for (const std::string& tie : torn)
      report.notes.push_back("one tensor in the model, two values in the file: " + tie);
    throw LoadError(file_, std::move(report), "different values for tied names (" + few(torn) + ")",
                    "untie them in the model, or drop one of the two from the file");
  }

  const ::torch::nn::Module& module_;
  const LoadOptions& options_;
  const std::string& file_;
  std::vector<NamedTensor> live_;
  Listing wanted_;
  Listing checkpoint_;
  Match match_;
  LoadReport report_;
};

LoadReport load_state(const ::torch::nn::Module& module, ::torch::optim::Optimizer& optimizer, const std::string& path,
                      const LoadOptions& options) {
  const Listing stored = part_of(tenon::list(open(path, options.open)), Part::Optimizer);
  StateDraft draft(module, optimizer, stored);
  Match fit = match({}, stored, draft.wanted());
  if (!fit.difference.names_and_shapes_fit()) {
    const std::string found = in_words(fit.difference);
    throw LoadError(path, plain_report(stored, draft.wanted(), std::move(fit.difference)), found,
                    "make the optimizer of the same kind and over the same parameters as the saved one");
  }
  auto ready = touch(fit, stored);
  LoadReport report;
  report.dtype_changes = dtype_changes(ready, draft.wanted());
  if (any_loss(report.dtype_changes) && !options.accept.lossy) {
    fit.difference.dtype_changes = report.dtype_changes;
    const std::string found = in_words(fit.difference);
    throw LoadError(path, plain_report(stored, draft.wanted(), std::move(fit.difference)), found,
                    "convert the module before the optimizer is made, or set accept.lossy");
  }
  copy_all(ready, draft.allocate());
  if (const auto torn = draft.torn_groups(); !torn.empty())
    throw LoadError(path, plain_report(stored, draft.wanted(), std::move(fit.difference)),
                    "one group of parameters, different options in the file (" + few(torn) + ")",
                    "group the parameters as they were grouped when they were saved");
  draft.commit();
  report.loaded = ready.size();
  return report;
}

}  // namespace

Listing list(const ::torch::nn::Module& module) {
  return at_the_door({}, [&] { return listing_of(named_tensors(module), class_name(module)); });
}

Report check(const ::torch::nn::Module& module, const std::string& path, const OpenOptions& options) {
  return at_the_door(path, [&] { return diagnose(part_of(read_listing(path, options), Part::Module), list(module)); });
}

LoadReport load(::torch::nn::Module& module, const std::string& path, const LoadOptions& options) {
  return at_the_door(path, [&] { return ModuleLoad(module, path, options).run(); });
}

LoadReport load_optimizer(const ::torch::nn::Module& module, ::torch::optim::Optimizer& optimizer,
                          const std::string& path, const LoadOptions& options) {
  return at_the_door(path, [&] { return load_state(module, optimizer, path, options); });
}

}  // namespace tenon::torch
