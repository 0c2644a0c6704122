#include "greenroom/io/poll/descriptor_move.h"

namespace greenroom::detail {

struct DescriptorMove::Post final : PostNode {
  std::shared_ptr<DescriptorMove> move;
};

void DescriptorMove::ask(const std::shared_ptr<DescriptorMove>& move, Port& home) {
  auto post = std::make_unique<Post>();
  post->deliver = &deliver;
  post->move = move;
  if (home.push(*post)) {
    static_cast<void>(post.release());
    return;
  }
  // It has ended, and its loop with it.
  move->is_let_go_ = true;
  move->done.set();
}

void DescriptorMove::deliver(Hub& hub, PostNode& node) {
  const std::unique_ptr<Post> post(static_cast<Post*>(&node));
  post->move->let_go(hub);
}

void DescriptorMove::let_go(const Hub& home) {
  {
    const std::lock_guard lock(mutex_);
    if (is_cancelled_) return;  // the descriptor may be gone
    if (descriptor_.is_at(&home)) descriptor_.disarm(interest::read | interest::write);
    is_let_go_ = true;
  }
  done.set();
}

bool DescriptorMove::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  is_cancelled_ = !is_let_go_;
  return is_cancelled_;
}

}  // namespace greenroom::detail
