// The chat's supervision tree.
#pragma once

#include <functional>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tcp.h"

namespace chat {

// The directory, the rooms, the connections and the acceptor. `on_listening` is told where clients
// connect.
greenroom::ChildSpec tree(greenroom::tcp::Endpoint listen,
                          std::function<void(const greenroom::tcp::Endpoint&)> on_listening);

}  // namespace chat
