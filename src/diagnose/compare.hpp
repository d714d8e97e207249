// compare: the diagnosis of two whole listings, with what a text adds. Shared by diagnose() and explain().
#pragma once

#include <tenon/diagnose.hpp>

#include "diagnose/text/text_facts.hpp"

namespace tenon::diagnosis {

/// `target` is the model itself (see target_model). `text` may be null.
Report compare(const Listing& checkpoint, const Listing& target, const TextFacts* text);

}  // namespace tenon::diagnosis
