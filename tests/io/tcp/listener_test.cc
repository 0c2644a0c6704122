#include "greenroom/io/tcp/listener.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::error_of;
using loopback::read_some_text;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

const tcp::Endpoint any_port{"127.0.0.1", 0};

TEST(Listener, TellsThePortThatTheKernelChose) {
  tcp::Listener listener(any_port);
  EXPECT_EQ(listener.local().host, "127.0.0.1");
  EXPECT_NE(listener.local().port, 0);
}

TEST(Listener, EmptyHostIsEveryAddress) {
  tcp::Listener listener({"", 0});
  EXPECT_EQ(listener.local().host, "0.0.0.0");
  EXPECT_TRUE(tcp::connect({"127.0.0.1", listener.local().port}).is_open());
}

TEST(Listener, AcceptParksUntilAConnectionComes) {
  tcp::Listener listener(any_port);
  auto acceptor = green::spawn([&] { return listener.accept().peer(); });
  loopback::settle();
  EXPECT_FALSE(acceptor.ready());
  tcp::Stream client = tcp::connect(listener.local());
  EXPECT_EQ(acceptor.get(), client.local());
}

TEST(Listener, AcceptTimesOut) {
  tcp::Listener listener(any_port);
  EXPECT_EQ(error_of([&] { listener.accept(1ms); }), std::errc::timed_out);
  EXPECT_EQ(error_of([&] { listener.accept(0s); }), std::errc::timed_out);
  tcp::Stream client = tcp::connect(listener.local());
  EXPECT_TRUE(listener.accept(0s).is_open());
}

TEST(Listener, KilledAcceptLosesNoConnection) {
  tcp::Listener listener(any_port);
  auto acceptor = green::spawn([&] { listener.accept(); });
  loopback::settle();
  tcp::Stream client = tcp::connect(listener.local());
  acceptor.kill();
  EXPECT_EQ(listener.accept().peer(), client.local());
}

TEST(Listener, ConnectionThatComesInTheRoundOfTheDeadlineBeatsIt) {
  tcp::Listener listener(any_port);
  const auto deadline = clock::now() + 3ms;
  auto acceptor = green::spawn([&] { return listener.accept(deadline).is_open(); });
  yield();
  tcp::Stream client = tcp::connect(listener.local());
  loopback::compute_until(deadline + 1ms);
  EXPECT_TRUE(acceptor.get());
}

TEST(Listener, SecondAcceptIsRefused) {
  tcp::Listener listener(any_port);
  auto acceptor = green::spawn([&] { return listener.accept().is_open(); });
  loopback::settle();
  try {
    listener.accept();
    ADD_FAILURE();
  } catch (const ConcurrentUse& error) {
    EXPECT_NE(std::string(error.what()).find(" accepts where "), std::string::npos) << error.what();
  }
  tcp::Stream client = tcp::connect(listener.local());
  EXPECT_TRUE(acceptor.get());
}

TEST(Listener, CloseWakesTheAcceptorWithEbadf) {
  tcp::Listener listener(any_port);
  auto acceptor = green::spawn([&] { return error_of([&] { listener.accept(); }); });
  loopback::settle();
  listener.close();
  EXPECT_EQ(acceptor.get(), std::errc::bad_file_descriptor);
  EXPECT_EQ(error_of([&] { listener.accept(); }), std::errc::bad_file_descriptor);
}

TEST(Listener, PortThatIsTakenIsAnErrorThatNamesIt) {
  tcp::Listener first(any_port);
  try {
    tcp::Listener second(first.local());
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.code(), std::errc::address_in_use);
    EXPECT_NE(std::string(error.what()).find(tcp::to_string(first.local())), std::string::npos);
  }
}

TEST(Listener, SharesItsPortIfAllAgree) {
  tcp::Listener first(any_port, {.reuse_port = true});
  EXPECT_NO_THROW(tcp::Listener(first.local(), {.reuse_port = true}));
}

TEST(Listener, AcceptedStreamsHaveNoDelay) {
  tcp::Listener listener(any_port);
  tcp::Stream client = tcp::connect(listener.local());
  tcp::Stream server = listener.accept();
  for (const tcp::Stream* stream : {&client, &server}) {
    int on = 0;
    socklen_t size = sizeof on;
    const int fd = detail::StreamAccess::socket(*stream, "test").fd();
    ASSERT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    EXPECT_NE(on, 0);
  }
}

TEST(Listener, HandsConnectionsToAnotherHub) {
  tcp::Listener listener(any_port);
  std::vector<std::thread> handlers;
  handlers.reserve(3);
  for (int i = 0; i < 3; ++i) {
    tcp::Stream client = tcp::connect(listener.local());
    handlers.emplace_back(
        [stream = listener.accept()]() mutable { stream.write_all(read_some_text(stream)); });
    client.write_all("hello");
    EXPECT_EQ(read_some_text(client), "hello");
  }
  for (std::thread& handler : handlers) handler.join();
}

TEST(Listener, AThousandConnectionsComeAndGoWithoutALeak) {
  tcp::Listener listener(any_port);
  EXPECT_EQ(error_of([&] { listener.accept(1ms); }), std::errc::timed_out);
  const int before = loopback::open_descriptors();
  auto acceptor = green::spawn([&] {
    std::vector<green::Greenlet<>> handlers;
    handlers.reserve(1000);
    for (int i = 0; i < 1000; ++i) {
      handlers.push_back(green::spawn(
          [](tcp::Stream stream) {
            for (std::string text; !(text = read_some_text(stream)).empty();)
              stream.write_all(text);
          },
          listener.accept()));
    }
    green::joinall(handlers);
  });
  std::vector<green::Greenlet<>> clients;
  clients.reserve(50);
  for (int i = 0; i < 50; ++i) {
    clients.push_back(green::spawn([&] {
      for (int n = 0; n < 20; ++n) {
        tcp::Stream stream = tcp::connect(listener.local());
        for (const char* text : {"one", "two", "three"}) {
          stream.write_all(text);
          EXPECT_EQ(read_some_text(stream), text);
        }
      }
    }));
  }
  green::joinall(clients);
  acceptor.get();
  EXPECT_EQ(loopback::open_descriptors(), before);
}

TEST(Listener, WithoutDescriptorsItBacksOffAndAcceptsWhenThereIsOneAgain) {
  tcp::Listener listener(any_port);
  EXPECT_EQ(error_of([&] { listener.accept(1ms); }), std::errc::timed_out);
  std::optional<loopback::DescriptorLimit> limit(std::in_place, 1);
  tcp::Stream client = tcp::connect(listener.local());  // takes the one
  auto acceptor = green::spawn([&] { return listener.accept().peer(); });
  const std::uint64_t sleeps = green::get_hub().statistics().housekeepings;
  sleep(100ms);
  EXPECT_FALSE(acceptor.ready());
  // 5, 10, 20, 40, ... ms: a spinning one would be through thousands.
  EXPECT_LT(green::get_hub().statistics().housekeepings - sleeps, 60U);
  limit.reset();
  EXPECT_EQ(acceptor.get(), client.local());
}

TEST(Listener, WithoutDescriptorsAcceptTimesOutAsEverAndSaysWhatItLacked) {
  tcp::Listener listener(any_port);
  EXPECT_EQ(error_of([&] { listener.accept(1ms); }), std::errc::timed_out);
  const loopback::DescriptorLimit limit(0);
  for (const Wait wait : {Wait(0ms), Wait(2ms)}) {
    try {
      listener.accept(wait);
      ADD_FAILURE();
    } catch (const IoError& error) {
      EXPECT_EQ(error.code(), std::errc::timed_out);
      EXPECT_NE(std::string(error.what()).find("out of descriptors"), std::string::npos);
    }
  }
}

TEST(Listener, BackingOffHonoursItsWaitAndClose) {
  tcp::Listener listener(any_port);
  std::optional<loopback::DescriptorLimit> limit(std::in_place, 1);
  tcp::Stream client = tcp::connect(listener.local());
  for (const Wait wait : {Wait(0ms), Wait(20ms)}) {
    EXPECT_EQ(error_of([&] { listener.accept(wait); }), std::errc::timed_out);
  }
  auto acceptor = green::spawn([&] { return error_of([&] { listener.accept(); }); });
  loopback::settle();
  listener.close();
  EXPECT_EQ(acceptor.get(), std::errc::bad_file_descriptor);
}

}  // namespace
}  // namespace greenroom
