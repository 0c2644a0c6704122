// What an actor can be given at its start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace greenroom {

// Where an actor lives: on the spawning hub, on the next one of run()'s in turn, on the one with
// the fewest actors, or on a hub and thread of its own that end with it. What is spawned outside
// run(), or by an actor with a thread of its own, has no other hubs beside it: the second and the
// third are then as the first.
enum class Placement : std::uint8_t { here, next_hub, least_busy, own_thread };

// What happens to a message that finds the mailbox full. Exit signals and Downs are not counted and
// never refused.
enum class Overflow : std::uint8_t {
  reject,       // the new one is a dead letter, and counted; a request fails at once
  drop_newest,  // the same
  drop_oldest,  // the oldest user message makes room
  exit,         // the actor exits with the reason "mailbox_overflow"
};

struct MailboxLimit {
  std::size_t messages = 0;  // 0 = unbounded
  Overflow overflow = Overflow::reject;
};

struct SpawnOptions {
  std::string name = {};   // registered before the first line runs
  std::string label = {};  // for people; default: the function's type
  Placement place = Placement::here;
  // Bytes of address space, guard included, rounded up to a power of two from 16 KiB to 256 MiB; 0
  // = default (64 KiB).
  std::size_t stack_size = 0;
  MailboxLimit mailbox = {};
};

}  // namespace greenroom
