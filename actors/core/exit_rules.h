// Exit rules: what a signal does to the actor that it comes to. For the thread of the actor's hub.
#pragma once

#include "greenroom/actors/core/actor.h"
#include "greenroom/actors/core/signals.h"

namespace greenroom::detail {

// A signal has come to its actor, and acts at once. An actor that is exiting keeps links and
// monitors that come to it until its end, which answers them.
void receive_signal(Actor& actor, const Signal& signal);
// A signal has come for an actor that is dead, or never was: who asks for an answer gets that of
// the dead. Any thread.
void answer_for_the_dead(const Signal& signal);
// The actor has linked itself to nobody: as the answer to a link to the dead.
void link_to_nobody(Actor& actor);

// Makes the actor exit, unless it is exiting: it unwinds at its next suspension point, which is now
// if it is parked.
void accept_exit(Actor& actor, const ExitReason& reason);

}  // namespace greenroom::detail
