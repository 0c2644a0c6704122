#include "greenroom/examples/chat/chat.h"

#include <utility>

#include "greenroom/examples/chat/connection.h"
#include "greenroom/examples/chat/directory.h"
#include "greenroom/examples/chat/room.h"

namespace chat {

using namespace greenroom;
using namespace std::chrono_literals;

ChildSpec tree(tcp::Endpoint listen, std::function<void(const tcp::Endpoint&)> on_listening) {
  return supervisor({.id = "chat",
                     .strategy = Strategy::rest_for_one,
                     .children = {
                         child<Directory>({.id = "directory"}),
                         // Clients can crash rooms: that must not take the chat along.
                         dynamic_supervisor({.id = "rooms", .intensity = 100'000, .period = 1s}),
                         dynamic_supervisor({.id = "connections", .max_children = 10000}),
                         tcp::serve({.id = "acceptor"},
                                    {.listen = std::move(listen),
                                     .connections = "connections",
                                     // Who reads too slowly is cut off.
                                     .mailbox = {.messages = 10'000, .overflow = Overflow::exit},
                                     .on_listening = std::move(on_listening)},
                                    connection),
                     }});
}

}  // namespace chat
