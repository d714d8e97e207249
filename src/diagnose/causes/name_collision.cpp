// name_collision: two tensors want one name in the file, or one name is a path prefix of another.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::NameTaken, 0.93, "two tensors or layers have one name where the format wants one each",
     "HDF5 keeps names as paths: equal names, and a name that is the beginning of another's path, cannot stand side by "
     "side",
     "give each layer and weight a name of its own, or use a format without paths"},
    {Symptom::BadName, 0.85, "a name has a character that names may not have",
     "a dot parts levels in PyTorch, a slash in HDF5 and TensorFlow",
     "rename the module or parameter without the dot or slash"},
};

}  // namespace

std::optional<Finding> find_name_collision(const Case& facts) { return read_sightings(facts, kReadings); }

}  // namespace tenon::diagnosis
