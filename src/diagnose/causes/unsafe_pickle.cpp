// unsafe_pickle: the reader refuses what unpickling would call.
//
// torch.load loads weights only since PyTorch 2.6; NumPy, Keras and transformers have their own guards. The refused
// name tells whether only metadata is in the way (a namespace, a NumPy scalar) or the file holds a whole object.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::UnsafePickle, 0.94, "the reader refuses to call what the pickle names: `%`",
     "unpickling runs what the file names; a reader of weights only allows a short list",
     "tenon reads the tensors and calls nothing    tenon convert FILE out.safetensors --drop-objects"},
};

}  // namespace

std::optional<Finding> find_unsafe_pickle(const Case& facts) { return read_sightings(facts, kReadings); }

}  // namespace tenon::diagnosis
