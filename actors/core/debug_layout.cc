#include "greenroom/scheduler/watch/debug_layout.h"

#include <cstddef>

#include "greenroom/actors/core/actor_hub.h"

// Of classes that are not plain it is "conditionally supported"; these have no virtual bases.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace greenroom::detail {

namespace {

constexpr DebugEntry entries[] = {
    {"Actor::number", offsetof(Actor, number)},
    {"Actor::extras", offsetof(Actor, extras)},
    {"ActorExtras::names", offsetof(ActorExtras, names)},
    {"ActorExtras::label", offsetof(ActorExtras, label)},
    {"Pid::index_bits", Pid::index_bits},
    {},
};

}  // namespace
}  // namespace greenroom::detail

extern "C" {
extern const greenroom::detail::DebugEntry* const greenroom_actor_debug_layout;
const greenroom::detail::DebugEntry* const greenroom_actor_debug_layout =
    greenroom::detail::entries;
}
