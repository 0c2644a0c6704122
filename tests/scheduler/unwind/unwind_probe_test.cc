#include "greenroom/scheduler/unwind/unwind_probe.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <typeinfo>

namespace greenroom::detail {
namespace {

// What is asked by ask(), where it is called.
const std::type_info* asked_type = &typeid(int);

// A process asks with one sieve only.
bool sift();
Sieve asked_sieve{.function = reinterpret_cast<std::uintptr_t>(&sift)};

// Never: but where the compiler knows that nothing is thrown, it writes no tables.
volatile bool is_to_throw = false;

[[gnu::noinline]] bool ask() {
  if (is_to_throw) throw 1;
  const UnwindContext caller = caller_of(__builtin_frame_address(0));
  return would_terminate(caller, {.low = caller.sp}, *asked_type, nullptr, asked_sieve);
}

[[gnu::noinline]] bool ask_in_noexcept() noexcept {
  const bool answer = ask();
  asm volatile("");  // so that the call is not a jump
  return answer;
}

[[gnu::noinline]] bool ask_where_logic_errors_are_caught() noexcept {
  try {
    return ask();
  } catch (const std::logic_error&) {
    return false;
  }
}

enum class Taking { by_the_inner, by_the_outer, by_none };
Taking taking = Taking::by_none;
bool is_inner = false;

// Its handler may keep what it catches.
[[gnu::noinline]] bool sift() {
  const Taking place = is_inner ? Taking::by_the_inner : Taking::by_the_outer;
  if (taking == place)
    asked_sieve.taking_frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  try {
    return is_inner ? ask() : (is_inner = true, sift());
  } catch (const std::logic_error&) {
    if (is_to_throw) throw;
    return false;
  }
}

[[gnu::noinline]] bool sift_in_noexcept() noexcept {
  asked_sieve.taking_frame = 0;
  is_inner = false;
  const bool answer = sift();
  asm volatile("");  // so that the call is not a jump
  return answer;
}

template <class T>
bool would_terminate_in(bool (*function)()) {
  asked_type = &typeid(T);
  try {
    return function();
  } catch (...) {
    ADD_FAILURE() << "nothing is thrown";
    return false;
  }
}

TEST(UnwindProbe, AnswersTheSameWhenItIsAskedAgain) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(would_terminate_in<int>(ask));
    EXPECT_TRUE(would_terminate_in<int>(ask_in_noexcept));
  }
}

TEST(UnwindProbe, AnswersForEachTypeWhatItsHandlersSay) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(would_terminate_in<std::logic_error>(ask_where_logic_errors_are_caught));
    EXPECT_FALSE(would_terminate_in<std::out_of_range>(ask_where_logic_errors_are_caught));
    EXPECT_TRUE(would_terminate_in<std::runtime_error>(ask_where_logic_errors_are_caught));
    EXPECT_TRUE(would_terminate_in<std::logic_error*>(ask_where_logic_errors_are_caught));
  }
}

TEST(UnwindProbe, LetsASievePassWhatItDoesNotTake) {
  for (int round = 0; round < 3; ++round) {
    for (const Taking place : {Taking::by_the_inner, Taking::by_the_outer, Taking::by_none}) {
      taking = place;
      EXPECT_EQ(would_terminate_in<std::logic_error>(sift_in_noexcept), place == Taking::by_none);
    }
  }
}

template <int n>
struct Numbered : std::logic_error {
  using logic_error::logic_error;
};
template <int n>
struct OfItsOwn {};

template <int n>
void expect_right_answers_of_many_types() {
  EXPECT_FALSE(would_terminate_in<Numbered<n>>(ask_where_logic_errors_are_caught));
  EXPECT_TRUE(would_terminate_in<OfItsOwn<n>>(ask_where_logic_errors_are_caught));
  if constexpr (n > 0) expect_right_answers_of_many_types<n - 1>();
}

TEST(UnwindProbe, AnswersForMoreTypesThanItKeepsAnswersOf) {
  for (int round = 0; round < 3; ++round) expect_right_answers_of_many_types<20>();
}

// A library of one function, loaded as long as the object lives.
class Library {
 public:
  using CallBack = bool (*)(bool (*)());

  explicit Library(const std::string& name)
      : handle_(dlopen(("tests/scheduler/unwind/" + name).c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
    call_back_ = reinterpret_cast<CallBack>(dlsym(handle_, "call_back"));
  }
  ~Library() { dlclose(handle_); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  CallBack call_back() const { return call_back_; }

 private:
  void* handle_;
  CallBack call_back_ = nullptr;
};

TEST(UnwindProbe, ForgetsTheAnswersOfALibraryThatWasUnloaded) {
  asked_type = &typeid(int);
  Library::CallBack first = nullptr;
  for (int round = 0; round < 3; ++round) {
    {
      const Library throwing("libunwind_through.so");
      if (first == nullptr) first = throwing.call_back();
      if (throwing.call_back() != first) GTEST_SKIP() << "it was loaded elsewhere";
      EXPECT_FALSE(throwing.call_back()(ask));
    }
    {
      const Library not_throwing("libunwind_noexcept.so");
      if (not_throwing.call_back() != first) GTEST_SKIP() << "it was loaded elsewhere";
      EXPECT_TRUE(not_throwing.call_back()(ask));
    }
  }
}

}  // namespace
}  // namespace greenroom::detail
