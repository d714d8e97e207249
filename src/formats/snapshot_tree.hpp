// SnapshotTree: a snapshot as nested dicts and lists, for formats that keep nesting.
//
//   dict, OrderedDict, list, tuple        stay what they are
//   modules, records, tensors in parts    have no plain form: their tensors go, under their longer names, into the
//                                         nearest dict around them, and they are named in left_out()
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tenon/snapshot.hpp>

namespace tenon::formats {

/// What stands under one key of a dict or at one place of a list.
struct Branch {
  enum class Kind : std::uint8_t { Container, Tensor, Object };
  std::string key;
  bool integer_key = false;
  Kind kind = Kind::Container;
  std::size_t index = 0;       ///< into the snapshot's containers, tensors or objects
  std::uint64_t position = 0;  ///< within a list or tuple
};

class SnapshotTree {
 public:
  enum class Form : std::uint8_t { Dict, List, Tuple };

  /// `snapshot` must outlive the tree. O(n log n).
  explicit SnapshotTree(const Snapshot& snapshot);

  /// The top object is one tensor, which has no name.
  bool is_bare_tensor() const;

  Form form(std::size_t container) const { return nodes_[container].form; }
  /// In the order of the tensors, objects last; in a list or tuple by position.
  const std::vector<Branch>& branches(std::size_t container) const { return nodes_[container].branches; }

  /// Objects and containers that have no plain form, as `name (type)`.
  const std::vector<std::string>& left_out() const { return left_out_; }
  /// Full names that two entries of one dict would have.
  std::vector<std::string> names_that_stand_twice() const;

 private:
  struct Node {
    bool plain = false;   ///< it and all around it are dicts, lists and tuples
    bool placed = false;  ///< it stands among its parent's branches
    bool named = false;   ///< it stands in left_out_
    Form form = Form::Dict;
    std::vector<Branch> branches;
  };

  std::size_t home(std::size_t container);
  void place_container(std::size_t container);
  void place_tensor(std::size_t index);
  void place_object(std::size_t index);
  void settle_lists();

  const Snapshot& snapshot_;
  std::vector<Node> nodes_;  ///< beside the snapshot's containers
  std::vector<std::string> left_out_;
};

}  // namespace tenon::formats
