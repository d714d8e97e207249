#include "torch/optimizer_state.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <tenon/error.hpp>

#include "torch/dtypes.hpp"
#include "torch/optimizer_options.hpp"

namespace tenon::torch_bridge {
namespace {

namespace optim = ::torch::optim;

constexpr const char* kNone = "none";
constexpr const char* kStep = "step";
constexpr const char* kOptions = "options";

struct Field {
  std::string name;
  ::torch::Tensor tensor;
};

/// LibTorch's own key of a parameter's state: its address, as text up to 2.0, as a pointer since.
template <class Key>
Key state_key(const ::torch::Tensor& parameter) {
  if constexpr (std::is_same_v<Key, std::string>) {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    return text.str();
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

using StateMap = std::remove_cvref_t<decltype(std::declval<optim::Optimizer&>().state())>;

const optim::OptimizerParamState* find_state(const optim::Optimizer& optimizer, const ::torch::Tensor& parameter) {
  const auto found = optimizer.state().find(state_key<StateMap::key_type>(parameter));
  return found == optimizer.state().end() ? nullptr : found->second.get();
}

template <class State>
std::vector<Field> adam_fields(const State& state) {
  std::vector<Field> fields{{"step", ::torch::scalar_tensor(state.step(), ::torch::kInt64)},
                            {"exp_avg", state.exp_avg()},
                            {"exp_avg_sq", state.exp_avg_sq()}};
  if (state.max_exp_avg_sq().defined()) fields.push_back({"max_exp_avg_sq", state.max_exp_avg_sq()});
  return fields;
}

std::vector<Field> fields_of(const optim::OptimizerParamState* state, Kind kind) {
  const std::vector<Field> none{{kNone, ::torch::zeros({}, ::torch::kUInt8)}};
  if (!state) return none;
  switch (kind) {
    case Kind::Adam: return adam_fields(dynamic_cast<const optim::AdamParamState&>(*state));
    case Kind::AdamW: return adam_fields(dynamic_cast<const optim::AdamWParamState&>(*state));
    case Kind::Sgd: break;
  }
  const auto& buffer = dynamic_cast<const optim::SGDParamState&>(*state).momentum_buffer();
  return buffer.defined() ? std::vector<Field>{{"momentum_buffer", buffer}} : none;
}

template <class State>
std::unique_ptr<optim::OptimizerParamState> adam_state(const std::vector<Field>& fields) {
  auto state = std::make_unique<State>();
  for (const Field& field : fields) {
    if (field.name == "step") state->step(field.tensor.template item<std::int64_t>());
    if (field.name == "exp_avg") state->exp_avg(field.tensor);
    if (field.name == "exp_avg_sq") state->exp_avg_sq(field.tensor);
    if (field.name == "max_exp_avg_sq") state->max_exp_avg_sq(field.tensor);
  }
  return state;
}

std::unique_ptr<optim::OptimizerParamState> state_of(const std::vector<Field>& fields, Kind kind) {
  switch (kind) {
    case Kind::Adam: return adam_state<optim::AdamParamState>(fields);
    case Kind::AdamW: return adam_state<optim::AdamWParamState>(fields);
    case Kind::Sgd: break;
  }
  auto state = std::make_unique<optim::SGDParamState>();
  state->momentum_buffer(fields.front().tensor);
  return state;
}

/// The fields that the optimizer keeps of a parameter of this group once it has stepped.
std::vector<std::string> field_names(const optim::OptimizerParamGroup& group, Kind kind) {
  bool amsgrad = false;
  switch (kind) {
    case Kind::Sgd: {
      const bool momentum = static_cast<const optim::SGDOptions&>(group.options()).momentum() != 0;
      return {momentum ? "momentum_buffer" : kNone};
    }
    case Kind::Adam: amsgrad = static_cast<const optim::AdamOptions&>(group.options()).amsgrad(); break;
    case Kind::AdamW: amsgrad = static_cast<const optim::AdamWOptions&>(group.options()).amsgrad(); break;
  }
  std::vector<std::string> names{"step", "exp_avg", "exp_avg_sq"};
  if (amsgrad) names.emplace_back("max_exp_avg_sq");
  return names;
}

/// Names of the parameters that `optimizer` holds, by address.
using Names = std::unordered_map<const void*, std::string>;

Names parameter_names(const ::torch::nn::Module& module, const optim::Optimizer& optimizer) {
  Names names;
  for (const NamedTensor& row : named_tensors(module))
    if (row.role == Role::Parameter) names.emplace(row.tensor.unsafeGetTensorImpl(), row.name);
  std::size_t strangers = 0;
  for (const auto& group : optimizer.param_groups())
    for (const auto& parameter : group.params()) strangers += names.contains(parameter.unsafeGetTensorImpl()) ? 0 : 1;
  if (strangers > 0)
    throw Error(Code::Invalid, {}, "the optimizer holds parameters that the module does not",
                "every parameter of the optimizer in the module", std::to_string(strangers) + " that are not",
                "pass the module whose parameters() the optimizer was made with");
  return names;
}

std::string full_name(const std::string& parameter, const std::string& field) {
  return std::string(kOptimizerPrefix) + parameter + "." + field;
}

std::string field_of(const std::string& full_name) { return full_name.substr(full_name.rfind('.') + 1); }

}  // namespace

bool is_optimizer_name(std::string_view name) { return name.starts_with(kOptimizerPrefix); }

Listing part_of(Listing checkpoint, Part part) {
  Listing result = checkpoint;
  result.tensors.clear();
  result.value_names.clear();
  for (std::size_t i = 0; i < checkpoint.tensors.size(); ++i) {
    if (is_optimizer_name(checkpoint.tensors[i].name) != (part == Part::Optimizer)) continue;
    result.tensors.push_back(std::move(checkpoint.tensors[i]));
    result.value_names.push_back(std::move(checkpoint.value_names[i]));
  }
  return result;
}

std::vector<NamedTensor> optimizer_tensors(const ::torch::nn::Module& module, const optim::Optimizer& optimizer) {
  const Kind kind = kind_of(optimizer);
  const Names names = parameter_names(module, optimizer);
  std::vector<NamedTensor> rows;
  for (const auto& group : optimizer.param_groups()) {
    for (const auto& parameter : group.params()) {
      std::vector<Field> fields = fields_of(find_state(optimizer, parameter), kind);
      fields.push_back({kOptions, ::torch::tensor(options_of(group, kind), ::torch::kFloat64)});
      for (Field& field : fields)
        rows.push_back(
            {full_name(names.at(parameter.unsafeGetTensorImpl()), field.name), std::move(field.tensor), Role::Unknown});
    }
  }
  return rows;
}

StateDraft::StateDraft(const ::torch::nn::Module& module, optim::Optimizer& optimizer, const Listing& stored)
    : optimizer_(optimizer) {
  const Kind kind = kind_of(optimizer);
  const Names names = parameter_names(module, optimizer);
  std::set<std::string_view> stored_names;
  for (const TensorSpec& spec : stored.tensors) stored_names.insert(spec.name);

  wanted_.label = "optimizer";
  const auto want = [&](const std::string& name, DType dtype, Shape shape) {
    TensorSpec spec;
    spec.name = name;
    spec.dtype = dtype;
    spec.shape = std::move(shape);
    wanted_.tensors.push_back(std::move(spec));
  };
  for (std::size_t g = 0; g < optimizer.param_groups().size(); ++g) {
    const auto& group = optimizer.param_groups()[g];
    const auto option_count = static_cast<std::int64_t>(options_of(group, kind).size());
    for (const auto& parameter : group.params()) {
      const std::string& name = names.at(parameter.unsafeGetTensorImpl());
      std::vector<std::string> fields = field_names(group, kind);
      if (stored_names.contains(full_name(name, kNone))) fields = {kNone};
      Slot slot{parameter, g, wanted_.tensors.size(), 0, fields.front() == kNone};
      for (const std::string& field : fields) {
        if (field == kNone)
          want(full_name(name, field), DType::UInt8, {});
        else if (field == kStep)
          want(full_name(name, field), DType::Int64, {});
        else
          want(full_name(name, field), *dtype_of(parameter.scalar_type()), parameter.sizes().vec());
      }
      want(full_name(name, kOptions), DType::Float64, {option_count});
      slot.end = wanted_.tensors.size();
      slots_.push_back(std::move(slot));
    }
  }
}

const std::vector<NamedTensor>& StateDraft::allocate() {
  const ::torch::NoGradGuard no_grad;
  filled_.clear();
  for (const Slot& slot : slots_) {
    for (std::size_t i = slot.begin; i < slot.end; ++i) {
      const TensorSpec& spec = wanted_.tensors[i];
      const std::string field = field_of(spec.name);
      const bool is_average = field != kNone && field != kStep && field != kOptions;
      filled_.push_back({spec.name,
                         is_average ? ::torch::zeros_like(slot.parameter, ::torch::MemoryFormat::Preserve)
                                    : ::torch::zeros(*spec.shape, *scalar_type_of(*spec.dtype)),
                         Role::Unknown});
    }
  }
  return filled_;
}

std::vector<std::string> StateDraft::torn_groups() const {
  std::vector<std::string> torn;
  const Slot* first = nullptr;
  for (const Slot& slot : slots_) {
    if (first == nullptr || first->group != slot.group) first = &slot;
    if (!filled_[slot.end - 1].tensor.equal(filled_[first->end - 1].tensor)) torn.push_back(filled_[slot.end - 1].name);
  }
  return torn;
}

void StateDraft::commit() {
  const Kind kind = kind_of(optimizer_);
  StateMap fresh;
  for (const Slot& slot : slots_) {
    if (slot.none) continue;
    std::vector<Field> fields;
    for (std::size_t i = slot.begin; i + 1 < slot.end; ++i)
      fields.push_back({field_of(filled_[i].name), filled_[i].tensor});
    fresh.emplace(state_key<StateMap::key_type>(slot.parameter), state_of(fields, kind));
  }
  optimizer_.state().swap(fresh);
  for (const Slot& slot : slots_) {
    const ::torch::Tensor& options = filled_[slot.end - 1].tensor;
    set_options(optimizer_.param_groups()[slot.group], kind,
                {options.data_ptr<double>(), static_cast<std::size_t>(options.numel())});
  }
}

}  // namespace tenon::torch_bridge
