// Actors on threads of their own outside of run(): the hubs there know nothing of each other, and
// neither concludes that nothing can come any more.

#include <gtest/gtest.h>

#include <thread>

#include "greenroom/tests/actors/desk.h"

namespace greenroom {
namespace {

using namespace probe;

const SpawnOptions apart{.place = Placement::own_thread};

// As main would, on a thread that has no hub yet.
template <class F>
void in_plain_code(F body) {
  std::thread(body).join();
}

TEST(OwnThreadOutsideOfRun, ServerWaitsForItsCalls) {
  in_plain_code([] {
    const auto server = start<Desk>(apart);
    sleep(20ms);  // time enough for a hub to conclude that it is left alone
    EXPECT_EQ(call(server, Desk::Get{}), 0);
    EXPECT_EQ(try_call(server, Desk::Wait{}, 20ms).reason(), Reason::timeout);
    const MonitorRef watch = monitor(server.pid());
    exit(server.pid(), Reason::kill);
    EXPECT_EQ(end_of(watch), Reason::killed);
  });
}

TEST(OwnThreadOutsideOfRun, ActorWaitsForItsMail) {
  in_plain_code([] {
    const Monitored actor = spawn_monitor(apart, [] { receive([](Go) {}); });
    sleep(20ms);
    send(actor.pid, Go{});
    EXPECT_EQ(end_of(actor), Reason::normal);
  });
}

// What comes from there is waited for, however long it takes.
TEST(OwnThreadOutsideOfRun, ItsEndAndItsMailAreWaitedFor) {
  in_plain_code([] {
    const Monitored ends = spawn_monitor(apart, [] { sleep(20ms); });
    EXPECT_EQ(receive([](const Down& down) { return down.pid; }), ends.pid);

    spawn(apart, [test = self()] {
      sleep(20ms);
      send(test, Ready{});
    });
    receive([](Ready) {});

    trap_exits();
    const Pid linked = spawn_link(apart, [] { sleep(20ms); });
    EXPECT_EQ(receive([](const Exit& exit) { return exit.from; }), linked);
  });
}

TEST(OwnThreadOutsideOfRun, NothingIsWaitedForOnceItHasEnded) {
  in_plain_code([] {
    end_of(spawn_monitor(apart, [] {}));
    EXPECT_THROW(receive([](Go) {}), green::LoopExit);
  });
}

}  // namespace
}  // namespace greenroom
