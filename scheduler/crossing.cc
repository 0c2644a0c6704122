#include "greenroom/scheduler/crossing.h"

namespace greenroom::detail {

constinit std::atomic<const CrossingHooks*> crossing_hooks{nullptr};

}  // namespace greenroom::detail
