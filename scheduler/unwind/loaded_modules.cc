#include "greenroom/scheduler/unwind/loaded_modules.h"

#include <link.h>

#include <atomic>

namespace greenroom::detail {

namespace {

// One more than the count of the KnownUnloaded that lives; 0: there is none.
constinit std::atomic<std::uint64_t> known_unloaded{0};

}  // namespace

KnownUnloaded::KnownUnloaded(std::uint64_t count) noexcept { known_unloaded = count + 1; }
KnownUnloaded::~KnownUnloaded() { known_unloaded = 0; }

std::uint64_t count_unloaded_libraries() noexcept {
  if (const std::uint64_t known = known_unloaded) return known - 1;
  std::uint64_t unloaded = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = info->dlpi_subs;
        return 1;  // every object says the same
      },
      &unloaded);
  return unloaded;
}

}  // namespace greenroom::detail
