// Connections whose input is mail: who gets it, and who has the stream when that actor is gone.
#include "greenroom/actors/tcp/tcp_actors.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/tests/actors/probe.h"
#include "greenroom/tests/io/loopback.h"

namespace greenroom {
namespace {

using loopback::connected;
using loopback::error_of;
using loopback::Pair;
using loopback::read_text;
using probe::in_actor;
using probe::next;

// Takes so many lines, then ends.
Monitored taker(int lines) {
  return spawn_monitor([lines] {
    for (int i = 0; i < lines; ++i) next<tcp::Line>();
  });
}

TEST(ActiveMode, NobodyAndTheDeadAreNotAttachedTo) {
  in_actor([] {
    Pair pair = connected();
    const Monitored dead = spawn_monitor([] {});
    probe::end_of(dead);
    for (const Pid nobody : {Pid{}, dead.pid}) {
      EXPECT_EQ(error_of([&] { tcp::attach(pair.server, nobody); }), std::errc::no_such_process);
    }
    pair.client.write_all("still here");
    EXPECT_EQ(read_text(pair.server, 10), "still here");
    EXPECT_THROW(tcp::attach(std::move(pair.server), dead.pid), StartError);
  });
}

TEST(ActiveMode, ActorThatWasToldToEndIsNotAttachedTo) {
  in_actor([] {
    Pair pair = connected();
    const Monitored dying = spawn_monitor([] {
      struct Slow {
        ~Slow() { sleep(std::chrono::milliseconds(1)); }
      } const slow;
      next<int>();
    });
    probe::wait_for_state(dying.pid, "parked in receive");
    exit(dying.pid, Reason::kill);
    EXPECT_EQ(error_of([&] { tcp::attach(pair.server, dying.pid); }), std::errc::no_such_process);
    probe::end_of(dying);
  });
}

// The server's stream was attached to an actor, which has ended.
void use_up(Pair& pair) {
  const Monitored user = taker(1);
  tcp::attach(pair.server, user.pid);
  pair.client.write_all("one\n");
  probe::end_of(user);
}

TEST(ActiveMode, WhoeverHearsOfTheActorsEndCanReadItsStream) {
  in_actor([] {
    Pair pair = connected();
    use_up(pair);
    pair.client.write_all("two");
    EXPECT_EQ(read_text(pair.server, 3), "two");
  });
}

TEST(ActiveMode, ReaderThatParksAfterTheActorsEndIsWoken) {
  in_actor([] {
    Pair pair = connected();
    use_up(pair);
    auto reader = green::spawn([&] { return read_text(pair.server, 3); });
    loopback::settle();
    EXPECT_FALSE(reader.ready());
    pair.client.write_all("two");
    EXPECT_EQ(reader.get(), "two");
  });
}

// Sent at once, so that all of it is read when the first line is taken.
const char* const four_lines = "one\ntwo\nthree\r\nfour";

TEST(ActiveMode, InputThatWasReadAheadIsReadByTheNextOne) {
  in_actor([] {
    Pair pair = connected();
    const Monitored user = taker(2);
    pair.client.write_all(four_lines);
    tcp::attach(pair.server, user.pid, 1);
    probe::end_of(user);
    EXPECT_EQ(read_text(pair.server, 3), "thr");
    EXPECT_EQ(read_text(pair.server, 4), "ee\r\n");
    EXPECT_EQ(read_text(pair.server, 4), "four");
    pair.client.close();
    EXPECT_EQ(read_text(pair.server, 1), "");
  });
}

TEST(ActiveMode, NextActorThatIsAttachedGoesOnWithWhatWasReadAhead) {
  in_actor([] {
    Pair pair = connected();
    const Monitored user = taker(2);
    pair.client.write_all(four_lines);
    tcp::attach(pair.server, user.pid, 1);
    probe::end_of(user);
    tcp::attach(pair.server, self(), 1);
    EXPECT_EQ(next<tcp::Line>().text, "three");
    pair.client.write_all(" and more\n");
    EXPECT_EQ(next<tcp::Line>().text, "four and more");
    pair.client.close();
    next<tcp::Closed>();
  });
}

TEST(ActiveMode, LinesInTheMailboxOfTheDeadAreLost) {
  in_actor([] {
    Pair pair = connected();
    const Monitored user = spawn_monitor([] {
      next<int>();
      stop();
    });
    pair.client.write_all(four_lines);
    tcp::attach(pair.server, user.pid, 2);
    probe::wait_until([&] { return process_info(user.pid).mailbox_size == 2; });
    send(user.pid, 1);
    probe::end_of(user);
    EXPECT_EQ(read_text(pair.server, 7), "three\r\n");
  });
}

TEST(ActiveMode, ActorMayEndBeforeOrAfterItsStream) {
  in_actor([] {
    Pair first = connected();
    Pair second = connected();
    const Monitored user = taker(100);
    tcp::attach(first.server, user.pid);
    tcp::attach(second.server, user.pid);
    first.server.close();
    exit(user.pid, Reason::kill);
    probe::end_of(user);
    second.client.write_all("x");
    EXPECT_EQ(read_text(second.server, 1), "x");
  });
}

}  // namespace
}  // namespace greenroom
