// run: a program of actors, from its first to its orderly end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "greenroom/actors/supervisor/supervisor.h"
#include "greenroom/actors/verbs/spawn.h"

namespace greenroom {

struct RunOptions {
  int hubs = 1;  // threads that actors are placed on, up to 1024; the calling one is the first
  std::chrono::nanoseconds grace = std::chrono::seconds(5);  // from shutdown to kill
  // SIGQUIT writes dump() of all hubs to stderr; also if GREENROOM_DUMP is in the environment.
  bool dump_on_quit = false;
  // Bytes of stack for whoever asks for none: actors and greenlets on all hubs of this run and on
  // threads of their own. As SpawnOptions::stack_size; 0 = 64 KiB. Connections of tcp::serve are
  // none of these: tcp::ServeOptions has its own default, and 0 there means this one.
  std::size_t stack_size = 0;
};

// Runs the tree until it ends or SIGINT or SIGTERM comes, then ends what is left: shutdown, and
// after the grace, which begins with the signal, kill. A second signal kills at once, and one that
// comes while the tree starts ends that. If this hub is stuck (in a std::mutex, a loop, a system
// call), so that none of this can be done, the process ends by _exit(1) when the grace is over or
// at the second signal, once the hub has stood still for a second, and stderr says who holds it.
// One run() at a time in a process. Returns 0, or 1 if the tree could not start, failed, or gave
// up. For the thread's own stack, main's above all. **Blocks.** Throws std::logic_error in a
// greenlet, in another run(), or if the signals are watched by another, std::invalid_argument for a
// number of hubs it cannot have, a negative grace, a stack over 256 MiB or a tree without a start.
// Another hub that is stuck does not keep run() back: after the grace, and up to 5 s more, its
// thread is left behind as it is, and stderr says so.
int run(ChildSpec tree);
int run(RunOptions options, ChildSpec tree);

namespace detail {

// first() starts the first actor, linked to none. A tree may wait for nothing but a signal; a body
// that does is deadlocked.
enum class WaitFor : std::uint8_t { wakes, signals };
int run_first(const RunOptions& options, const std::function<Monitored()>& first,
              const std::shared_ptr<int>& code, WaitFor wait_for = WaitFor::wakes);

template <class F>
concept Body = std::is_invocable_v<F> && !std::is_convertible_v<F, ChildSpec>;

}  // namespace detail

// The same with body as the first actor. Returns its int, 0 if it has none or a signal has ended
// it, 1 if it died.
template <detail::Body F>
int run(RunOptions options, F body) {
  static_assert(!std::is_convertible_v<std::invoke_result_t<F&>, ChildSpec>,
                "run(body): a tree that the body returns would not be started; run(tree) runs it, "
                "start_supervisor(tree) starts it");
  auto code = std::make_shared<int>(0);
  return detail::run_first(
      options,
      [&] {
        return spawn_monitor([code, body = std::move(body)]() mutable {
          if constexpr (std::is_convertible_v<std::invoke_result_t<F&>, int>) {
            *code = body();
          } else {
            body();
          }
        });
      },
      code);
}
template <detail::Body F>
int run(F body) {
  return run(RunOptions(), std::move(body));
}

}  // namespace greenroom
