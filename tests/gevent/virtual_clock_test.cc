// The programs of examples/gevent on a virtual clock: a thousand runs print one thing, what gevent
// prints, though their time unit is an hour.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <system_error>

#include "greenroom/testkit/testkit.h"

// Each main of these programs, by the name that BUILD gives it.
using Main = int(int, char**);
Main actors_main, bounded_queue_main, context_switch_main, determinism_main, events_main,
    foobar_main, groups_main, locals_main, semaphore_main, spawn_main, states_main, timeouts_main,
    work_queue_main;

namespace greenroom {
namespace {

// While it lasts, what is written to a descriptor goes into memory.
class Capture {
 public:
  explicit Capture(int fd)
      : fd_(fd), saved_(checked(dup(fd))), memory_(checked(memfd_create("capture", MFD_CLOEXEC))) {
    std::fflush(nullptr);
    checked(dup2(memory_, fd_));
  }
  ~Capture() {
    std::fflush(nullptr);
    dup2(saved_, fd_);
    close(saved_);
    close(memory_);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // What has been written since the last call.
  std::string take() {
    std::fflush(nullptr);
    std::string text(static_cast<std::size_t>(checked(lseek(memory_, 0, SEEK_CUR))), '\0');
    checked(pread(memory_, text.data(), text.size(), 0));
    checked(ftruncate(memory_, 0));
    checked(lseek(memory_, 0, SEEK_SET));
    return text;
  }

 private:
  template <class T>
  static T checked(T result) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), "Capture");
    return result;
  }

  const int fd_;
  const int saved_;
  const int memory_;
};

struct Program {
  const char* name;
  Main* main;
};

void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

class Runs : public testing::TestWithParam<Program> {};

std::string golden_of(const Program& program) {
  std::ifstream file("examples/gevent/" + std::string(program.name) + ".txt");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_P(Runs, PrintWhatGeventPrintsInEachOfAThousandRuns) {
  const Program& program = GetParam();
  std::set<std::string> outputs;
  std::set<int> statuses;
  {
    Capture out(STDOUT_FILENO);
    Capture reports(STDERR_FILENO);  // of greenlets that throw, as they are to
    for (int run = 0; run < testkit::scale(1000); ++run) {
      const testkit::Simulation simulation{.seed = static_cast<std::uint64_t>(run),
                                           .order = testkit::Order::fifo};
      testkit::simulate(simulation, [&] {
        std::string name = program.name, flag = "--unit", hour = "3600";
        char* arguments[] = {name.data(), flag.data(), hour.data(), nullptr};
        statuses.insert(program.main(3, arguments));
      });
      outputs.insert(out.take());
      reports.take();
    }
  }
  EXPECT_EQ(outputs, std::set{golden_of(program)});
  EXPECT_EQ(statuses, std::set{0});
}

constexpr Program programs[] = {
    {"actors", actors_main},
    {"bounded_queue", bounded_queue_main},
    {"context_switch", context_switch_main},
    {"determinism", determinism_main},
    {"events", events_main},
    {"foobar", foobar_main},
    {"groups", groups_main},
    {"locals", locals_main},
    {"semaphore", semaphore_main},
    {"spawn", spawn_main},
    {"states", states_main},
    {"timeouts", timeouts_main},
    {"work_queue", work_queue_main},
};

INSTANTIATE_TEST_SUITE_P(OfPrograms, Runs, testing::ValuesIn(programs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Programs, AreAllHere) {
  std::set<std::string> here, golden;
  for (const Program& program : programs) here.insert(program.name);
  for (const auto& file : std::filesystem::directory_iterator("examples/gevent"))
    golden.insert(file.path().stem());
  EXPECT_EQ(here, golden);
}

}  // namespace
}  // namespace greenroom
