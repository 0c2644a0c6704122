#include "greenroom/scheduler/fiber/fiber.h"

#include <cxxabi.h>
#include <pthread.h>

#include <boost/context/detail/fcontext.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

#include "greenroom/scheduler/fiber/stack_switch_x86_64.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define GREENROOM_VALGRIND 1
#endif
#if GREENROOM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if GREENROOM_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace greenroom::detail {

namespace context = boost::context::detail;

ThreadState thread_state() noexcept {
  return {reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()), &errno};
}

struct Fiber::Start {
  static void enter(context::transfer_t transfer) noexcept {
    const Handover handover = *static_cast<Handover*>(transfer.data);
    handover.from->context_ = transfer.fctx;
    Fiber* self = handover.to;
    self->end_switch();
    *thread_state().exceptions = ExceptionState{};
    self->entry_(self->argument_);
    __builtin_unreachable();
  }
};

Fiber::Fiber() {
#if GREENROOM_ASAN
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    void* base = nullptr;
    pthread_attr_getstack(&attributes, &base, &asan_size_);
    asan_bottom_ = base;
    pthread_attr_destroy(&attributes);
  }
#endif
#if GREENROOM_TSAN
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

#if !GREENROOM_ASAN && !GREENROOM_TSAN
static_assert(sizeof(Fiber) == 64);  // the frames below it begin with a cache line
#endif

Fiber& Fiber::create(Stack stack, Entry entry, void* argument) noexcept {
  std::byte* place = stack.top() - sizeof(Fiber);
  place -= reinterpret_cast<std::uintptr_t>(place) % 16;
  return *new (place) Fiber(stack, entry, argument);
}

Stack Fiber::destroy(Fiber& fiber) noexcept {
  const Stack stack = fiber.stack_;
  fiber.~Fiber();
  return stack;
}

Fiber::Fiber(Stack stack, Entry entry, void* argument) noexcept
    : stack_(stack), entry_(entry), argument_(argument) {
  auto* top = reinterpret_cast<std::byte*>(this);
  context_ =
      context::make_fcontext(top, static_cast<std::size_t>(top - stack_.base), &Start::enter);
#if GREENROOM_ASAN
  asan_bottom_ = stack_.base;
  asan_size_ = stack_.size;
#endif
#if GREENROOM_TSAN
  tsan_fiber_ = __tsan_create_fiber(0);
  tsan_owned_ = true;
#endif
#if GREENROOM_VALGRIND
  valgrind_id_ = VALGRIND_STACK_REGISTER(stack_.base, stack_.top());
#endif
}

Fiber::~Fiber() {
#if GREENROOM_TSAN
  if (tsan_owned_) __tsan_destroy_fiber(tsan_fiber_);
#endif
#if GREENROOM_VALGRIND
  if (stack_) VALGRIND_STACK_DEREGISTER(valgrind_id_);
#endif
}

void Fiber::begin_switch([[maybe_unused]] Fiber& to, [[maybe_unused]] Leaving leaving) noexcept {
#if GREENROOM_ASAN
  // A null place for the fake stack tells ASan to free it: this fiber does not come back.
  __sanitizer_start_switch_fiber(leaving == Leaving::for_good ? nullptr : &fake_stack_,
                                 to.asan_bottom_, to.asan_size_);
#endif
#if GREENROOM_TSAN
  // The sanitizer keeps a signal that comes between two calls it knows, and keeps it with the
  // fiber: one that parks for ever would never run the handler. So what has come runs before
  // (blocking is such a call), and what comes from here on belongs to the next fiber.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  __tsan_switch_to_fiber(to.tsan_fiber_, 0);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
}

void Fiber::end_switch() noexcept {
#if GREENROOM_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
}

// The handover must not be on ASan's fake stack, which goes before the next fiber has read it.
[[gnu::no_sanitize_address]] void Fiber::leave_for(Fiber& to) noexcept {
  Handover handover{this, &to};
  begin_switch(to, Leaving::for_good);
  jump(to.context_, &handover);
  __builtin_unreachable();
}

// Both directions of a call on another stack. The sanitizers know fibers only, so AddressSanitizer
// is told that one switches to another; ThreadSanitizer does not look at where a stack is.
struct Fiber::Excursion {
  void (*function)(void*) noexcept;
  void* argument;
  const void* bottom = nullptr;
  std::size_t size = 0;

  [[gnu::no_sanitize_address]] static void enter(void* raw) noexcept {
    auto& self = *static_cast<Excursion*>(raw);
#if GREENROOM_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    self.function(self.argument);
#if GREENROOM_ASAN
    __sanitizer_start_switch_fiber(nullptr, self.bottom, self.size);
#endif
  }
};

[[gnu::no_sanitize_address]] void Fiber::call_on(const Stack& stack,
                                                 void (*function)(void*) noexcept,
                                                 void* argument) noexcept {
  Excursion excursion{function, argument};
  const Stack* const outer = std::exchange(excursion_, &stack);
#if GREENROOM_VALGRIND
  const unsigned valgrind_id = VALGRIND_STACK_REGISTER(stack.base, stack.top());
#endif
#if GREENROOM_ASAN
  void* outer_fake_stack = nullptr;
  excursion.bottom = std::exchange(asan_bottom_, stack.base);
  excursion.size = std::exchange(asan_size_, stack.size);
  __sanitizer_start_switch_fiber(&outer_fake_stack, stack.base, stack.size);
#endif
  call_at(stack.top(), &Excursion::enter, &excursion);
#if GREENROOM_ASAN
  __sanitizer_finish_switch_fiber(outer_fake_stack, nullptr, nullptr);
  asan_bottom_ = excursion.bottom;
  asan_size_ = excursion.size;
#endif
#if GREENROOM_VALGRIND
  VALGRIND_STACK_DEREGISTER(valgrind_id);
#endif
  excursion_ = outer;
}

}  // namespace greenroom::detail
