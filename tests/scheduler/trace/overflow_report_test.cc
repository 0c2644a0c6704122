#include "greenroom/scheduler/trace/overflow_report.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "greenroom/scheduler/fiber/stack.h"
#include "greenroom/scheduler/system/signal_safe_text.h"
#include "gtest/gtest.h"

// The fibers here are raw contexts without the sanitizers' annotations: they only overflow.

namespace {

using greenroom::detail::install_overflow_report_for_this_thread;
using greenroom::detail::OverflowReporting;
using greenroom::detail::set_overflow_reporting;
using greenroom::detail::Stack;
using greenroom::detail::StackPool;

namespace context = boost::context::detail;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool is_sanitized = false;
#endif

[[gnu::noinline]] int recurse_for_ever(int depth) {
  if (depth < 0) return 0;  // never; without it the compilers refuse
  volatile char frame[200];
  frame[0] = static_cast<char>(depth);
  const int result = recurse_for_ever(depth + 1) + frame[0];
  asm volatile("");
  return result;
}

[[gnu::noinline]] int recurse_in_turn(int depth, int which) {
  if (depth < 0) return 0;
  volatile char frame[200];
  frame[0] = static_cast<char>(depth);
  int result = 0;
  if (which == 0) {
    result = recurse_in_turn(depth + 1, 1) + frame[0];
  } else {
    result = recurse_in_turn(depth + 1, 0) * frame[0];
  }
  asm volatile("");
  return result;
}

void overflow_in_turn(context::transfer_t) {
  recurse_in_turn(0, 0);
  std::abort();
}

template <class Node>
struct Tree {
  [[gnu::noinline]] int walk(const Node& node, int depth) {
    if (depth < 0) return 0;
    volatile char frame[200];
    frame[0] = node[0];
    const int result = walk(node, depth + 1) + frame[0];
    asm volatile("");
    return result;
  }
};

void overflow_in_template(context::transfer_t) {
  Tree<std::string>().walk("text", 0);
  std::abort();
}

void overflow(context::transfer_t) {
  recurse_for_ever(0);
  std::abort();
}

void run_on_fiber(void (*entry)(context::transfer_t)) {
  StackPool pool;
  const Stack stack = pool.acquire();
  context::jump_fcontext(context::make_fcontext(stack.top(), stack.size, entry), nullptr);
}

std::size_t note_actor(char* buffer, std::size_t size) noexcept {
  return std::string_view("actor <0.12.0> 4Deep").copy(buffer, size);
}

constexpr OverflowReporting without_help{.note = &note_actor};

TEST(OverflowReport, NamesTheActorAndItsFunctionsAndAborts) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        set_overflow_reporting(&without_help);
        run_on_fiber(overflow);
      },
      testing::KilledBySignal(SIGABRT),
      "greenroom: stack overflow in actor <0.12.0> 4Deep\n"
      ".*stack_size(.|\n)*"
      "    at \\(anonymous namespace\\)::recurse_for_ever.* [^ ]*overflow_report_test.cc:[0-9]+\n");
}

// The other thread, which is there before: a handler could not start it.
constinit std::atomic<void (*)() noexcept> handed_over = nullptr;
void start_helper() {
  std::thread([] {
    while (handed_over == nullptr) usleep(1000);
    handed_over.load()();
  }).detach();
}
bool run_on_a_thread(void (*work)() noexcept) noexcept {
  handed_over = work;
  return true;
}
std::string describe_in_full() { return "actor <0.12.0> 'deep thought'"; }

constexpr OverflowReporting with_help{&note_actor, &run_on_a_thread, &describe_in_full};

TEST(OverflowReport, HasTheNamesInFullWhereAnotherThreadMakesThemOut) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        set_overflow_reporting(&with_help);
        start_helper();
        run_on_fiber(overflow);
      },
      testing::KilledBySignal(SIGABRT),
      "greenroom: stack overflow in actor <0.12.0> 'deep thought'\n(.|\n)*"
      "    at \\(anonymous namespace\\)::recurse_for_ever\\(int\\) "
      "[^ ]*overflow_report_test.cc:[0-9]+\n");
}

bool run_never(void (*)() noexcept) noexcept { return true; }
constexpr OverflowReporting with_a_stuck_thread{&note_actor, &run_never, &describe_in_full};

TEST(OverflowReport, HasRawNamesAndAddressesWhereTheOtherThreadIsStuck) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        set_overflow_reporting(&with_a_stuck_thread);
        run_on_fiber(overflow);
      },
      testing::KilledBySignal(SIGABRT),
      "greenroom: stack overflow in actor <0.12.0> 4Deep\n(.|\n)*"
      "    at overflow_report_test\\+0x[0-9a-f]+\n"
      "    \\.\\.\\. the same [0-9]+ more times\n");
}

std::string describe_never() {
  for (;;) pause();
}
constexpr OverflowReporting with_one_that_gets_stuck{&note_actor, &run_on_a_thread,
                                                     &describe_never};

TEST(OverflowReport, DoesNotWaitForAThreadThatGetsStuckOverIt) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        set_overflow_reporting(&with_one_that_gets_stuck);
        start_helper();
        run_on_fiber(overflow);
      },
      testing::KilledBySignal(SIGABRT), "stack overflow in actor <0.12.0> 4Deep\n");
}

TEST(OverflowReport, HasAnAlarmSetThatEndsTheProcessIfItDoesNotComeThrough) {
  EXPECT_EXIT(
      {
        signal(SIGALRM, SIG_IGN);
        install_overflow_report_for_this_thread();
        // The last thing a report does is to abort.
        signal(SIGABRT, [](int) {
          struct sigaction action = {};
          sigaction(SIGALRM, nullptr, &action);
          _exit(action.sa_handler == SIG_DFL && alarm(0) > 0 ? 77 : 1);
        });
        run_on_fiber(overflow);
      },
      testing::ExitedWithCode(77), "stack overflow in");
}

TEST(OverflowReport, NamesWhoBeganTheRecursion) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        run_on_fiber(overflow_in_template);
      },
      testing::KilledBySignal(SIGABRT),
      "    at \\(anonymous namespace\\)::Tree<>::walk (.|\n)*"
      "    \\.\\.\\. the same [0-9]+ more times\n(.|\n)*"
      "    at \\(anonymous namespace\\)::overflow_in_template [^ "
      "]*overflow_report_test.cc:[0-9]+\n");
}

TEST(OverflowReport, LeavesOutTheMiddleOfALongRecursion) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        run_on_fiber(overflow_in_turn);
      },
      testing::KilledBySignal(SIGABRT),
      "recurse_in_turn (.|\n)*    \\.\\.\\. [0-9]+ frames more \\.\\.\\.\n(.|\n)*"
      "    at \\(anonymous namespace\\)::overflow_in_turn ");
}

TEST(OverflowReport, NeedsNoDescription) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        run_on_fiber(overflow);
      },
      testing::KilledBySignal(SIGABRT), "greenroom: stack overflow in a green thread");
}

TEST(OverflowReport, WorksInEveryThreadThatInstalledIt) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        std::thread([] {
          install_overflow_report_for_this_thread();
          install_overflow_report_for_this_thread();
          run_on_fiber(overflow);
        }).join();
      },
      testing::KilledBySignal(SIGABRT), "greenroom: stack overflow in");
}

void write_into_the_guard() {
  StackPool pool;
  const Stack stack = pool.acquire();
  *const_cast<volatile std::byte*>(stack.base - 1) = std::byte{1};
}

TEST(OverflowReport, DoesNotCallAStrayPointerAnOverflow) {
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        write_into_the_guard();
      },
      testing::KilledBySignal(SIGABRT), "greenroom: access to a stack guard .*in a green thread");
}

// Memory of our own that may not be written: where a null pointer points, sanitizers look first.
void write_to_read_only_memory() {
  auto* memory = static_cast<volatile char*>(
      mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memory[0] = 1;
}

TEST(OverflowReport, LeavesOtherFaultsToTheDefaultAction) {
  if (is_sanitized) GTEST_SKIP() << "the sanitizers have handlers of their own";
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        write_to_read_only_memory();
      },
      testing::KilledBySignal(SIGSEGV), "^$");
  EXPECT_EXIT(
      {
        install_overflow_report_for_this_thread();
        raise(SIGSEGV);
      },
      testing::KilledBySignal(SIGSEGV), "^$");
}

void exit_with_address(int, siginfo_t* info, void*) { _exit(info->si_addr != nullptr ? 77 : 1); }
void exit_with_signal(int signal) { _exit(signal == SIGSEGV ? 78 : 1); }

TEST(OverflowReport, LeavesOtherFaultsToTheHandlerThatWasThere) {
  EXPECT_EXIT(
      {
        struct sigaction action = {};
        action.sa_sigaction = exit_with_address;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, nullptr);
        install_overflow_report_for_this_thread();
        write_to_read_only_memory();
      },
      testing::ExitedWithCode(77), "");
  EXPECT_EXIT(
      {
        signal(SIGSEGV, exit_with_signal);
        install_overflow_report_for_this_thread();
        write_to_read_only_memory();
      },
      testing::ExitedWithCode(78), "");
}

TEST(OverflowReport, LeavesSentSignalsIgnoredThatWereIgnored) {
  EXPECT_EXIT(
      {
        signal(SIGSEGV, SIG_IGN);
        install_overflow_report_for_this_thread();
        raise(SIGSEGV);
        _exit(79);
      },
      testing::ExitedWithCode(79), "");
}

TEST(OverflowReport, GivesTheThreadsOwnSignalStackBack) {
  std::thread([] {
    stack_t before = {};
    sigaltstack(nullptr, &before);
    static thread_local struct Check {
      stack_t expected = {};
      ~Check() {
        stack_t after = {};
        sigaltstack(nullptr, &after);
        EXPECT_EQ(after.ss_sp, expected.ss_sp);
        EXPECT_EQ(after.ss_flags, expected.ss_flags);
      }
    } check;
    check.expected = before;  // constructed first, so destroyed after the report's stack
    install_overflow_report_for_this_thread();
    stack_t during = {};
    sigaltstack(nullptr, &during);
    EXPECT_EQ(during.ss_flags & SS_DISABLE, 0);
    EXPECT_GE(during.ss_size, 65536u);
  }).join();
}

struct PlainName {
  const char* symbol;
  const char* name;
};
void PrintTo(const PlainName& value, std::ostream* out) { *out << value.symbol; }

class PlainNames : public testing::TestWithParam<PlainName> {};

TEST_P(PlainNames, NeedNoMemory) {
  greenroom::detail::SignalSafeLine line;
  greenroom::detail::append_plain_name(line, GetParam().symbol);
  EXPECT_EQ(line.text(), GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    SignalSafeText, PlainNames,
    testing::Values(
        PlainName{"main", "main"}, PlainName{"_Z4mainv", "main"}, PlainName{"_ZL5parsei", "parse"},
        PlainName{"_ZN3app12_GLOBAL__N_14anonEi", "app::(anonymous namespace)::anon"},
        PlainName{"_ZNK3app5Plain7descendEi", "app::Plain::descend"},
        PlainName{"_Z3minIiET_S0_S0_", "min<>"},
        PlainName{"_ZN3app4TreeINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEE4walkERKS6_i."
                  "isra.0",
                  "app::Tree<>::walk"},
        PlainName{"_ZNSt6vectorISt4pairIiPKcESaIS3_EE9push_backEOS3_", "std::vector<>::push_back"},
        PlainName{"_ZN3app5ArrayIiLm12ELb1EE4fillEv", "app::Array<>::fill"},
        // Left as they are: an operator, a lambda, an expression, half a name.
        PlainName{"_ZN3app4PlainplEi", "_ZN3app4PlainplEi"},
        PlainName{"_ZZ4mainENKUlvE_clEv", "_ZZ4mainENKUlvE_clEv"},
        PlainName{"_ZN3app1fIXsrSt1xE1yEEEvv", "_ZN3app1fIXsrSt1xE1yEEEvv"},
        PlainName{"_ZN3app99fE", "_ZN3app99fE"}, PlainName{"_ZN3app", "_ZN3app"},
        PlainName{"_ZN3app4TreeI", "_ZN3app4TreeI"}, PlainName{"_Z", "_Z"}));

}  // namespace
