// What an actor or a greenlet that waits takes: resident memory and page tables, of a new process
// each. A thread's stack in the kernel (16 KiB) is not counted for the baseline.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/perf/measure.h"

namespace greenroom::perf {
namespace {

constexpr std::size_t million = 1'000'000;
constexpr double server_goal = 256;
constexpr double parked_goal = 4.7 * 1024;

struct Question {
  Pid from;
};
struct Answer {};

struct Idler {
  std::int64_t count = 0;
  void handle(const Question& question) {
    ++count;
    send(question.from, Answer{});
  }
};

double per_object(std::int64_t before, std::size_t count) {
  return static_cast<double>(memory_in_use() - before) / static_cast<double>(count);
}

// Idle; after a message to each, one at a time; after messages to all of them at once.
Results idle_servers() {
  Results results{};
  std::vector<ServerRef<Idler>> servers(million);  // not the servers' memory
  const Pid me = self();
  const std::int64_t before = memory_in_use();
  for (auto& server : servers) server = start<Idler>();
  results[0] = per_object(before, million);
  for (const auto& server : servers) {
    cast(server, Question{me});
    receive([](Answer) {});
  }
  results[1] = per_object(before, million);
  for (const auto& server : servers) cast(server, Question{me});
  for (std::size_t i = 0; i < million; ++i) receive([](Answer) {});
  results[2] = per_object(before, million);
  return results;
}

Results parked_actors(std::size_t count) {
  std::size_t parked = 0;
  self();  // this one is an actor now
  const std::int64_t before = memory_in_use();
  for (std::size_t i = 0; i < count; ++i) {
    spawn([&parked] {
      ++parked;
      receive([](Answer) {});
    });
  }
  yield();
  check(parked == count, "not every actor has started");
  return {per_object(before, count)};
}

Results parked_greenlets(std::size_t count) {
  std::size_t parked = 0;
  green::Event event;
  const std::int64_t before = memory_in_use();
  for (std::size_t i = 0; i < count; ++i) {
    green::spawn([&] {
      ++parked;
      event.wait();
    });
  }
  yield();
  check(parked == count, "not every greenlet has started");
  return {per_object(before, count)};
}

// A page, and its share of the page tables, for each stack of 64 KiB.
Results touched_stacks() {
  constexpr std::size_t count = 100'000;
  constexpr std::size_t stack = std::size_t{64} << 10;
  const std::int64_t before = memory_in_use();
  auto* memory =
      static_cast<volatile char*>(mmap(nullptr, count * stack, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  check(memory != MAP_FAILED, "no address space for the stacks");
  for (std::size_t i = 0; i < count; ++i) memory[i * stack] = 1;
  return {per_object(before, count)};
}

Results parked_threads() {
  constexpr std::size_t count = 2000;
  const std::int64_t before = memory_in_use();
  std::atomic<std::size_t> running{0};
  for (std::size_t i = 0; i < count; ++i) {
    std::thread([&running] {
      ++running;
      pause();
    }).detach();
  }
  while (running < count) std::this_thread::yield();
  return {per_object(before, count)};
}

void measure_all() {
  const double page = in_new_process(touched_stacks)[0];
  const double thread = in_new_process(parked_threads)[0];
  const Results servers = in_new_process(idle_servers);
  print_memory({"server, idle, 1 M of them", servers[0], "thread", thread, server_goal});
  print_memory({"server, after a message to each, one at a time", servers[1]});
  print_memory({"server, after messages to all of them at once", servers[2]});
  for (const std::size_t count : {million / 10, million}) {
    const std::string of_them = ", " + std::to_string(count / 1000) + " k of them";
    print_memory({"actor parked in receive" + of_them,
                  in_new_process([=] { return parked_actors(count); })[0], "a touched page", page,
                  parked_goal});
    print_memory({"greenlet parked in Event::wait" + of_them,
                  in_new_process([=] { return parked_greenlets(count); })[0], "a touched page",
                  page, parked_goal});
  }
}

}  // namespace
}  // namespace greenroom::perf

int main() {
  greenroom::perf::pin_to_one_processor();
  greenroom::perf::measure_all();
}
