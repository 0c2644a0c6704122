// A descriptor's way from the hub that has it in its loop to another one: what the two hubs share.
//
// The new hub asks, the old one takes the descriptor out of its loop and says so. The new one may
// lose patience: then either the old one has not begun, and never will, or it is done.
#pragma once

#include <memory>
#include <mutex>

#include "greenroom/io/poll/descriptor.h"
#include "greenroom/scheduler/port/port.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/system/crossing.h"

namespace greenroom::detail {

class DescriptorMove {
 public:
  explicit DescriptorMove(Descriptor& descriptor) : descriptor_(descriptor) {}

  // Sends it to the old home.
  static void ask(const std::shared_ptr<DescriptorMove>& move, Port& home);
  // The new hub: the old home will not touch the descriptor on behalf of this move. False: it has
  // let it go already.
  bool cancel() noexcept;

  green::Event done;

  // For the new hub.
  int waiting = 0;           // greenlets
  bool is_complete = false;  // one of them has seen `done`
  bool has_descriptor_ended = false;

 private:
  struct Post;
  static void deliver(Hub& hub, PostNode& node);
  void let_go(const Hub& home);

  Descriptor& descriptor_;
  SharedMutex mutex_;
  bool is_let_go_ = false;
  bool is_cancelled_ = false;
};

}  // namespace greenroom::detail
