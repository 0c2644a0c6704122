// What children are given at their start: names, labels, places and stacks, by their own options or
// by what their supervisor has for all; and supervision of children that live on another hub.
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/testkit/testkit.h"
#include "greenroom/tests/actors/stack_room.h"
#include "greenroom/tests/actors/worker.h"

namespace greenroom {
namespace {

using namespace probe;

// What a child is, as it tells the test.
struct Found {
  Pid pid;
  std::size_t stack;
};
void tell(Pid test) {
  send(test, Found{self(), stack_room()});
  next<End>();
}

struct Teller {
  explicit Teller(Pid test) { send(test, Found{self(), stack_room()}); }
  void handle(const End&) { stop(ExitReason("boom")); }
};

std::vector<std::string> names_of(Pid pid) { return process_info(pid).names; }

using Names = std::vector<std::string>;

// Names and labels.

TEST(ChildOptions, ServerIsRegisteredUnderItsNameInsteadOfItsId) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.children = {
             child<Teller>({.id = "first"}, self()),
             child<Teller>({.id = "second", .name = "teller", .label = "the one who tells"},
                           self())}}));
    EXPECT_EQ(names_of(next<Found>().pid), Names{"first"});
    const Pid second = next<Found>().pid;
    EXPECT_EQ(names_of(second), Names{"teller"});
    EXPECT_TRUE(process_info(second).label.ends_with("> 'teller' the one who tells"))
        << process_info(second).label;
    EXPECT_EQ(find(which_children(tree), "second")->pid, second);
    shut_down(tree);
  });
}

TEST(ChildOptions, ActorFunctionIsRegisteredUnderItsNameAlso) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.children = {child({.id = "plain"}, tell, self()),
                      child({.id = "known", .name = "teller", .label = "it"}, tell, self())}}));
    const Pid plain = next<Found>().pid;
    EXPECT_EQ(names_of(plain), Names{});
    EXPECT_TRUE(process_info(plain).label.ends_with("> plain")) << process_info(plain).label;
    const Pid known = next<Found>().pid;
    EXPECT_EQ(names_of(known), Names{"teller"});
    EXPECT_TRUE(process_info(known).label.ends_with("> 'teller' it")) << process_info(known).label;
    shut_down(tree);
  });
}

TEST(ChildOptions, NameIsTheSuccessorsAfterARestart) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(
        supervisor({.children = {child<Teller>({.id = "one", .name = "teller"}, self())}}));
    const Pid first = next<Found>().pid;
    cast(ServerName<Teller>("teller"), End{Reason::error});
    const Pid second = next<Found>().pid;
    EXPECT_NE(second, first);
    EXPECT_EQ(whereis("teller"), second);
    shut_down(tree);
  });
}

TEST(ChildOptions, TakenNameIsRefusedWithWhoHasIt) {
  in_trapping_actor([] {
    register_name("teller");
    const Pid tree = start_supervisor(supervisor({}));
    for (const ChildSpec& spec : {child<Teller>({.id = "server", .name = "teller"}, self()),
                                  child({.id = "actor", .name = "teller"}, tell, self())}) {
      const ExitReason reason = reason_of<ChildError>([&] { start_child(tree, spec); });
      EXPECT_EQ(reason.tag(), "already_started");
      ASSERT_TRUE(reason.detail<Pid>());
      EXPECT_EQ(*reason.detail<Pid>(), self());
    }
    shut_down(tree);
  });
}

TEST(ChildOptions, StartByTheIdAloneKeepsTheOtherOptions) {
  in_trapping_actor([] {
    ChildSpec spec =
        child({.id = "teller", .name = "by name", .stack_size = 128 * kib}, tell, self());
    spec.start = [usual = spec.start](const std::string& id) { return usual(id + " again"); };
    const Pid tree = start_supervisor(supervisor({.children = {spec}}));
    const Found found = next<Found>();
    EXPECT_TRUE(process_info(found.pid).label.ends_with("> 'by name' teller again"))
        << process_info(found.pid).label;
    EXPECT_EQ(names_of(found.pid), Names{"by name"});
    EXPECT_EQ(found.stack, 128 * kib);
    shut_down(tree);
  });
}

// Stacks.

TEST(ChildOptions, StackHasTheSizeThatIsAskedFor) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(supervisor(
        {.children = {child({}, tell, self()), child({.stack_size = 1024 * kib}, tell, self()),
                      child<Teller>({.stack_size = 512 * kib}, self())}}));
    EXPECT_EQ(next<Found>().stack, 64 * kib);
    EXPECT_EQ(next<Found>().stack, 1024 * kib);
    EXPECT_EQ(next<Found>().stack, 512 * kib);
    shut_down(tree);
  });
}

TEST(ChildOptions, DynamicSupervisorHasAStackForChildrenThatNameNone) {
  in_trapping_actor([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.stack_size = 256 * kib}));
    start_child(tree, {}, tell, self());
    EXPECT_EQ(next<Found>().stack, 256 * kib);
    start_child(tree, {.stack_size = 16 * kib}, tell, self());
    EXPECT_EQ(next<Found>().stack, 16 * kib);
    start_child<Teller>(tree, {}, self());
    EXPECT_EQ(next<Found>().stack, 256 * kib);
    shut_down(tree);
  });
}

TEST(ChildOptions, StackOver256MiBIsRefusedWhereItIsAskedFor) {
  constexpr std::size_t too_large = (std::size_t{256} << 20) + 1;
  const auto words_of = [](auto f) -> std::string {
    try {
      f();
      return {};
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
  };
  const std::string rest = ": 268435457 bytes; the largest stack has 256 MiB";
  EXPECT_EQ(words_of([] { child<Teller>({.stack_size = too_large}, Pid{}); }),
            "greenroom: ChildOptions::stack_size" + rest);
  EXPECT_EQ(words_of([] { child({.stack_size = too_large}, tell, Pid{}); }),
            "greenroom: ChildOptions::stack_size" + rest);
  EXPECT_EQ(words_of([] { dynamic_supervisor({.stack_size = too_large}); }),
            "greenroom: DynamicOptions::stack_size" + rest);
  EXPECT_EQ(words_of([] { tcp::serve({}, {.stack_size = too_large}, [](tcp::Stream) {}); }),
            "greenroom: tcp::ServeOptions::stack_size" + rest);
  EXPECT_EQ(words_of([] { Tasks<int> tasks({.stack_size = too_large}); }),
            "greenroom: TasksOptions::stack_size" + rest);
  EXPECT_EQ(words_of([] { run({.stack_size = too_large}, [] {}); }),
            "greenroom: RunOptions::stack_size" + rest);
  ChildSpec changed = child({.id = "big"}, tell, Pid{});
  changed.options.stack_size = too_large;
  EXPECT_EQ(words_of([&] { supervisor({.children = {changed}}); }),
            "supervisor: child 'big' has a stack_size over 256 MiB");
  in_actor([&] {
    EXPECT_EQ(words_of([] { spawn(SpawnOptions{.stack_size = too_large}, [] {}); }),
              "greenroom: SpawnOptions::stack_size" + rest);
  });
}

TEST(RunOptions, StackSizeIsTheDefaultOfAllThatRuns) {
  self();  // what is here before keeps its stack and its way to run
  std::size_t before = 0;
  std::size_t after = 0;
  green::spawn([&] { before = stack_room(); }).join();
  const int code = run({.hubs = 2, .stack_size = 512 * kib}, [] {
    EXPECT_EQ(stack_room(), 512 * kib);
    EXPECT_EQ(green::spawn(stack_room).get(), 512 * kib);
    for (const Placement place :
         {Placement::here, Placement::next_hub, Placement::next_hub, Placement::own_thread}) {
      spawn(SpawnOptions{.place = place}, tell, self());
      EXPECT_EQ(next<Found>().stack, 512 * kib);
    }
    spawn(SpawnOptions{.stack_size = 64 * kib}, tell, self());
    EXPECT_EQ(next<Found>().stack, 64 * kib);
    spawn(SpawnOptions{.place = Placement::own_thread}, [test = self()] {
      EXPECT_EQ(green::spawn(stack_room).get(), 512 * kib);
      tell(test);
    });
    next<Found>();
  });
  EXPECT_EQ(code, 0);
  green::spawn([&] { after = stack_room(); }).join();
  EXPECT_EQ(before, 64 * kib);
  EXPECT_EQ(after, 64 * kib);
}

// A greenlet that is older than the run keeps its stack; nobody else of the run gets it.
TEST(RunOptions, StackOfAGreenletFromBeforeIsNotUsedAgain) {
  green::Event gate;
  auto older = green::spawn([&] { gate.wait(); });
  yield();
  run({.stack_size = 512 * kib}, [&] {
    gate.set();
    older.join();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(green::spawn(stack_room).get(), 512 * kib);
  });
}

// On another hub.

constexpr int seeds = 20;

void on_simulated_hubs(const std::function<void()>& body) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    testkit::simulate({.seed = seed, .hubs = 2}, [&] {
      trap_exits();
      body();
    });
  }
}

ChildSpec placed(const std::string& id, Placement place, Restart restart = Restart::permanent) {
  return child<Worker>({.id = id, .restart = restart, .place = place}, id, self(), nullptr);
}

TEST(PlacedChildren, LiveWhereTheirOptionsSay) {
  on_simulated_hubs([] {
    const Pid tree = start_supervisor(supervisor({.children = {
                                                      placed("a", Placement::here),
                                                      placed("b", Placement::next_hub),
                                                      placed("c", Placement::next_hub),
                                                  }}));
    EXPECT_EQ(events(3), "a+b+c+");
    EXPECT_EQ(pid_of("a").hub, tree.hub);
    EXPECT_NE(pid_of("b").hub, pid_of("c").hub);
    shut_down(tree);
    EXPECT_EQ(events(3), "c-b-a-");
  });
}

TEST(PlacedChildren, AreRestartedByEachStrategy) {
  on_simulated_hubs([] {
    const std::pair<Strategy, std::string> cases[] = {{Strategy::one_for_one, "b-b+"},
                                                      {Strategy::rest_for_one, "b-c-b+c+"},
                                                      {Strategy::one_for_all, "b-c-a-a+b+c+"}};
    for (const auto& [strategy, expected] : cases) {
      const Pid tree = start_supervisor(supervisor(
          {.strategy = strategy,
           .children = {placed("a", Placement::next_hub), placed("b", Placement::next_hub),
                        placed("c", Placement::next_hub)}}));
      EXPECT_EQ(events(3), "a+b+c+");
      crash("b");
      EXPECT_EQ(events(static_cast<int>(expected.size() / 2)), expected);
      shut_down(tree);
      EXPECT_EQ(events(3), "c-b-a-");
    }
  });
}

TEST(PlacedChildren, AreTerminatedRestartedAndDeletedByRequest) {
  on_simulated_hubs([] {
    const Pid tree = start_supervisor(supervisor({.children = {placed("a", Placement::next_hub)}}));
    EXPECT_EQ(events(1), "a+");
    terminate_child(tree, "a");
    EXPECT_EQ(events(1), "a-");
    EXPECT_FALSE(whereis("a"));
    const Pid again = restart_child(tree, "a");
    EXPECT_EQ(events(1), "a+");
    EXPECT_EQ(pid_of("a"), again);
    EXPECT_EQ(count_children(tree).active, 1U);
    terminate_child(tree, "a");
    EXPECT_EQ(events(1), "a-");
    delete_child(tree, "a");
    EXPECT_EQ(count_children(tree).specs, 0U);
    shut_down(tree);
  });
}

TEST(PlacedChildren, DynamicSupervisorHasAPlaceForChildrenThatSayNothing) {
  on_simulated_hubs([] {
    const Pid tree = start_supervisor(dynamic_supervisor({.place = Placement::next_hub}));
    std::vector<Pid> pids;
    pids.reserve(4);
    for (int i = 0; i < 4; ++i) {
      pids.push_back(
          start_child<Worker>(tree, {.restart = Restart::transient}, "w", self(), nullptr));
    }
    EXPECT_EQ(events(4), "w+w+w+w+");
    EXPECT_NE(pids[0].hub, pids[1].hub);
    EXPECT_EQ(pids[0].hub, pids[2].hub);
    cast(ServerRef<Worker>(pids[0]), End{ExitReason("boom")});
    EXPECT_EQ(events(2), "w-w+");
    terminate_child(tree, pids[1]);
    EXPECT_EQ(events(1), "w-");
    EXPECT_EQ(count_children(tree).active, 3U);
    shut_down(tree);
    EXPECT_EQ(events(3), "w-w-w-");
  });
}

TEST(PlacedChildren, SupervisorOnAnotherHubEndsItsOwnChildrenFirst) {
  on_simulated_hubs([] {
    ChildSpec inner = supervisor({.id = "inner", .children = {placed("x", Placement::next_hub)}});
    inner.options.place = Placement::next_hub;
    const Pid tree =
        start_supervisor(supervisor({.children = {placed("a", Placement::here), inner}}));
    EXPECT_EQ(events(2), "a+x+");
    shut_down(tree);
    EXPECT_EQ(events(2), "x-a-");
    EXPECT_FALSE(whereis("inner"));
  });
}

// With threads: their hubs end with them.
TEST(PlacedChildren, OnThreadsOfTheirOwnAreRestartedAndEndInReverseOrder) {
  on_hubs(2, [] {
    trap_exits();
    const Pid tree = start_supervisor(supervisor({.children = {
                                                      placed("a", Placement::own_thread),
                                                      placed("b", Placement::next_hub),
                                                      placed("c", Placement::own_thread),
                                                  }}));
    EXPECT_EQ(events(3), "a+b+c+");
    const std::uint32_t before = pid_of("c").hub;
    EXPECT_NE(before, self().hub);
    EXPECT_NE(pid_of("a").hub, before);
    crash("c");
    EXPECT_EQ(events(2), "c-c+");
    terminate_child(tree, "a");
    EXPECT_EQ(events(1), "a-");
    shut_down(tree);
    EXPECT_EQ(events(2), "c-b-");
  });
}

}  // namespace
}  // namespace greenroom
