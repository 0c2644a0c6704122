#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

constinit std::atomic<const CrossingHooks*> crossing_hooks{nullptr};
constinit std::atomic<unsigned> yields_at_crossings{0};

void SharedMutex::lock_watched(const CrossingHooks& hooks) {
  hooks.about_to_lock();
  mutex_.lock();
  hooks.locked();
}

}  // namespace greenroom::detail
