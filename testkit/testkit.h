// testkit: how a program of actors is tested. For users' tests as well as greenroom's own.
//
//   run_actors   the body on real hubs on threads of their own: what leaks or hangs is an error
//   simulate     the body on simulated hubs on this thread: virtual clock, seeded order; the same
//                seed runs the same way again, and an actor can be killed at any suspension point
//
// Both may be called from any thread that runs no actor. What the body throws comes out; failed
// EXPECTs of GoogleTest count as usual.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "greenroom/io/socket/endpoint.h"
#include "greenroom/testkit/simulation/simulation.h"

namespace greenroom::testkit {

namespace detail {
class SimulatedNetwork;
}

// Something is left of a run: what() names each task, name and descriptor.
struct LeakError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A simulation took more than max_steps steps: actors that wake each other for ever, or a loop of
// yields that waits for the virtual clock, which stands still while anything is ready.
struct LivelockError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  int hubs = 1;                                              // threads that actors are placed on
  std::chrono::seconds watchdog = std::chrono::seconds(20);  // ten times that if slow; 0 = none
};

// Runs the body as the first actor of fresh hubs, on fresh threads, until it ends. Actors that it
// leaves are then ended: shutdown, and after a second kill. Throws what the body threw;
// green::LoopExit if nothing could ever wake it; std::runtime_error if an exit signal ended it; and
// LeakError. When the watchdog's time is over it writes what all hubs do to stderr and aborts.
void run_actors(std::function<void()> body);
void run_actors(Options options, std::function<void()> body);

// How a simulation went.
struct SimulationReport {
  std::uint64_t steps = 0;
  int suspension_points = 0;                   // that kill_at can name
  std::uint64_t trace = 0;                     // a hash of all that was chosen, and of the times
  std::chrono::nanoseconds virtual_time = {};  // from the beginning to the end of the body
  std::string victim = {};                     // who was killed, and where; empty: nobody
  int crossings = 0;                           // that cross_at can name
  int crossed = 0;                             // at how many of them a hub was stopped
};

// Runs the body as the first actor of hub 0 until it ends, then ends what is left as run_actors
// does. Which hub goes on, which of its ready tasks, and how much of its inbox arrives is chosen by
// the seed; the clock starts at a fixed time and jumps to the next event when nobody is ready. When
// nothing can ever wake the body any more, it gets a green::LoopExit, as a thread's own greenlet
// does; it may catch that and go on.
// Suspension points are counted over all tasks but the body, which is the observer: what is to be
// killed it spawns. A server that waits for mail is at a suspension point. The victim gets what
// exit(pid, kill) gives an actor and kill() a greenlet.
// Sockets are those of the simulation's own network; one that is still open at the end is a leak.
// Throws what run_actors does, LivelockError, and std::invalid_argument if GREENROOM_SEED is no
// number; the seed is printed whenever it throws, aborts, or a GoogleTest check has failed.
SimulationReport simulate(Simulation simulation, std::function<void()> body);

// The network of a simulation: what tcp:: uses there in the kernel's place. Every address is one of
// this machine's, a name other than localhost is none. It behaves as Linux' loopback does, but:
// bytes arrive in pieces that the seed chooses, buffers are small, and a test can make it slow or
// break it. What it does to a connection both its ends see.
// A handle, of use while the simulation runs.
class Network {
 public:
  // What is sent from now on takes so long, one way; or a time between the two that the seed
  // chooses for each piece, in order. At first 0.
  void latency(std::chrono::nanoseconds time) { latency(time, time); }
  void latency(std::chrono::nanoseconds least, std::chrono::nanoseconds most);
  // How much an end of a connection that is made from now on keeps of what the other has not taken,
  // and of what it has not read itself. At first 64 KiB each.
  void buffers(std::size_t send, std::size_t receive);
  // More sockets than this are not open at the same time: EMFILE. At first 65536.
  void descriptor_limit(std::size_t limit);

  // From now on nothing passes between this endpoint and any other; port 0: any port of the host,
  // which is a number and no name. A
  // client's own endpoint is its Stream::local(). Connections stay, and what was sent arrives once
  // it heals; unless an end loses its patience first: as on Linux, connect after 127 s, and who
  // waits for an answer to what it has sent after 924.6 s, both with ETIMEDOUT.
  void partition(const tcp::Endpoint& endpoint);
  // Nothing is partitioned any more.
  void heal();
  // Both ends of each connection with this endpoint find it reset, and what was on its way is lost.
  // Returns how many connections that were.
  int reset(const tcp::Endpoint& endpoint);

  std::size_t open_sockets() const;

 private:
  friend Network network();
  explicit Network(detail::SimulatedNetwork& network) : network_(&network) {}
  detail::SimulatedNetwork* network_;
};

// That of the simulation in which it is called. Throws std::logic_error elsewhere.
Network network();

// How many suspension points a simulation has when nobody is killed.
int suspension_points(Simulation simulation, const std::function<void()>& body);

// Simulates the body once for each suspension point and kill moment, with a kill there. Returns how
// many times somebody was killed.
int kill_everywhere(Simulation simulation, const std::function<void()>& body);

// Simulates the body once for each crossing, with a hub stopped there; and with a kill, if
// `kill_at` says so. Returns how many times a hub was stopped. It needs at least two hubs, and
// takes the body's square: bodies are to be small.
int cross_everywhere(Simulation simulation, const std::function<void()>& body);

// While it lasts, threads that come to a crossing outside a simulation now and then give the
// processor up for a moment, at random: one in `one_in`, at least 1. For tests of what no
// simulation has, the ends of hubs and of run() above all. Of all threads of the process; one at a
// time: a second one replaces the first, and its end is the end of both.
class YieldAtCrossings {
 public:
  explicit YieldAtCrossings(int one_in);
  ~YieldAtCrossings();
  YieldAtCrossings(const YieldAtCrossings&) = delete;
  YieldAtCrossings& operator=(const YieldAtCrossings&) = delete;
};

// n, or where everything is slow, under a sanitizer or valgrind, a tenth of it but at least 1.
int scale(int n);

}  // namespace greenroom::testkit
