#include "greenroom/scheduler/trace/throw_hook.h"

#include <bits/cxxabi_init_exception.h>
#include <cxxabi.h>
#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cassert>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define GREENROOM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENROOM_ASAN 1
#endif
#endif
#if GREENROOM_ASAN
// clang's sanitizer brings a weak __cxa_throw of its own, and comes first.
#define GREENROOM_WEAK
#else
// So that linking a static libstdc++, with a strong one, is no error.
#define GREENROOM_WEAK __attribute__((weak))
#endif

namespace greenroom::detail {
namespace {

using Destructor = void (*)(void* object);

// The traces of all live exceptions that have one.

struct Node {
  void* object;
  Destructor destroy;  // the exception's own; null if it is trivial
  Node* next;
  StackTrace trace;
};

// A hash table with chains. Locks are held for a few instructions, and by nobody who could park.
class TraceTable {
 public:
  void insert(Node* node) {
    const std::size_t bucket = bucket_of(node->object);
    const std::lock_guard lock(mutexes_[bucket % mutex_count]);
    node->next = buckets_[bucket];
    buckets_[bucket] = node;
  }

  const Node* find(const void* object) {
    const std::size_t bucket = bucket_of(object);
    const std::lock_guard lock(mutexes_[bucket % mutex_count]);
    return *find_link(bucket, object);
  }

  Node* take(const void* object) {
    const std::size_t bucket = bucket_of(object);
    const std::lock_guard lock(mutexes_[bucket % mutex_count]);
    Node** link = find_link(bucket, object);
    Node* node = *link;
    if (node != nullptr) *link = node->next;
    return node;
  }

 private:
  static constexpr std::size_t bucket_count = 1024;
  static constexpr std::size_t mutex_count = 64;

  static std::size_t bucket_of(const void* object) {
    return (reinterpret_cast<std::uintptr_t>(object) * 0x9e3779b97f4a7c15u) >> 54;
  }
  Node** find_link(std::size_t bucket, const void* object) {
    Node** link = &buckets_[bucket];
    while (*link != nullptr && (*link)->object != object) link = &(*link)->next;
    return link;
  }

  std::array<std::mutex, mutex_count> mutexes_;
  std::array<Node*, bucket_count> buckets_ = {};
};

// One for the process, because an exception_ptr may die on another thread than it was thrown on;
// without a constructor or destructor, because exceptions are thrown before main and after it.
constinit TraceTable traces;

// The destructor an exception with a trace gets.
void destroy_with_trace(void* object) {
  Node* node = traces.take(object);
  if (node->destroy != nullptr) node->destroy(object);
  std::free(node);
}

// Which throws are captured.

struct Excluded {
  static constexpr std::size_t max_types = 32;
  std::array<std::atomic<const std::type_info*>, max_types> types = {};
};
constinit Excluded excluded;
constinit std::atomic<std::uint32_t> limit = 10'000;

struct ThreadState {
  bool is_enabled = false;
  std::time_t second = 0;
  std::uint32_t wanted_this_second = 0;
  ThrowCaptureCounters counters = {};
};
constinit thread_local ThreadState this_thread;

bool is_excluded(const std::type_info& type) {
  for (const auto& slot : excluded.types) {
    // acquire pairs with the release of exclude_from_throw_capture.
    const std::type_info* candidate = slot.load(std::memory_order_acquire);
    if (candidate == nullptr) return false;
    if (candidate == &type || *candidate == type) return true;
  }
  return false;
}

bool is_over_limit(ThreadState& state) {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  if (now.tv_sec != state.second) {
    state.second = now.tv_sec;
    state.wanted_this_second = 0;
  }
  constexpr std::uint32_t sampled = 64;
  const std::uint32_t count = state.wanted_this_second++;
  return count >= limit.load(std::memory_order_relaxed) && count % sampled != 0;
}

bool is_wanted(const std::type_info& type) {
  ThreadState& state = this_thread;
  if (!state.is_enabled) return false;
  if (is_excluded(type)) return false;
  if (is_over_limit(state)) {
    ++state.counters.over_limit;
    return false;
  }
  return true;
}

// Returns the destructor to throw with. Out of memory means no trace: a throw must go on.
Destructor capture(void* object, Destructor destroy, const UnwindContext& thrower) noexcept {
  void* memory = std::malloc(sizeof(Node));
  if (memory == nullptr) return destroy;
  Node* node = new (memory) Node;
  node->object = object;
  node->destroy = destroy;
  node->trace = capture_stack_trace(thrower, {.low = thrower.sp});
  traces.insert(node);
  ++this_thread.counters.captured;
  return destroy_with_trace;
}

using Throw = void (*)(void* object, std::type_info* type, Destructor destroy);

// The C++ runtime's __cxa_throw, or a sanitizer's that goes on to it. Not a local static: the first
// exception of a program may be the std::bad_alloc of one that has no memory for a guard. Threads
// that come at once find the same.
Throw next_throw() noexcept {
  static constinit std::atomic<Throw> known{nullptr};
  Throw next = known.load(std::memory_order_relaxed);
  if (next == nullptr) {
    next = reinterpret_cast<Throw>(dlsym(RTLD_NEXT, "__cxa_throw"));
    known.store(next, std::memory_order_relaxed);
  }
  return next;
}

// Where libstdc++ is an archive, this takes its __cxa_throw along, which replaces our weak one: no
// captures then, but correct throws. Without it ours would have nothing to go on to.
[[gnu::used]] const auto anchor = &abi::__cxa_init_primary_exception;

Destructor on_throw(void* object, const std::type_info& type, Destructor destroy,
                    const void* frame_address) noexcept {
  if (destroy == destroy_with_trace || !is_wanted(type)) return destroy;
  const auto* frame = static_cast<const std::uintptr_t*>(frame_address);
  return capture(
      object, destroy,
      {.pc = frame[1], .sp = reinterpret_cast<std::uintptr_t>(frame + 2), .fp = frame[0]});
}

}  // namespace

void set_throw_capture(bool enabled) noexcept { this_thread.is_enabled = enabled; }

void exclude_from_throw_capture(const std::type_info& type) noexcept {
  for (auto& slot : excluded.types) {
    const std::type_info* expected = nullptr;
    // acq_rel: the release pairs with the acquire in is_excluded.
    if (slot.compare_exchange_strong(expected, &type, std::memory_order_acq_rel)) return;
    if (*expected == type) return;
  }
  assert(!"more than 32 types excluded from capture");
}

const StackTrace* trace_of_current_exception() noexcept {
  return trace_of(std::current_exception());  // the handler keeps the object alive
}

const StackTrace* trace_of(const std::exception_ptr& exception) noexcept {
  // libstdc++'s exception_ptr is the object's address, and offers no other way to it.
  static_assert(sizeof exception == sizeof(void*));
  const void* object = *reinterpret_cast<const void* const*>(&exception);
  const Node* node = object != nullptr ? traces.find(object) : nullptr;
  return node != nullptr ? &node->trace : nullptr;
}

ThrowCaptureCounters throw_capture_counters() noexcept { return this_thread.counters; }

void set_throw_capture_limit(std::uint32_t per_second) noexcept {
  limit.store(per_second, std::memory_order_relaxed);
}

}  // namespace greenroom::detail

// Calls within this program, and those in libstdc++.so, reach this one first. Not declared by the
// runtime's name, which does not return: so the last call can be a jump, and no frame of ours is on
// the way to the handler.
extern "C" GREENROOM_WEAK __attribute__((visibility("default"))) void greenroom_throw(
    void* object, std::type_info* type, void (*destroy)(void*)) __asm__("__cxa_throw");
void greenroom_throw(void* object, std::type_info* type, void (*destroy)(void*)) {
  using namespace greenroom::detail;
  destroy = on_throw(object, *type, destroy, __builtin_frame_address(0));
  next_throw()(object, type, destroy);
}

// What calls become with -Wl,--wrap=__cxa_throw; __real___cxa_throw is then the archive's.
extern "C" __attribute__((weak)) void __real___cxa_throw(void*, std::type_info*, void (*)(void*));
extern "C" void __wrap___cxa_throw(void* object, std::type_info* type, void (*destroy)(void*)) {
  using namespace greenroom::detail;
  destroy = on_throw(object, *type, destroy, __builtin_frame_address(0));
  __real___cxa_throw(object, type, destroy);
}
