// With GREENROOM_RESOLVER=thread. getaddrinfo is this file's: names under "gated." wait.
#include "greenroom/io/resolver/thread_resolver.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "greenroom/io/dns.h"
#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace {

using Hosts = std::vector<std::string>;

// What the threads wait at.
struct Gate {
  std::mutex mutex;
  std::condition_variable has_opened;
  bool is_open = false;
  int inside = 0;
  int most_inside = 0;
  int calls = 0;
  int met = 0;
  greenroom::green::Semaphore arrived{0};

  void pass() {
    std::unique_lock lock(mutex);
    ++calls;
    most_inside = std::max(most_inside, ++inside);
    arrived.release();
    has_opened.wait(lock, [&] { return is_open; });
    --inside;
  }
  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    has_opened.notify_all();
  }
  // As many as look up at a time wait for each other.
  void meet() {
    std::unique_lock lock(mutex);
    ++met;
    has_opened.notify_all();
    has_opened.wait(lock, [&] { return met == greenroom::detail::thread_lookup_limit; });
  }
  int count_calls() {
    const std::lock_guard lock(mutex);
    return calls;
  }
};

std::atomic<Gate*> gate = nullptr;

}  // namespace

// In the place of the C library's.
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string_view name(host);
  if (!name.starts_with("gated.")) return real(host, service, hints, result);
  if (name == "gated.meeting") {
    gate.load()->meet();
  } else {
    gate.load()->pass();
  }
  if (name.ends_with(".nobody")) return EAI_NONAME;
  return real("127.0.0.1", service, hints, result);
}

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::error_of;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

class ThreadResolver : public testing::Test {
 protected:
  ThreadResolver() { ::gate = &gate; }
  // When all the threads have met, none has the lookup of a greenlet that has left it.
  ~ThreadResolver() override {
    gate.open();
    std::vector<green::Greenlet<Hosts>> meeting;
    meeting.reserve(detail::thread_lookup_limit);
    for (int i = 0; i < detail::thread_lookup_limit; ++i)
      meeting.push_back(green::spawn([] { return dns::lookup("gated.meeting"); }));
    for (auto& one : meeting) one.join();
  }

  void wait_for_calls(int count) {
    for (int i = 0; i < count; ++i) gate.arrived.acquire();
  }

  Gate gate;
};

TEST_F(ThreadResolver, FindsAddresses) {
  gate.open();
  EXPECT_EQ(dns::lookup("gated.name"), Hosts{"127.0.0.1"});
}

TEST_F(ThreadResolver, NoSuchNameIsUnreachable) {
  gate.open();
  EXPECT_EQ(error_of([] { dns::lookup("gated.nobody"); }), std::errc::host_unreachable);
}

TEST_F(ThreadResolver, NameThatCannotBeIsUnreachable) {
  EXPECT_EQ(error_of([] { dns::lookup(std::string(64, 'a') + ".test"); }),
            std::errc::host_unreachable);
  EXPECT_EQ(error_of([] { dns::lookup(std::string(254, 'a')); }), std::errc::host_unreachable);
  EXPECT_EQ(error_of([] { dns::lookup(std::string("a\0b", 3)); }), std::errc::invalid_argument);
}

TEST_F(ThreadResolver, FewThreadsLookUpAndTheRestWait) {
  std::vector<green::Greenlet<Hosts>> asking;
  asking.reserve(50);
  for (int i = 0; i < 50; ++i)
    asking.push_back(green::spawn([] { return dns::lookup("gated.x"); }));
  loopback::settle();
  wait_for_calls(detail::thread_lookup_limit);
  EXPECT_EQ(gate.count_calls(), detail::thread_lookup_limit);
  gate.open();
  for (auto& one : asking) EXPECT_EQ(one.get(), Hosts{"127.0.0.1"});
  EXPECT_EQ(gate.most_inside, detail::thread_lookup_limit);
}

TEST_F(ThreadResolver, LookupIsLeftAtOnce) {
  auto asking = green::spawn([] { dns::lookup("gated.x"); });
  wait_for_calls(1);
  asking.kill();
  EXPECT_TRUE(asking.ready());
  // These may be left before a thread looks them up.
  EXPECT_EQ(error_of([] { dns::lookup("gated.x", 5ms); }), std::errc::timed_out);
  EXPECT_FALSE(try_for(5ms, [] { dns::lookup("gated.x"); }));
}

TEST_F(ThreadResolver, WhoLeavesBeforeItsTurnIsNotLookedUp) {
  std::vector<green::Greenlet<Hosts>> asking;
  asking.reserve(50);
  for (int i = 0; i < 50; ++i)
    asking.push_back(green::spawn([] { return dns::lookup("gated.x"); }));
  wait_for_calls(detail::thread_lookup_limit);
  for (auto& one : asking) one.kill();
  gate.open();
  dns::lookup("gated.x");
  EXPECT_EQ(gate.count_calls(), detail::thread_lookup_limit + 1);
}

TEST_F(ThreadResolver, OptionsOfTheOtherResolverAreRefused) {
  EXPECT_THROW(dns::configure({}), std::logic_error);
}

}  // namespace
}  // namespace greenroom
