#include "greenroom/scheduler/system/advise.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

namespace greenroom::detail {
namespace {

constexpr int this_process = -10000;  // PIDFD_SELF, not in glibc 2.36

// Of the process: what its kernel can do does not change.
std::atomic<bool> is_unknown_call = false;

bool is_on_valgrind() {
#if defined(RUNNING_ON_VALGRIND)
  return RUNNING_ON_VALGRIND != 0;
#else
  return false;
#endif
}

}  // namespace

std::size_t advise_ranges(const iovec* ranges, std::size_t count, int advice) noexcept {
  if (is_unknown_call.load(std::memory_order_relaxed) || is_on_valgrind()) return 0;
  const long advised = ::syscall(SYS_process_madvise, this_process, ranges, count, advice, 0);
  if (advised < 0) {
    // EBADF: it does not know PIDFD_SELF. EINVAL may be about these ranges only.
    if (errno == ENOSYS || errno == EBADF || errno == EPERM)
      is_unknown_call.store(true, std::memory_order_relaxed);
    return 0;
  }
  auto bytes = static_cast<std::size_t>(advised);
  std::size_t taken = 0;
  while (taken < count && bytes >= ranges[taken].iov_len) bytes -= ranges[taken++].iov_len;
  return taken;
}

}  // namespace greenroom::detail
