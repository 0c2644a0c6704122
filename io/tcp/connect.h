// tcp::connect: the way out.
#pragma once

#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/stream/stream.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::tcp {

// **Blocks.** until there is a connection: the host's addresses are tried one after the other. The
// wait is for all of it. Throws the last address' IoError; timed_out if the wait was over first.
// Killed while parked, it leaves nothing open. As socket.create_connection.
Stream connect(Endpoint endpoint, Wait wait = Wait::forever());

}  // namespace greenroom::tcp
