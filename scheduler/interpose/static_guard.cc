// The guards of local statics, for green threads: replaces the C++ runtime's __cxa_guard_acquire,
// _release and _abort in the whole program.
//
// The runtime's own stop the thread that enters a static which somebody is initialising. If that
// somebody is a greenlet of the same thread that has parked, nobody ever runs again. Here a
// greenlet parks until the initialiser is over; a plain thread sleeps. An initialiser that is left
// by an exception, a kill for instance, is run anew by the next one.
//
// Invariant: a guard is pending exactly while it is on the list of running initialisations. All is
// under one lock: a static is initialised once, and who finds it initialised does not come here.
#include <cxxabi.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/system/futex.h"
#include "greenroom/scheduler/system/signal_safe_text.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom::detail {

namespace {

// Who enters, or runs, an initialiser.
struct Visitor {
  const Hub* hub = nullptr;  // null: a plain thread
  Task* task = nullptr;      // null: a plain thread, or hub work
  pid_t thread = 0;          // of a plain thread or hub work

  static Visitor current() {
    Hub* hub = Hub::current_if_any();
    Task* task = hub ? hub->current_task() : nullptr;
    return {hub, task, task ? 0 : ::gettid()};
  }
  friend bool operator==(const Visitor&, const Visitor&) = default;
};

struct Initialization {
  Initialization(const void* of, const Visitor& visitor, Initialization* others)
      : guard(of), by(visitor), next(others) {}
  const void* guard;
  Visitor by;
  Initialization* next;
  WaitQueue waiters;
};

// Memory for those that run at a time. Most programs never need more than these, so that a static
// can be initialised by code that copes with an end of memory.
struct Places {
  static constexpr std::size_t count = 32;
  struct Place {
    alignas(Initialization) std::byte memory[sizeof(Initialization)];
    bool is_taken;
  };

  // With the lock. Null: all are taken.
  void* take() {
    for (Place& place : places) {
      if (!std::exchange(place.is_taken, true)) return place.memory;
    }
    return nullptr;
  }
  // With the lock. False: the memory is not one of these.
  bool give_back(const void* memory) {
    for (Place& place : places) {
      if (place.memory == memory) return std::exchange(place.is_taken, false);
    }
    return false;
  }

  Place places[count] = {};
};

// Of the process; usable before main and after it.
constinit std::mutex mutex;
constinit Initialization* running = nullptr;
constinit Places places;
constinit std::atomic<std::uint32_t> ended_count = 0;  // for plain threads to sleep on

// What the compiler looks at before it calls: the guard's first byte.
bool is_initialized(void* guard) {
  return __atomic_load_n(static_cast<unsigned char*>(guard), __ATOMIC_ACQUIRE) != 0;
}
void set_initialized(void* guard) {
  // Pairs with is_initialized and with the load that the compiler puts before the static.
  __atomic_store_n(static_cast<unsigned char*>(guard), 1, __ATOMIC_RELEASE);
}

Initialization** find(const void* guard) {
  Initialization** link = &running;
  while (*link && (*link)->guard != guard) link = &(*link)->next;
  return link;
}

// The compiler takes __cxa_guard_acquire for a call that does not throw.
[[noreturn]] void abort_recursive(const Visitor& self) {
  std::fprintf(stderr,
               "greenroom: %s enters a local static whose initialiser it is running itself, or, in "
               "hub work, a parked greenlet: it would wait for ever\n",
               self.task ? describe(*self.task).c_str() : "a thread or hub work");
  std::abort();
}

// A kill has to wait, as nothing can be thrown from here.
void wait_as_greenlet(std::unique_lock<std::mutex>& lock, Task& self, Initialization& other) {
  const Uncancellable cannot_throw;
  std::optional<Hold> hold;
  if (other.by.hub != self.hub) hold.emplace(self.hub->hold());
  WaitNode node(self);
  other.waiters.push_back(node);
  lock.unlock();
  park("static initialiser");
  lock.lock();
}

void wait_as_thread(std::unique_lock<std::mutex>& lock) {
  const std::uint32_t before = ended_count;
  lock.unlock();
  futex_wait(ended_count, before, no_deadline);
  lock.lock();
}

[[noreturn]] void abort_without_memory() {
  write_all(
      "greenroom: no memory left to note down that a local static is being initialised, beside the "
      "many whose initialisers are parked; the process ends, as nothing can be thrown from here\n");
  std::abort();
}

// With the lock. Not operator new, which a program may replace by one that has a static of its own.
void* take_memory() {
  void* memory = places.take();
  if (!memory) memory = std::malloc(sizeof(Initialization));
  if (!memory) abort_without_memory();
  return memory;
}

bool begin(void* guard) {
  const Visitor self = Visitor::current();
  std::unique_lock lock(mutex);
  while (!is_initialized(guard)) {
    Initialization* other = *find(guard);
    if (!other) {
      running = new (take_memory()) Initialization(guard, self, running);
      return true;
    }
    const bool cannot_wait =
        other->by == self || (self.hub && !self.task && other->by.hub == self.hub);
    if (cannot_wait) {
      lock.unlock();
      abort_recursive(self);
    }
    if (self.task) {
      wait_as_greenlet(lock, *self.task, *other);
    } else {
      wait_as_thread(lock);
    }
  }
  return false;
}

void end(const void* guard) noexcept {
  std::unique_lock lock(mutex);
  Initialization** link = find(guard);
  Initialization* ended = *link;
  *link = ended->next;
  ended_count.fetch_add(1);
  lock.unlock();
  futex_wake_all(ended_count);
  // Without the lock, because a wake may allocate: they all wait for nothing but this.
  ended->waiters.wake_all();
  ended->~Initialization();
  lock.lock();
  if (!places.give_back(ended)) std::free(ended);
}

}  // namespace
}  // namespace greenroom::detail

namespace __cxxabiv1 {

extern "C" int __cxa_guard_acquire(__guard* guard) {
  return greenroom::detail::begin(guard) ? 1 : 0;
}

extern "C" void __cxa_guard_release(__guard* guard) noexcept {
  greenroom::detail::set_initialized(guard);
  greenroom::detail::end(guard);
}

extern "C" void __cxa_guard_abort(__guard* guard) noexcept { greenroom::detail::end(guard); }

}  // namespace __cxxabiv1
