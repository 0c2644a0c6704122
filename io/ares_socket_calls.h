// The system calls of c-ares' sockets, made as ours are: without SIGPIPE, closed on exec, and so
// that a name server that is down is found out at once.
#pragma once

struct ares_channeldata;

namespace greenroom::detail {

void set_socket_calls(ares_channeldata* channel);

}  // namespace greenroom::detail
