// Ready tasks in the order in which they became ready: a list through the tasks. One hub's.
#pragma once

#include <cstddef>

#include "greenroom/scheduler/task.h"

namespace greenroom::detail {

class ReadyQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  // Counts them; for simulations.
  std::size_t size() const;
  void push_back(Task& task) {
    task.next_ready = nullptr;
    *tail_ = &task;
    tail_ = &task.next_ready;
  }
  Task* pop_front() {
    Task* task = head_;
    if (!task) return nullptr;
    head_ = task->next_ready;
    if (!head_) tail_ = &head_;
    return task;
  }
  // The n-th from the front; for simulations.
  Task* pop(std::size_t n);
  // Walks.
  void remove(Task& task);

 private:
  Task* head_ = nullptr;
  Task** tail_ = &head_;
};

}  // namespace greenroom::detail
