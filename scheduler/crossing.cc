#include "greenroom/scheduler/crossing.h"

namespace greenroom::detail {

constinit std::atomic<const CrossingHooks*> crossing_hooks{nullptr};
constinit std::atomic<unsigned> yields_at_crossings{0};

}  // namespace greenroom::detail
