#include "greenroom/examples/chat/directory.h"

#include "greenroom/examples/chat/room.h"

namespace chat {

void Directory::handle(const Open& open) {
  if (starts_.count(open.room) > 0) return;
  try {
    greenroom::start_child<Room>("rooms", {.id = room_id(open.room)}, open.room);
  } catch (const greenroom::ChildError& error) {
    // It is there, and its Opened is still in the mailbox.
    if (error.reason().tag() != "already_started") throw;
  }
}

}  // namespace chat
