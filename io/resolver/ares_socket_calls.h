// The system calls of c-ares' sockets, made as ours are: without SIGPIPE, closed on exec, and so
// that a name server that is down is found out at once.
#pragma once

struct ares_channeldata;

namespace greenroom::detail {

// c-ares says no more of a socket that could not be made than that no server answers:
// `open_error` is set to the errno of the last attempt, 0 if it went well.
void set_socket_calls(ares_channeldata* channel, int& open_error);

}  // namespace greenroom::detail
