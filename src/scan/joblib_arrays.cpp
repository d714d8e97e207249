#include "scan/joblib_arrays.hpp"

#include "formats/joblib.hpp"
#include "scan/pickle_scan.hpp"

namespace tenon::scanning {

std::uint64_t joblib_array_bytes(const container::PickleTree& tree, container::NodeId built, const Part& rest,
                                 Collector& out) {
  if (rest.depth > out.limits().scan_depth) return 0;
  const auto elements = formats::joblib_elements_behind(tree, built, rest.bytes);
  if (!elements) return 0;
  if (elements->are_objects) {
    Part objects = rest;
    ++objects.depth;
    const auto inner = scan_one_pickle(objects, Start::Certain, {}, out);
    return inner ? inner->end_bytes : 0;
  }
  if (elements->bytes <= rest.bytes.size()) return elements->bytes;
  out.add(ScanVerdict::Malformed, "joblib-array", rest, 0, "the file ends within an array's elements");
  return rest.bytes.size();
}

}  // namespace tenon::scanning
