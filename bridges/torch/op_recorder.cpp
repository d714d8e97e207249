#include "torch/op_recorder.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <ATen/record_function.h>

#include <tenon/error.hpp>
#include <tenon/probe.hpp>

#include "torch/dtypes.hpp"
#include "torch/tensors.hpp"

namespace tenon::torch_bridge {
namespace {

/// Values pass through unchanged: a model with and without these is the same.
constexpr std::array<std::string_view, 6> kTransparent = {"detach", "contiguous",    "clone",
                                                          "alias",  "requires_grad", "lift_fresh"};
constexpr std::array<std::string_view, 12> kShapeOps = {
    "view", "reshape", "expand", "unflatten", "repeat", "zeros", "empty", "ones", "full", "rand", "new_zeros", "randn"};

template <class List>
bool contains(const List& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

/// `aten::relu_` -> `relu`.
std::string op_name(std::string_view name) {
  if (const auto colons = name.rfind("::"); colons != std::string_view::npos) name.remove_prefix(colons + 2);
  while (name.size() > 1 && name.back() == '_') name.remove_suffix(1);
  return std::string(name);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text = "[";
  for (std::size_t i = 0; i < parts.size(); ++i) text += (i > 0 ? "," : "") + parts[i];
  return text + "]";
}

/// An argument that is no tensor, as JSON. Devices and generators decide nothing: "" leaves them out.
std::string argument(const c10::IValue& value) {
  if (value.isNone()) return "null";
  if (value.isBool()) return value.toBool() ? "true" : "false";
  if (value.isInt()) return std::to_string(value.toInt());
  if (value.isDouble()) return as_json(value.toDouble());
  if (value.isString()) return as_json(value.toStringRef());
  if (value.isDevice() || value.isGenerator()) return {};
  if (value.isList()) {
    std::vector<std::string> items;
    for (const c10::IValue& item : value.toListRef()) items.push_back(argument(item));
    return joined(items);
  }
  return as_json("<" + value.tagKind() + ">");
}

/// A shape whose first extent is the batch's says so, so that runs with other batches compare.
std::string shape_argument(const c10::IValue& value, std::optional<std::int64_t> batch) {
  const bool is_batch = value.isIntList() && batch && *batch > 1 && value.toListRef().size() > 0 &&
                        value.toListRef().front().toInt() == *batch;
  if (!is_batch) return argument(value);
  std::vector<std::string> items = {"\"N\""};
  for (const c10::IValue& item : value.toListRef().slice(1)) items.push_back(argument(item));
  return joined(items);
}

void tensors_in(const c10::IValue& value, std::vector<::torch::Tensor>& into) {
  if (value.isTensor()) {
    into.push_back(value.toTensor());
  } else if (value.isTensorList() || value.isList()) {
    for (const c10::IValue& item : value.toListRef()) tensors_in(item, into);
  } else if (value.isTuple()) {
    for (const c10::IValue& item : value.toTupleRef().elements()) tensors_in(item, into);
  }
}

std::string parent_of(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

class Recorder {
 public:
  Recorder(const std::vector<NamedTensor>& state, const std::vector<::torch::Tensor>& inputs,
           const RecordLimits& limits)
      : limits_(limits) {
    recording.graph.recorder = "record_function";
    if (!inputs.empty() && inputs.front().dim() > 0) recording.graph.batch = inputs.front().size(0);
    for (std::size_t i = 0; i < inputs.size(); ++i) know(inputs[i], {Operand::From::Input, i, {}});
    for (const NamedTensor& row : state)
      if (known_.find(row.tensor.unsafeGetTensorImpl()) == known_.end())
        know(row.tensor, {Operand::From::Tensor, 0, row.name});
  }

  void start(const at::RecordFunction& call) {
    if (++depth_ != 1 || is_paused_ || is_over()) return;
    pending_ = {};
    pending_.op = op_name(call.name());
    std::vector<std::string> arguments;
    operands_.clear();
    for (const c10::IValue& input : call.inputs()) {
      std::vector<::torch::Tensor> tensors;
      tensors_in(input, tensors);
      for (const ::torch::Tensor& tensor : tensors)
        if (tensor.defined()) add_operand(tensor);
      if (!tensors.empty() || input.isTensor()) continue;
      std::string value =
          contains(kShapeOps, pending_.op) ? shape_argument(input, recording.graph.batch) : argument(input);
      if (!value.empty()) arguments.push_back(std::move(value));
    }
    pending_.args = joined(arguments);
    keep_if_written(call.name());
  }

  void end(const at::RecordFunction& call) {
    if (--depth_ != 0 || is_paused_ || recording.is_late) return;
    is_paused_ = true;  // sampling calls LibTorch itself
    std::vector<::torch::Tensor> results;
    for (const c10::IValue& output : call.outputs()) tensors_in(output, results);
    results.erase(std::remove_if(results.begin(), results.end(), [](const auto& t) { return !t.defined(); }),
                  results.end());
    if (!results.empty()) note(results);
    operands_.clear();  // what the run let go must not wait for its next operation
    is_paused_ = false;
  }

  void finish(const std::vector<::torch::Tensor>& outputs) {
    pending_ = {};
    pending_.op = "output";
    for (const ::torch::Tensor& tensor : outputs) {
      const auto found = known_.find(tensor.unsafeGetTensorImpl());
      pending_.operands.push_back(found == known_.end() ? Operand{} : found->second.operand);
    }
    if (!outputs.empty() && outputs.front().defined()) pending_.output = outputs.front().sizes().vec();
    recording.graph.nodes.push_back(std::move(pending_));
  }

  Recording recording;

 private:
  bool is_over() {
    if (!recording.is_late) recording.is_late = std::chrono::steady_clock::now() > limits_.deadline;
    return recording.is_late;
  }

  /// An operation in place on a tensor of the module: the run has to give its values back (a table with max_norm).
  void keep_if_written(std::string_view name) {
    if (!name.ends_with('_') || operands_.empty() || pending_.operands.front().from != Operand::From::Tensor) return;
    const ::torch::Tensor& tensor = operands_.front();
    const bool is_kept = std::any_of(recording.written.begin(), recording.written.end(),
                                     [&](const auto& row) { return row.first.is_same(tensor); });
    if (!is_kept && !tensor.is_meta()) recording.written.emplace_back(tensor, tensor.detach().clone());
  }

  void know(const ::torch::Tensor& tensor, Operand operand) {
    // a weak reference keeps the address from being given to another tensor, and lets the memory go
    known_.insert_or_assign(
        tensor.unsafeGetTensorImpl(),
        Known{std::move(operand),
              c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>(tensor.getIntrusivePtr())});
  }

  void add_operand(const ::torch::Tensor& tensor) {
    const auto found = known_.find(tensor.unsafeGetTensorImpl());
    operands_.push_back(tensor);
    if (found != known_.end()) {
      pending_.operands.push_back(found->second.operand);
      return;
    }
    pending_.operands.emplace_back();
    const bool is_number = tensor.unsafeGetTensorImpl()->is_wrapped_number();
    if (!is_number) foreign_.push_back(tensor);
  }

  /// The module whose tensors the call takes, also through operations on weights alone (a transposed weight).
  std::string module_of_pending() const {
    for (const Operand& operand : pending_.operands) {
      if (operand.from == Operand::From::Tensor) return parent_of(operand.name);
      if (operand.from == Operand::From::Node && !weight_paths_[operand.index].empty())
        return weight_paths_[operand.index];
    }
    return {};
  }

  bool takes_weights_only() const {
    return !pending_.operands.empty() &&
           std::all_of(pending_.operands.begin(), pending_.operands.end(), [&](const Operand& operand) {
             return operand.from == Operand::From::Tensor ||
                    (operand.from == Operand::From::Node && !weight_paths_[operand.index].empty());
           });
  }

  bool is_transparent(const ::torch::Tensor& result) const {
    if (operands_.empty()) return false;
    const bool unchanged = operands_[0].scalar_type() == result.scalar_type() && operands_[0].sizes() == result.sizes();
    return unchanged && (contains(kTransparent, pending_.op) || pending_.op == "to" || pending_.op == "type_as");
  }

  void note(const std::vector<::torch::Tensor>& results) {
    auto& nodes = recording.graph.nodes;
    if (is_transparent(results.front())) {
      know(results.front(), pending_.operands.front());
      foreign_.clear();
      return;
    }
    if (nodes.size() >= limits_.operations) {
      recording.is_full = true;
      return;
    }
    pending_.module = module_of_pending();
    pending_.output = results.front().sizes().vec();
    note_foreign();
    weight_paths_.push_back(takes_weights_only() ? pending_.module : std::string());
    if (weight_paths_.back().empty()) sample(results.front());
    for (std::size_t i = 0; i < results.size(); ++i) know(results[i], {Operand::From::Node, nodes.size(), {}, i});
    nodes.push_back(std::move(pending_));
  }

  /// Members of a module that it did not register: C++ cannot list them, the operations that take them can.
  void note_foreign() {
    for (const ::torch::Tensor& tensor : foreign_)
      if (seen_.insert(tensor.unsafeGetTensorImpl()).second) {
        members_.push_back(tensor);  // keeps the address
        std::string shape;
        for (const std::int64_t extent : tensor.sizes()) shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
        recording.unsaved.push_back(
            {"a tensor [" + shape + "] that " + pending_.op + " takes",
             tensor.requires_grad() ? "parameter that is not registered" : "tensor that is not registered"});
      }
    foreign_.clear();
  }

  void sample(const ::torch::Tensor& result) {
    const std::string& path = pending_.module;
    std::string name = path.empty() ? pending_.op + " after " + (last_path_.empty() ? "the input" : last_path_) : path;
    if (!path.empty()) last_path_ = path;
    if (names_.count(name) > 0) name += " (" + pending_.op + ")";
    if (!names_.insert(name).second) return;
    if (result.layout() != ::torch::kStrided || result.is_meta() || !dtype_of(result.scalar_type())) return;
    try {
      recording.samples.push_back(probe_sample(std::move(name), borrow(result)));
    } catch (const Error&) {
      return;  // collected: quantised outputs have no samples
    }
  }

  struct Known {
    Operand operand;
    c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> alive;
  };
  const RecordLimits limits_;
  std::unordered_map<const c10::TensorImpl*, Known> known_;
  std::vector<std::string> weight_paths_;  ///< of each node: the module whose weights it only rearranges; "" for others
  std::vector<::torch::Tensor> operands_, foreign_, members_;
  std::set<const c10::TensorImpl*> seen_;
  std::set<std::string> names_;
  std::string last_path_;
  GraphNode pending_;
  int depth_ = 0;
  bool is_paused_ = false;
};

thread_local Recorder* recorder_of_this_thread = nullptr;

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& call) {
  if (recorder_of_this_thread != nullptr) recorder_of_this_thread->start(call);
  return nullptr;
}

void on_end(const at::RecordFunction& call, at::ObserverContext*) {
  if (recorder_of_this_thread != nullptr) recorder_of_this_thread->end(call);
}

}  // namespace

void give_back(const Recording& recording) {
  const ::torch::NoGradGuard no_grad;
  for (auto [tensor, before] : recording.written)
    if (tensor.sizes() == before.sizes())
      tensor.copy_(before);
    else
      tensor.set_data(before.clone());  // the run gave it another size
}

Recording record(const std::vector<NamedTensor>& state, const std::vector<::torch::Tensor>& inputs,
                 const std::function<std::vector<::torch::Tensor>()>& work, const RecordLimits& limits) {
  Recorder recorder(state, inputs, limits);
  struct Watch {
    explicit Watch(Recorder& recorder)
        : before(std::exchange(recorder_of_this_thread, &recorder)),
          handle(at::addThreadLocalCallback(at::RecordFunctionCallback(on_start, on_end)
                                                .needsInputs(true)
                                                .needsOutputs(true)
                                                .scopes({at::RecordScope::FUNCTION}))) {}
    ~Watch() {
      at::removeCallback(handle);
      recorder_of_this_thread = before;
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    Recorder* before;
    at::CallbackHandle handle;
  };
  struct Undo {
    const Recording& recording;
    bool is_needed = true;
    ~Undo() {
      if (is_needed) give_back(recording);
    }
  } undo{recorder.recording};
  std::vector<::torch::Tensor> outputs;
  {
    const Watch watch(recorder);
    outputs = work();
  }
  undo.is_needed = false;
  recorder.finish(outputs);
  return std::move(recorder.recording);
}

}  // namespace tenon::torch_bridge
