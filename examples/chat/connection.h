// A connection: the actor behind one client.
#pragma once

#include "greenroom/io/tcp.h"

namespace chat {

void connection(greenroom::tcp::Stream stream);

}  // namespace chat
