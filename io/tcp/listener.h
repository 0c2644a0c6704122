// tcp::Listener: where connections come in.
#pragma once

#include "greenroom/io/poll/descriptor.h"
#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/stream/stream.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::tcp {

struct ListenOptions {
  int backlog = 1024;       // connections the kernel keeps until they are accepted
  bool reuse_port = false;  // several listeners share the port; the kernel deals connections out
};

// Move-only; for one hub at a time, with one greenlet that accepts. The destructor closes it.
class Listener {
 public:
  // Listens at once. Port 0: any free one, local() tells which. A host that is a name is looked up,
  // which **Blocks.** Throws IoError.
  explicit Listener(Endpoint endpoint, ListenOptions options = {});

  // **Blocks.** until a connection comes in. While the process has no descriptor for it, the
  // connection waits in the kernel, and accept looks again from time to time. The stream belongs to
  // no hub yet. Throws IoError, timed_out if the wait was over first, for want of descriptors, too
  // (what() says so); ConcurrentUse if another greenlet accepts.
  Stream accept(Wait wait = Wait::forever());

  // The greenlet that accepts gets IoError, bad_file_descriptor. Closed twice is closed.
  void close() noexcept { socket_.reset(); }
  bool is_open() const { return socket_ != nullptr; }

  // Throws IoError if it is closed.
  Endpoint local() const;

 private:
  detail::OwnedDescriptor<> socket_;
};

}  // namespace greenroom::tcp
