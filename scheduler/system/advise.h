// One advice to the kernel about many address ranges, in one system call. Thread-safe.
//
// process_madvise(2) on oneself, for any advice: Linux 6.14. Half of what a madvise for one page
// costs is the way into the kernel and back, and what it evicts from the processor's caches.
#pragma once

#include <sys/uio.h>

#include <cstddef>

namespace greenroom::detail {

// How many of the ranges, from the first one, took the advice. None where the kernel cannot do it,
// and under valgrind, which does not know the call and says so at length.
std::size_t advise_ranges(const iovec* ranges, std::size_t count, int advice) noexcept;

}  // namespace greenroom::detail
