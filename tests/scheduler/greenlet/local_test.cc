// green::local: a value of its own for each greenlet. gevent test__local.
#include "greenroom/scheduler/greenlet/local.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greenroom/scheduler/green.h"

namespace greenroom {
namespace {

using namespace std::chrono_literals;
using green::Event;
using green::Greenlet;
using green::local;
using green::spawn;

// Says when one that was used is gone.
struct Noted {
  explicit Noted(int& gone) : count(&gone) {}
  Noted(const Noted& other) : count(other.count) {}
  Noted& operator=(const Noted&) = delete;
  ~Noted() {
    if (is_used) ++*count;
  }
  int* count;
  bool is_used = false;
};

TEST(Local, EachGreenletHasItsOwnCopyOfTheInitialValue) {
  const local<int> number(10);
  *number = 1;
  std::vector<int> seen;
  auto body = [&](int add) {
    *number += add;
    yield();
    seen.push_back(*number);
  };
  green::joinall({spawn(body, 1), spawn(body, 2)});
  EXPECT_EQ(seen, (std::vector<int>{11, 12}));
  EXPECT_EQ(*number, 1);
}

TEST(Local, IsUsedAsAPointerIs) {
  const local<std::string> text;
  EXPECT_TRUE(text->empty());
  text->assign("here");
  EXPECT_EQ(*text, "here");
}

TEST(Local, AValueGoesWithItsGreenletBeforeItsEndIsTold) {
  int gone = 0;
  int gone_when_told = 0;
  const local<Noted> noted{Noted(gone)};
  auto user = spawn([&] { noted->is_used = true; });
  user.rawlink([&](const Greenlet<>&) { gone_when_told = gone; });
  auto idler = spawn([] {});
  green::joinall({user, idler});
  yield();
  EXPECT_EQ(gone_when_told, 1);
  EXPECT_EQ(gone, 1) << "one that has not used it has none";
}

TEST(Local, AValueGoesWithAGreenletThatIsKilled) {
  int gone = 0;
  const local<Noted> noted{Noted(gone)};
  auto user = spawn([&] {
    noted->is_used = true;
    sleep(1h);
  });
  yield();
  user.kill();
  EXPECT_EQ(gone, 1);
}

TEST(Local, AValueGoesWithAGreenletThatIsAbandoned) {
  int gone = 0;
  const local<Noted> noted{Noted(gone)};
  auto user = spawn([&] {
    noted->is_used = true;
    sleep(1h);
  });
  yield();
  user.task().hub->abandon(user.task());
  yield();
  EXPECT_EQ(gone, 1);
}

// A destructor that blocks is not interrupted, not even by a kill.
TEST(Local, AValuesDestructorMayBlock) {
  struct Blocking {
    Blocking(Event& gate, std::string& text) : event(&gate), out(&text) {}
    Blocking(const Blocking& other) : event(other.event), out(other.out), is_copy(true) {}
    Blocking& operator=(const Blocking&) = delete;
    ~Blocking() {
      if (!is_copy) return;
      *out += "waits ";
      event->wait();
      *out += "ends ";
    }
    Event* event;
    std::string* out;
    bool is_copy = false;
  };
  Event gate;
  std::string out;
  const local<Blocking> blocking{Blocking(gate, out)};
  auto user = spawn([&] { EXPECT_TRUE(blocking->is_copy); });
  yield();
  EXPECT_FALSE(user.ready());
  user.kill({}, 0s);
  yield();
  EXPECT_EQ(out, "waits ");
  gate.set();
  user.join();
  EXPECT_EQ(out, "waits ends ");
}

TEST(Local, ADestructorMayUseOtherLocals) {
  int gone = 0;
  static const local<Noted>* other = nullptr;
  struct User {
    User() = default;
    User(const User&) : is_copy(true) {}
    User& operator=(const User&) = delete;
    ~User() {
      if (is_copy) (*other)->is_used = true;
    }
    bool is_copy = false;
  };
  const local<Noted> noted{Noted(gone)};
  other = &noted;
  const local<User> user{User()};
  spawn([&] { EXPECT_TRUE(user->is_copy); }).join();
  EXPECT_EQ(gone, 1);
}

// gevent test__local: test_locals_collected_when_local_dies.
TEST(Local, AllItsValuesGoWithIt) {
  int gone = 0;
  auto noted = std::make_unique<local<Noted>>(Noted(gone));
  Event gate;
  auto body = [&] {
    (*noted)->is_used = true;
    gate.wait();
  };
  const std::vector<Greenlet<>> users{spawn(body), spawn(body)};
  (*noted)->is_used = true;
  yield();
  noted.reset();
  EXPECT_EQ(gone, 3);
  gate.set();
  green::joinall(users);
  EXPECT_EQ(gone, 3);
}

TEST(Local, OneThatTakesThePlaceOfAnotherHasValuesOfItsOwn) {
  for (int i = 0; i < 100; ++i) {
    const local<int> number(i);
    EXPECT_EQ(*number, i);
    *number = -1;
  }
}

TEST(Local, IsForGreenletsOfSeveralThreads) {
  int gone = 0;
  const local<int> number(1);
  auto noted = std::make_unique<local<Noted>>(Noted(gone));
  const Hold hold = green::get_hub().hold();
  Event used;
  Event may_go;
  std::thread thread([&] {
    const Hold other = green::get_hub().hold();
    ++*number;
    EXPECT_EQ(*number, 2);
    (*noted)->is_used = true;
    used.set();
    may_go.wait();
  });
  used.wait();
  EXPECT_EQ(*number, 1);
  noted.reset();  // the other thread's value, too
  EXPECT_EQ(gone, 1);
  may_go.set();
  thread.join();
}

TEST(Local, ARootGreenletsValueGoesWithItsThread) {
  int gone = 0;
  const local<Noted> noted{Noted(gone)};
  std::thread([&] { noted->is_used = true; }).join();
  EXPECT_EQ(gone, 1);
}

TEST(Local, InHubWorkThrows) {
  const local<int> number(1);
  bool has_thrown = false;
  green::get_hub().post([&] {
    try {
      ++*number;
    } catch (const std::logic_error&) {
      has_thrown = true;
    }
  });
  sleep(1ms);
  EXPECT_TRUE(has_thrown);
}

struct UsesItself {
  UsesItself() = default;
  UsesItself(const UsesItself&) {
    if (green::local<UsesItself>* mine = std::exchange(used, nullptr)) (*mine)->number = 7;
  }
  int number = 0;
  static inline green::local<UsesItself>* used = nullptr;
};

TEST(Local, MayBeUsedWhileItsValueIsMade) {
  green::local<UsesItself> mine;
  UsesItself::used = &mine;
  EXPECT_EQ(mine->number, 7);
}

}  // namespace
}  // namespace greenroom
