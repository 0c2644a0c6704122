#include "greenroom/io/tcp/connect.h"

#include <gtest/gtest.h>

#include <vector>

#include "greenroom/io/dns/resolve.h"
#include "greenroom/tests/io/hang_guard.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using loopback::error_of;

[[maybe_unused]] const bool is_guarded = hang_guard::fail_tests_that_hang();

// A listener whose kernel queue is full: what connects to it gets no answer.
class FullListener {
 public:
  FullListener() : listener_({"127.0.0.1", 0}, {.backlog = 0}) {
    for (int i = 0; i < 8; ++i) {
      try {
        queued_.push_back(tcp::connect(listener_.local(), 20ms));
      } catch (const IoError&) {
        return;
      }
    }
  }
  tcp::Endpoint endpoint() const { return listener_.local(); }

 private:
  tcp::Listener listener_;
  std::vector<tcp::Stream> queued_;
};

TEST(Connect, FindsTheListener) {
  tcp::Listener listener({"127.0.0.1", 0});
  tcp::Stream stream = tcp::connect(listener.local());
  EXPECT_EQ(stream.peer(), listener.local());
}

TEST(Connect, IsRefusedWhereNobodyListens) {
  const tcp::Endpoint nobody = tcp::Listener({"127.0.0.1", 0}).local();
  EXPECT_EQ(error_of([&] { tcp::connect(nobody); }), std::errc::connection_refused);
}

TEST(Connect, ErrorNamesTheAddress) {
  const tcp::Endpoint nobody = tcp::Listener({"127.0.0.1", 0}).local();
  try {
    tcp::connect(nobody);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(std::string(error.what()),
              "tcp.connect " + tcp::to_string(nobody) + ": Connection refused");
  }
}

TEST(Connect, TimesOutAndLeavesNothingOpen) {
  const FullListener full;
  const int before = loopback::open_descriptors();
  EXPECT_EQ(error_of([&] { tcp::connect(full.endpoint(), 5ms); }), std::errc::timed_out);
  EXPECT_EQ(loopback::open_descriptors(), before);
}

TEST(Connect, KilledLeavesNothingOpen) {
  const FullListener full;
  const int before = loopback::open_descriptors();
  auto connecting = green::spawn([&] { tcp::connect(full.endpoint()); });
  loopback::settle();
  EXPECT_FALSE(connecting.ready());
  connecting.kill();
  EXPECT_TRUE(connecting.ready());
  EXPECT_EQ(loopback::open_descriptors(), before);
}

TEST(Connect, TimeoutEndsIt) {
  const FullListener full;
  EXPECT_FALSE(try_for(5ms, [&] { tcp::connect(full.endpoint()); }));
}

TEST(Connect, KnowsLocalhostWithoutAResolver) {
  tcp::Listener listener({"localhost", 0});
  EXPECT_TRUE(tcp::connect({"localhost", listener.local().port}).is_open());
}

TEST(Connect, NameThatCannotBeIsAnErrorThatNamesIt) {
  const std::string label(64, 'a');  // of 63 bytes at most
  try {
    tcp::connect({label + ".example", 80});
    FAIL();
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("dns.resolve " + label), std::string::npos);
  }
  EXPECT_EQ(error_of([] {
              tcp::connect({std::string("a\0b", 3), 80});
            }),
            std::errc::invalid_argument);
}

}  // namespace
}  // namespace greenroom
