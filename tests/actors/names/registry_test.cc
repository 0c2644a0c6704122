// Names: who may take one, when it is free again, and what is sent to it; at a death names are free
// before anybody is told.

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <thread>

#include "greenroom/tests/actors/probe.h"

namespace greenroom {
namespace {

using namespace probe;

struct Go {};

enum class Peer { same_hub, other_hub };
std::ostream& operator<<(std::ostream& out, Peer peer) {
  return out << (peer == Peer::same_hub ? "on the same hub" : "on another hub");
}

class Name : public testing::TestWithParam<Peer> {
 protected:
  static Placement place() { return GetParam() == Peer::same_hub ? Placement::here : elsewhere(); }
  static Pid waiting(std::string name = {}) {
    return spawn(SpawnOptions{.name = std::move(name), .place = place()},
                 [] { receive([](Go) {}); });
  }
};
INSTANTIATE_TEST_SUITE_P(Places, Name, testing::Values(Peer::same_hub, Peer::other_hub));

// What f's BadName said.
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const BadName& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_P(Name, FindsItsActor) {
  on_hubs(2, [] {
    const Pid actor = waiting();
    EXPECT_EQ(whereis("worker"), std::nullopt);
    register_name("worker", actor);
    EXPECT_EQ(whereis("worker"), actor);
    EXPECT_EQ(process_info(actor).names, std::vector<std::string>{"worker"});
    const auto all = registered();
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    EXPECT_EQ(std::count(all.begin(), all.end(), "worker"), 1);
  });
}

TEST_P(Name, ThatIsTakenIsRefused) {
  on_hubs(2, [] {
    const Pid first = waiting("worker");
    const Pid second = waiting();
    EXPECT_NE(refusal([&] { register_name("worker", second); }).find("'worker' is taken"),
              std::string::npos);
    EXPECT_NE(refusal([&] { register_name("worker", first); }).find("taken"), std::string::npos);
    EXPECT_EQ(whereis("worker"), first);
  });
}

TEST_P(Name, OfADeadActorIsRefused) {
  on_hubs(2, [] {
    const Pid dead = waiting();
    send(dead, Go{});
    end_of(dead);
    EXPECT_NE(refusal([&] { register_name("worker", dead); }).find("not alive"), std::string::npos);
    EXPECT_EQ(whereis("worker"), std::nullopt);
  });
}

TEST_P(Name, OfAnExitingActorIsRefused) {
  on_hubs(2, [] {
    const Pid dying = spawn(SpawnOptions{.place = place()}, [] {
      const Uncancellable until_told;
      receive([](Go) {});
    });
    exit(dying, Reason::kill);
    if (!is_alive(dying)) {
      EXPECT_NE(refusal([&] { register_name("worker", dying); }), "nothing was thrown");
    }
    send(dying, Go{});
  });
}

TEST(NameThatIsEmpty, IsRefused) {
  in_actor([] {
    EXPECT_THROW(register_name(""), BadName);
    EXPECT_EQ(whereis(""), std::nullopt);
  });
}

TEST_P(Name, MayBeOneOfSeveral) {  // in Erlang an actor has one at most
  on_hubs(2, [] {
    const Pid actor = waiting("first");
    register_name("second", actor);
    EXPECT_EQ(whereis("first"), actor);
    EXPECT_EQ(whereis("second"), actor);
    send(actor, Go{});
    end_of(actor);
    EXPECT_EQ(whereis("first"), std::nullopt);
    EXPECT_EQ(whereis("second"), std::nullopt);
  });
}

TEST_P(Name, IsFreeWhenTheDownAndTheExitAreThere) {
  on_hubs(2, [] {
    trap_exits();
    for (int i = 0; i < 200; ++i) {
      const Pid actor = waiting("worker");
      link(actor);
      monitor(actor);
      send(actor, Go{});
      for (int told = 0; told < 2; ++told) {
        receive([](const Exit&) {}, [](const Down&) {});
        ASSERT_EQ(whereis("worker"), std::nullopt);
        ASSERT_FALSE(is_alive(actor));
      }
    }
  });
}

TEST_P(Name, IsFreeAfterUnregister) {
  on_hubs(2, [] {
    const Pid first = waiting("worker");
    unregister_name("worker");
    EXPECT_EQ(whereis("worker"), std::nullopt);
    const Pid second = waiting("worker");
    EXPECT_EQ(whereis("worker"), second);
    // The first one's end does not take the second one's name.
    send(first, Go{});
    end_of(first);
    EXPECT_EQ(whereis("worker"), second);
  });
}

TEST(NameOfNobody, CannotBeUnregistered) {
  in_actor([] { EXPECT_THROW(unregister_name("nobody"), BadName); });
}

TEST_P(Name, MailSentBeforeUnregisterStillArrives) {
  on_hubs(2, [] {
    struct Stop {};
    // It has the name until it is told to stop, which it hears only after the first.
    const Monitored actor = spawn_monitor(SpawnOptions{.name = "worker", .place = place()}, [] {
      receive([](Go) {});
      receive([](Stop) {});
    });
    send("worker", Go{});
    unregister_name("worker");
    send(actor.pid, Stop{});
    EXPECT_EQ(end_of(actor), Reason::normal);
  });
}

TEST_P(Name, IsThereBeforeTheFirstLine) {
  on_hubs(2, [] {
    const Monitored actor = spawn_monitor(SpawnOptions{.name = "worker", .place = place()},
                                          [] { EXPECT_EQ(whereis("worker"), self()); });
    EXPECT_EQ(end_of(actor), Reason::normal);
  });
}

TEST_P(Name, ThatIsTakenRefusesTheSpawnAndNothingIsLeft) {
  on_hubs(2, [] {
    const Pid first = waiting("worker");
    const Placement there = place();
    const std::size_t before = processes().size();
    bool has_run = false;
    EXPECT_THROW(
        spawn_link(SpawnOptions{.name = "worker", .place = there}, [&] { has_run = true; }),
        BadName);
    for (int i = 0; i < 10; ++i) yield();
    EXPECT_FALSE(has_run);
    EXPECT_LE(processes().size(), before);
    EXPECT_TRUE(process_info(self()).links.empty());
    EXPECT_EQ(whereis("worker"), first);
  });
}

struct Quiet {
  void handle(Go) {}
};

TEST_P(Name, ThatIsTakenRefusesAServerWithWhoHasIt) {
  on_hubs(2, [] {
    const SpawnOptions options{.name = "server", .place = place()};
    const auto first = start<Quiet>(options);
    trap_exits();
    for (const bool is_linked : {false, true}) {
      const ExitReason reason = reason_of<StartError>(
          [&] { is_linked ? start_link<Quiet>(options) : start<Quiet>(options); });
      EXPECT_EQ(reason, ExitReason("already_started"));
      ASSERT_TRUE(reason.detail<Pid>());
      EXPECT_EQ(*reason.detail<Pid>(), first.pid());
    }
    EXPECT_TRUE(has_no_mail());
    exit(first.pid(), Reason::kill);
  });
}

TEST(NameOfNobody, IsAnErrorToSendToAndADeadPidIsNot) {
  in_actor([] {
    const auto message = std::make_shared<int>(1);
    try {
      send("nobody", message);
      ADD_FAILURE();
    } catch (const NoSuchName& error) {
      EXPECT_NE(std::string(error.what()).find("'nobody'"), std::string::npos);
    }
    EXPECT_EQ(message.use_count(), 1) << "the message is gone";
    const Monitored dead = spawn_monitor([] {});
    end_of(dead);
    send(dead.pid, 1);
    send(Pid{}, 1);
  });
}

TEST(NameRace, OneOfManyThreadsWins) {  // checked and claimed in one step
  on_hubs(2, [] {
    std::vector<Monitored> rivals;
    auto won = std::make_shared<std::atomic<int>>(0);
    for (int i = 0; i < 20; ++i) {
      const SpawnOptions options{.place = i % 2 ? Placement::next_hub : Placement::here};
      rivals.push_back(spawn_monitor(options, [won] {
        try {
          register_name("prize");
          won->fetch_add(1);
        } catch (const BadName&) {
        }
        receive([](Go) {});
      }));
    }
    for (const Monitored& rival : rivals) send(rival.pid, Go{});
    for (const Monitored& rival : rivals) end_of(rival);
    EXPECT_GE(won->load(), 1);
    EXPECT_EQ(whereis("prize"), std::nullopt);
  });
}

TEST_P(Name, OfARootIsFreedAtTheEndOfTheRun) {
  on_hubs(2, [] { register_name("first actor"); });
  EXPECT_EQ(whereis("first actor"), std::nullopt);
}

}  // namespace
}  // namespace greenroom
