// The tensors of a live module by name, and what can be asked of them before anything is written.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include <tenon/listing.hpp>
#include <tenon/snapshot.hpp>

namespace tenon::torch_bridge {

struct NamedTensor {
  std::string name;
  ::torch::Tensor tensor;  ///< the live one: writing to it writes to the module
  Role role = Role::Unknown;
};

/// Parameters, then buffers, of each module before its children, in order of registration. Undefined tensors are left
/// out. Unlike Module::named_modules it needs no shared_ptr to the module.
std::vector<NamedTensor> named_tensors(const ::torch::nn::Module& module);

/// For each tensor the index of the first that is the same: memory, dtype, shape and stride.
std::vector<std::size_t> first_of_same(const std::vector<NamedTensor>& tensors);

/// What tensors without values look like to tenon.
Listing listing_of(const std::vector<NamedTensor>& tensors, std::string label);

/// Throws Error Refused that names every tensor whose saving would store nonsense.
void check_savable(const std::vector<NamedTensor>& tensors, const std::string& path);

/// Throws Error Invalid that names every tensor that cannot be written to: meta, expanded, inference.
void check_writable(const std::vector<NamedTensor>& tensors, const std::string& file);

/// Adds the tensors to a flat snapshot, ties kept. Nothing is copied; the live tensors are kept alive.
void add_tensors(Snapshot& snapshot, const std::vector<NamedTensor>& tensors);

/// `a, b, c and 4 more`: lists stop at three.
std::string few(const std::vector<std::string>& names);

}  // namespace tenon::torch_bridge
