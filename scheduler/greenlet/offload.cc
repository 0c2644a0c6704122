#include "greenroom/scheduler/greenlet/offload.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace greenroom::detail {

namespace {

constexpr std::size_t thread_limit = 10;
constexpr std::chrono::seconds idle_limit(5);

// Used until the last thread has ended: never destroyed.
struct Pool {
  std::mutex mutex;
  std::condition_variable has_work;
  std::deque<std::function<void()>> work;
  std::size_t threads = 0;
  std::size_t idle = 0;
};

Pool& pool() {
  static auto* pool = new Pool;
  return *pool;
}

void run_thread() {
  Pool& shared = pool();
  std::unique_lock lock(shared.mutex);
  for (;;) {
    ++shared.idle;
    const bool has_some =
        shared.has_work.wait_for(lock, idle_limit, [&] { return !shared.work.empty(); });
    --shared.idle;
    if (!has_some) break;
    {
      const std::function<void()> work = std::move(shared.work.front());
      shared.work.pop_front();
      lock.unlock();
      work();
    }
    lock.lock();
  }
  --shared.threads;
}

}  // namespace

void run_on_pool(std::function<void()> work) {
  // A simulation has no other threads.
  if (Hub* hub = Hub::current_if_any(); hub && hub->environment()) {
    hub->post(std::move(work));
    return;
  }
  Pool& shared = pool();
  const std::lock_guard lock(shared.mutex);
  shared.work.push_back(std::move(work));
  if (shared.idle >= shared.work.size() || shared.threads == thread_limit) {
    shared.has_work.notify_one();
    return;
  }
  try {
    std::thread(run_thread).detach();
  } catch (...) {
    if (shared.threads > 0) return;  // one of them will come to it
    shared.work.pop_back();
    throw;
  }
  ++shared.threads;
}

}  // namespace greenroom::detail
