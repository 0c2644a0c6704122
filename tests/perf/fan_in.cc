// A hundred senders and one receiver: what a message costs, and how far the receiver falls behind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

constexpr int senders = 100;
constexpr int each = 10'000;
constexpr std::int64_t total = std::int64_t{senders} * each;

struct Item {
  std::int64_t value;
};
struct Done {
  std::int64_t received;
};

std::int64_t sent = 0;
std::int64_t received = 0;
std::int64_t backlog = 0;  // the largest difference of the two

// Sends `each` items, `slice` of them between two yields.
void send_items(Pid receiver, int slice) {
  for (int i = 0; i < each; ++i) {
    if (i % slice == 0) {
      backlog = std::max(backlog, sent - received);
      yield();
    }
    send(receiver, Item{1});
    ++sent;
  }
}

void receive_items(Pid boss) {
  for (;;) {
    received = 0;
    while (received < total) receive([](const Item& item) { received += item.value; });
    send(boss, Done{received});
  }
}

struct Receiver {
  Pid boss;
  explicit Receiver(Pid who) : boss(who) {}
  void handle(const Item& item) {
    received += item.value;
    if (received == total) send(boss, Done{received});
  }
};

struct SendItems {
  void operator()(Pid receiver, int slice) const { send_items(receiver, slice); }
};
struct CastItems {
  void operator()(ServerRef<Receiver> receiver, int slice) const {
    for (int i = 0; i < each; ++i) {
      if (i % slice == 0) {
        backlog = std::max(backlog, sent - received);
        yield();
      }
      cast(receiver, Item{1});
      ++sent;
    }
  }
};

template <class Send, class To>
double fan_in(Send send_all, To receiver, int slice) {
  sent = received = 0;
  const Stopwatch stopwatch;
  for (int i = 0; i < senders; ++i) spawn(send_all, receiver, slice);
  const Done done = receive([](Done message) { return message; });
  const double elapsed = stopwatch.elapsed();
  check(done.received == total && sent == total, "messages are missing");
  return elapsed / total;
}

// The same messages through a queue of allocated items.
double through_queue(int slice) {
  std::deque<std::unique_ptr<Item>> queue;
  std::int64_t sum = 0;
  const Stopwatch stopwatch;
  for (int i = 0; i < each; i += slice) {
    for (int n = 0; n < senders * slice; ++n) queue.push_back(std::make_unique<Item>(Item{1}));
    for (; !queue.empty(); queue.pop_front()) sum += queue.front()->value;
  }
  check(sum == total, "messages are missing");
  return stopwatch.elapsed() / total;
}

// What the mailbox itself says when all senders have had one slice.
std::size_t mailbox_size_after_one_slice(int slice) {
  const Pid receiver = spawn([] { receive([](Done) {}); });
  yield();
  for (int i = 0; i < senders; ++i) {
    spawn([=] {
      for (int n = 0; n < slice; ++n) send(receiver, Item{1});
    });
  }
  spawn([=, boss = self()] { send(boss, process_info(receiver).mailbox_size); });
  const std::size_t size = receive([](std::size_t count) { return count; });
  exit(receiver, Reason::kill);
  return size;
}

void measure_all() {
  const Pid loop = spawn(receive_items, self());
  const auto server = start<Receiver>(self());
  for (const int slice : {10, 100, 1000}) {
    const std::string sends = ", " + std::to_string(slice) + " a slice, a message";
    backlog = 0;
    measure(
        {.name = "100 senders to a receive loop" + sends, .baseline = "queue", .goal = 14},
        [=] { return fan_in(SendItems{}, loop, slice); }, [=] { return through_queue(slice); });
    std::printf("  backlog: at most %lld messages\n", static_cast<long long>(backlog));
  }
  backlog = 0;
  measure(
      {.name = "100 senders to a server, 100 a slice, a message", .baseline = "queue"},
      [=] { return fan_in(CastItems{}, server, 100); }, [] { return through_queue(100); });
  std::printf("  backlog: at most %lld messages\n", static_cast<long long>(backlog));
  check(mailbox_size_after_one_slice(100) == 100 * senders, "the mailbox counts otherwise");
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  return greenroom::run(greenroom::perf::measure_all);
}
