// Where actors meet TCP: a supervised acceptor, and connections whose input is mail.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "greenroom/actors/server/server.h"
#include "greenroom/actors/supervisor/supervisor.h"
#include "greenroom/actors/verbs/verbs.h"
#include "greenroom/io/tcp.h"
#include "greenroom/scheduler/fiber/stack.h"

namespace greenroom::tcp {

struct ServeOptions {
  Endpoint listen = {};
  std::string connections =
      {};  // id of the dynamic supervisor that gets each connection; empty: they are spawned
  ListenOptions socket = {};
  MailboxLimit mailbox = {};  // of each connection
  std::function<void(const Endpoint&)> on_listening =
      {};                             // called in the acceptor, at each start, with the port it got
  Placement place = Placement::here;  // of each connection; here: with whoever starts it
  // Of each connection, whose input decides how deep it goes. As SpawnOptions::stack_size; 0 = what
  // `connections` has for its children, or the default.
  std::size_t stack_size = std::size_t{256} << 10;
};

}  // namespace greenroom::tcp

namespace greenroom::detail {

// Listens in its constructor, so that a tree whose port is taken does not start; accepts for ever
// in a handler.
class Acceptor {
 public:
  using Take = std::function<void(const std::string& connections, tcp::Stream stream)>;
  struct Run {};

  Acceptor(tcp::ServeOptions options, Take take);
  void handle(Run);

 private:
  tcp::ServeOptions options_;
  Take take_;
  tcp::Listener listener_;
};

}  // namespace greenroom::detail

namespace greenroom::tcp {

// A child that listens and runs connection(Stream) for each connection, as a temporary child of
// `connections`. One that does not get in there (max_children) is closed at once. As gevent's
// StreamServer. Throws std::invalid_argument for a stack over 256 MiB.
template <class F>
ChildSpec serve(ChildOptions options, ServeOptions serve_options, F connection) {
  static_assert(std::is_invocable_v<F, Stream>,
                "tcp::serve: connection must be callable with a tcp::Stream");
  static_assert(std::is_copy_constructible_v<F>,
                "tcp::serve: connection is copied for each connection");
  const ChildOptions of_connection{.restart = Restart::temporary,
                                   .mailbox = serve_options.mailbox,
                                   .place = serve_options.place,
                                   .stack_size = serve_options.stack_size};
  detail::check_stack_size("tcp::ServeOptions::stack_size", of_connection.stack_size);
  detail::Acceptor::Take take = [connection, of_connection](const std::string& connections,
                                                            Stream stream) {
    if (connections.empty()) {
      spawn(detail::actor_options(of_connection), connection, std::move(stream));
    } else {
      start_child(Supervisor(connections), of_connection, connection, std::move(stream));
    }
  };
  return child<detail::Acceptor>(std::move(options), std::move(serve_options), std::move(take));
}

// Active mode: from now on the stream's lines reach the actor as tcp::Line messages, and its end as
// one tcp::Closed; nobody reads it otherwise. At most `ahead` lines lie unread in the mailbox, then
// the peer waits. Lines are at most 4096 bytes, a longer one closes with message_size. **Blocks.**
// Throws IoError, no_such_process for nobody or an actor of this hub that is not alive;
// ConcurrentUse; in the second form as a StartError. The first form leaves the stream with the
// caller, to write to; the actor must live on this hub. When it ends, the stream can be read or
// attached again: lines that were in its mailbox are lost, input that had not got there is read
// first. The second form keeps the stream until its end or the actor's.
void attach(Stream& stream, Pid to = self(), int ahead = 16);
void attach(Stream&& stream, Pid to = self(), int ahead = 16);

}  // namespace greenroom::tcp
