// device_mismatch: tensors of a device that the machine has not, or operands on two devices.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::AbsentDevice, 0.93, "the file's tensors were saved on a device that is not here",
     "torch.save records each storage's device, and torch.load asks for it again",
     "load with map_location=\"cpu\", then move the model"},
    {Symptom::TwoDevices, 0.85, "tensors on two devices meet",
     "a part was restored on another device than the rest: the model, an optimizer's state, a plain tensor attribute",
     "move model and state to one device after loading; register tensors as buffers so that they move along"},
    {Symptom::MetaTensor, 0.45, "a tensor has no data yet: it is on the meta device",
     "the model was built empty, and not all of it was filled",
     "load with assign=True, or give the missing tensors a device first: module.to_empty(...)"},
};

}  // namespace

std::optional<Finding> find_device_mismatch(const Case& facts) { return read_sightings(facts, kReadings); }

}  // namespace tenon::diagnosis
