// device_mismatch: tensors of a device that the machine has not, operands on two devices, or tensors on the meta
// device, which have no values.
#include "base/text.hpp"
#include "diagnose/phrases.hpp"
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"
#include "diagnose/saying.hpp"

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

/// Tensors that were saved on the meta device: names, shapes and dtypes fit, and there is nothing to load. A blueprint
/// never has values, and says so elsewhere.
std::optional<Finding> without_values(const Case& facts) {
  if (facts.knowledge == Knowledge::Partial || !facts.checkpoint.values) return std::nullopt;
  std::vector<std::string> names;
  for (const Pair& pair : facts.gap.matched)
    for (const std::size_t source : sources(facts.state.tensors()[pair.state])) {
      const std::string& name = facts.checkpoint.value_names[source];
      const auto found = facts.checkpoint.values->find(name);
      if (found && facts.checkpoint.values->tensors()[*found].storage == kNoStorage) names.push_back(name);
    }
  if (names.empty()) return std::nullopt;
  Finding finding =
      say(facts,
          {0.97,
           base::plural(names.size(), "tensor") + " of the file " +
               (names.size() == 1 ? "is a placeholder" : "are placeholders") + " without values: " + list_text(names),
           "a model on the meta device has names and shapes only; saved as it is, so does its file",
           {part_text(names.size(), facts.gap.matched.size(), "matched key") + " without bytes in the file"},
           {"fill the model before saving: to_empty(...) and load, or gather what was sharded"}});
  finding.cause.keys = names.size();
  return finding;
}

}  // namespace

std::optional<Finding> find_device_mismatch(const Case& facts) {
  if (auto finding = without_values(facts)) return finding;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
