// The modules of a live model as rows of a blueprint: classes and options.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include <tenon/blueprint.hpp>

namespace tenon::torch_bridge {

/// `torch::nn::Conv2dImpl` -> `Conv2d`.
std::string class_name(const ::torch::nn::Module& module);

/// Every module, each before its children; one that stands twice is `same_as` its first path.
std::vector<ModuleSpec> module_rows(const ::torch::nn::Module& module);

/// Options of LibTorch's own modules, under the names that Python gives them; empty for others.
JsonMembers module_options(const ::torch::nn::Module& module);

}  // namespace tenon::torch_bridge
