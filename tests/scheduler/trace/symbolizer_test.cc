// In a process of its own: what is found is kept for as long as the process lives.
#include "greenroom/scheduler/trace/symbolizer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "greenroom/scheduler/system/sanitizers.h"

namespace greenroom::detail {
namespace {

[[gnu::noinline]] const void* return_address() { return __builtin_return_address(0); }

// As a signal handler does it.
std::string raw_function(const void* address) {
  std::string function;
  const auto keep = [](void* data, const RawLine& line) {
    if (line.function != nullptr) *static_cast<std::string*>(data) = line.function;
  };
  visit_raw_lines(address, keep, &function);
  return function;
}

// No descriptor is free as long as it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &previous_);
    rlimit lowered = previous_;
    lowered.rlim_cur = 0;
    ::setrlimit(RLIMIT_NOFILE, &lowered);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &previous_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit previous_{};
};

TEST(Symbolizer, LookUpWithoutDescriptorsDoesNotSpoilLaterOnes) {
#if GREENROOM_ASAN
  GTEST_SKIP() << "the check of virtual calls opens a pipe, and fails without descriptors";
#endif
  prepare_symbolizer();
  const void* const address = return_address();
  SourceLines without;
  {
    const NoDescriptors scope;
    without = symbolize(address);
    raw_function(address);
  }
  EXPECT_EQ(without->size(), 1U);
  EXPECT_EQ(without->back().line, 0);
  const SourceLines lines = symbolize(address);
  EXPECT_NE(lines->back().function.find("TestBody"), std::string::npos) << lines->back().function;
  EXPECT_NE(lines->back().line, 0);
  EXPECT_NE(raw_function(address).find("TestBody"), std::string::npos);
  EXPECT_EQ(symbolize(address), lines);
}

}  // namespace
}  // namespace greenroom::detail
