// What the tests of io/ share: connections over the loopback, and counting what is open.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "greenroom/io/tcp.h"
#include "greenroom/scheduler/green.h"

namespace greenroom::loopback {

struct Pair {
  tcp::Stream client;
  tcp::Stream server;
};

// A connection; both ends belong to no hub yet.
Pair connected();
// The same as two variables: the client is given, the server returned.
tcp::Stream connected_to(tcp::Stream& client);

// How many sockets, pipes and event descriptors the process has open. Not files: the watch for
// stalls reads the program's for a moment.
int open_descriptors();

// Leaves room for `free` more descriptors as long as it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(int free);
  ~DescriptorLimit();
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit previous_{};
  std::vector<int> fill_;
};

// Reads until there are `size` bytes or the stream ends.
std::string read_text(tcp::Stream& stream, std::size_t size);
std::string read_some_text(tcp::Stream& stream, Wait wait = Wait::forever());
// Takes what has come so far from the kernel, without a turn for others meanwhile.
void discard_input(int fd);
int descriptor_of(const tcp::Stream& stream);

// What f ended by: no error if it returned.
template <class F>
std::error_code error_of(F f) {
  try {
    f();
    return {};
  } catch (const IoError& error) {
    return error.code();
  }
}

// Keeps the hub busy, as a greenlet that computes would, until the time has come.
void compute_until(clock::time_point end);

// While it lives, the hub does not hear its descriptors, as long as it has something else to do: it
// takes somebody for told who has not looked yet.
class Deafness {
 public:
  Deafness();
  ~Deafness();
  Deafness(const Deafness&) = delete;
  Deafness& operator=(const Deafness&) = delete;
};

// Lets everything run that is ready and told by descriptors.
void settle();

}  // namespace greenroom::loopback
