// A fiber: one stack and the context saved on it. The only file (with fiber.cc) that knows
// fcontext, the sanitizers' fiber calls and the C++ runtime's per-thread exception state.
//
// Private to the scheduler. A fiber belongs to one hub and is used by that hub's thread only.
// Invariants: exactly one fiber of a thread is current; `context_` is valid while the fiber is not
// current; what the C++ runtime and errno keep per thread is kept per fiber across a switch.
//
// Rejected: boost::context::fiber (it allocates a control record on every stack, unwinds by its own
// exception, and Debian builds it without sanitizer support); ucontext (a system call per switch).
#pragma once

#include <cstddef>
#include <cstdint>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom::detail {

struct DebugLayout;

// The first two words of __cxa_eh_globals, as the Itanium C++ ABI fixes them.
struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

// What the C++ runtime and libc keep per thread and a fiber must have for itself. The addresses are
// stable for the life of the thread, and a fiber never changes threads.
struct ThreadState {
  ExceptionState* exceptions = nullptr;
  int* error_number = nullptr;
};
ThreadState thread_state() noexcept;

class Fiber {
 public:
  using Entry = void (*)(void* argument);

  // The fiber that stands for the calling thread's own stack.
  Fiber();
  ~Fiber();
  // A fiber that calls entry(argument) on `stack` at its first switch. `entry` must never return.
  // The object lies at the top of its own stack (the page is touched anyway): end it with
  // destroy(), which hands the stack back.
  static Fiber& create(Stack stack, Entry entry, void* argument) noexcept;
  static Stack destroy(Fiber& fiber) noexcept;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Leaves `this`, which must be current, for `to`. Returns when something switches back.
  [[gnu::always_inline]] void switch_to(Fiber& to, const ThreadState& thread) noexcept;
  // The same, for good: `this` is destroyed before anything switches to it again.
  [[noreturn]] void leave_for(Fiber& to) noexcept;

  // It is switched to soon. Below the object are the frames that its greenlet has parked in, and
  // below those its registers.
  void prefetch() const noexcept {
    const auto* here = reinterpret_cast<const std::byte*>(this);
    __builtin_prefetch(here);
    __builtin_prefetch(here - 512);
    __builtin_prefetch(here - 576);
  }

  const Stack& stack() const { return stack_; }
  bool is_thread() const { return !stack_; }
  // Where its frames are now: on the stack of an excursion or its own. Null for a thread's own,
  // whose bounds are not known.
  const Stack* stack_in_use() const {
    if (excursion_) return excursion_;
    return is_thread() ? nullptr : &stack_;
  }

  // Calls function(argument) on that stack; `this` must be current, and stays it. What the C++
  // runtime keeps per fiber stays as well, so that the function is in the handlers its caller is
  // in. It must not throw. Calls may be nested.
  void call_on(const Stack& stack, void (*function)(void*) noexcept, void* argument) noexcept;

  // The saved context of a fiber that is not current; for debuggers and stack walks.
  void* context() const { return context_; }

  // Free for the owner: a link for its lists.
  Fiber* next = nullptr;
  bool is_dedicated = false;  // for one task: its size is not what others ask for

 private:
  friend struct DebugLayout;
  struct Start;
  struct Excursion;
  // jump_fcontext carries one word; the pair lives on the leaving fiber's stack during the switch.
  struct Handover {
    Fiber* from;
    Fiber* to;
  };
  Fiber(Stack stack, Entry entry, void* argument) noexcept;
  enum class Leaving : std::uint8_t { for_a_while, for_good };
  void begin_switch(Fiber& to, Leaving leaving) noexcept;
  void end_switch() noexcept;

  unsigned valgrind_id_ = 0;  // beside is_dedicated: the object is one cache line
  void* context_ = nullptr;
  Stack stack_;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  const Stack* excursion_ = nullptr;  // the innermost one's
#if GREENROOM_ASAN
  void* fake_stack_ = nullptr;
  const void* asan_bottom_ = nullptr;
  std::size_t asan_size_ = 0;
#endif
#if GREENROOM_TSAN
  void* tsan_fiber_ = nullptr;
  bool tsan_owned_ = false;
#endif
};

// What jump_fcontext returns: the context that was left, and the word it passed.
struct Transfer {
  void* context;
  void* data;
};

// What a function may use below its stack pointer, without saying so.
inline constexpr std::size_t red_zone = 128;

// boost::context's jump_fcontext, inlined, and with its return address pushed by hand instead of by
// a call. A processor predicts a `ret` by the last `call`; jump_fcontext leaves by a jump, so after
// a plain call of it every return up the resumed stack is predicted one level off, at some 5 ns
// each. This way calls and returns balance. It keeps the registers that a function must keep; the
// rest is clobbered.
[[gnu::always_inline]] inline Transfer jump(void* to, void* data) noexcept {
  void* context = nullptr;
  void* word = data;
  void* received = nullptr;
  asm volatile(
      "leaq -%c[red_zone](%%rsp), %%rsp\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "jmp *jump_fcontext@GOTPCREL(%%rip)\n"
      "1:\n\t"
      "leaq %c[red_zone](%%rsp), %%rsp"
      : "=&a"(context), "=&d"(received), "+D"(to), "+S"(word)
      : [red_zone] "i"(red_zone)
      : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
        "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15");
  return {context, received};
}

// Inlined into what parks: each level of calls between a switch and the user's code costs a return
// on every resume.
inline void Fiber::switch_to(Fiber& to, const ThreadState& thread) noexcept {
  // Word by word, as it is stored below: a load of both at once would have to wait until the stores
  // of the last switch have reached the cache.
  void* const caught = thread.exceptions->caught;
  const unsigned int uncaught = thread.exceptions->uncaught;
  const int saved_error = *thread.error_number;
  Handover handover{this, &to};
#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
  begin_switch(to, Leaving::for_a_while);
#endif
  const Transfer transfer = jump(to.context_, &handover);
  static_cast<Handover*>(transfer.data)->from->context_ = transfer.context;
#if defined(GREENROOM_ASAN)
  end_switch();
#endif
  *thread.error_number = saved_error;
  thread.exceptions->caught = caught;
  thread.exceptions->uncaught = uncaught;
}

}  // namespace greenroom::detail
