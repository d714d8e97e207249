// What of this process can change results; never a host name, a user name or a path.
#pragma once

#include <tenon/blueprint.hpp>

namespace tenon::torch_bridge {

JsonMembers environment();

}  // namespace tenon::torch_bridge
