// No more than two at a time: permits that are given back by hand, and by a guard.
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "greenroom/examples/gevent/failure.h"
#include "greenroom/examples/gevent/flags.h"
#include "greenroom/scheduler/green.h"

using namespace greenroom;

namespace {

// Python's `with semaphore`: the permit is back when the block is left, by an error, too.
class Permit {
 public:
  Permit(green::BoundedSemaphore& semaphore, Wait timeout) : semaphore_(semaphore) {
    if (!semaphore_.acquire(timeout)) throw std::runtime_error("found no way in");
  }
  ~Permit() { semaphore_.release(); }
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

 private:
  green::BoundedSemaphore& semaphore_;
};

}  // namespace

int main(int argc, char** argv) {
  Flags flags(argc, argv, 0.01);
  const int permits = flags.count("permits", 2, "how many may be inside at the same time");
  const int first = flags.count("first", 2, "how many workers come first");
  const int second = flags.count("second", 3, "how many workers come after them");
  const auto pause = flags.time("pause", 0, "how long each is inside");
  const Wait timeout = flags.limit("timeout", 0, "how long each waits at the door");
  const int fail_every = flags.count("fail-every", 0, "every Nth of the second throws (0: none)");
  flags.check();

  green::BoundedSemaphore semaphore(permits);

  auto by_hand = [&](int number) {
    if (!semaphore.acquire(timeout)) throw std::runtime_error("found no way in");
    std::printf("Worker %d acquired semaphore\n", number);
    sleep(pause);
    semaphore.release();
    std::printf("Worker %d released semaphore\n", number);
  };
  auto by_guard = [&](int number) {
    {
      const Permit permit(semaphore, timeout);
      std::printf("Worker %d acquired semaphore\n", number);
      sleep(pause);
      if (fail_every > 0 && number % fail_every == 0) throw std::runtime_error("fell down inside");
    }
    std::printf("Worker %d released semaphore\n", number);
  };

  green::Pool pool;
  auto run = [&](int from, int to, const std::function<void(int)>& worker) {
    std::vector<green::Greenlet<>> all;
    for (int number = from; number < to; ++number) all.push_back(pool.spawn(worker, number));
    pool.join();
    for (const green::Greenlet<>& greenlet : all) {
      if (const std::string failure = failure_of(greenlet); !failure.empty())
        std::printf("Worker %td %s\n", from + (&greenlet - all.data()), failure.c_str());
    }
  };
  run(0, first, by_hand);
  run(first + 1, first + 1 + second, by_guard);
  return 0;
}
