#include "greenroom/scheduler/task/ready_queue.h"

namespace greenroom::detail {

std::size_t ReadyQueue::size() const {
  std::size_t count = only_ ? 1 : 0;
  for (const Task* task = head_; task; task = task->next_ready) ++count;
  return count;
}

Task* ReadyQueue::pop(std::size_t n) {
  if (only_) return std::exchange(only_, nullptr);
  Task** link = &head_;
  while (n-- > 0) link = &(*link)->next_ready;
  Task* task = *link;
  *link = task->next_ready;
  if (!*link) tail_ = link;
  return task;
}

void ReadyQueue::remove(Task& task) {
  std::size_t n = 0;
  for (const Task* at = only_ ? only_ : head_; at != &task; at = at->next_ready) ++n;
  pop(n);
}

bool ReadyQueue::remove_near(const Task& task, std::size_t limit) {
  const Task* at = only_ ? only_ : head_;
  for (std::size_t n = 0; at && n < limit; ++n, at = at->next_ready) {
    if (at != &task) continue;
    pop(n);
    return true;
  }
  return false;
}

}  // namespace greenroom::detail
