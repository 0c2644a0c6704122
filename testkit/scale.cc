#include <algorithm>

#include "greenroom/scheduler/system/sanitizers.h"
#include "greenroom/testkit/testkit.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

namespace greenroom::testkit {

namespace {

bool is_slow() {
#if defined(GREENROOM_ASAN) || defined(GREENROOM_TSAN)
  return true;
#elif defined(RUNNING_ON_VALGRIND)
  return RUNNING_ON_VALGRIND != 0;
#else
  return false;
#endif
}

}  // namespace

int scale(int n) { return is_slow() ? std::min(n, std::max(n / 10, 1)) : n; }

}  // namespace greenroom::testkit
