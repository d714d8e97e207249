#include "diagnose/reading.hpp"

#include <algorithm>

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMostEvidence = 3;
constexpr double kSurest = 0.98;
constexpr double kFurther = 0.2;  // how much of another sighting's weight is added: messages repeat each other

std::string filled(std::string_view pattern, const std::string& detail) {
  const auto at = pattern.find('%');
  if (at == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + (detail.empty() ? std::string("?") : detail) +
         std::string(pattern.substr(at + 1));
}

}  // namespace

double together(double a, double b) { return std::min(kSurest, 1 - (1 - a) * (1 - b)); }

std::optional<Finding> read_sightings(const Case& facts, std::span<const Reading> readings) {
  if (facts.text == nullptr) return std::nullopt;
  const Reading* best = nullptr;
  const Sighting* seen = nullptr;
  std::vector<std::string> others;
  double further = 0;
  for (const Reading& reading : readings) {
    const Sighting* sighting = facts.text->find(reading.symptom);
    if (sighting == nullptr) continue;
    further = together(further, kFurther * reading.confidence);
    others.push_back(sighting->excerpt);
    if (best != nullptr && best->confidence >= reading.confidence) continue;
    best = &reading;
    seen = sighting;
  }
  if (best == nullptr) return std::nullopt;
  Finding finding;
  Cause& cause = finding.cause;
  cause.confidence = others.size() > 1 ? together(best->confidence, further) : best->confidence;
  cause.place = facts.checkpoint.label;
  cause.keys = 1;
  cause.summary = filled(best->summary, seen->detail);
  cause.why = best->why;
  cause.evidence = {seen->excerpt};
  for (const std::string& other : others)
    if (other != seen->excerpt && cause.evidence.size() < kMostEvidence) cause.evidence.push_back(other);
  if (!best->help.empty()) cause.help.emplace_back(best->help);
  return finding;
}

}  // namespace tenon::diagnosis
