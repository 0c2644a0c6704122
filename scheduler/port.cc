#include "greenroom/scheduler/port.h"

#include <unistd.h>

#include <cassert>
#include <mutex>
#include <stdexcept>

#include "greenroom/scheduler/futex.h"

namespace greenroom::detail {

namespace {

std::mutex table_mutex;

// The head of a closed inbox.
PostNode closed_mark;

PostNode* reverse(PostNode* head) noexcept {
  PostNode* reversed = nullptr;
  while (head) {
    PostNode* next = head->next;
    head->next = reversed;
    reversed = head;
    head = next;
  }
  return reversed;
}

}  // namespace

std::atomic<Port*> Port::table_[Port::limit];

Port& Port::open(Hub& hub) {
  const std::lock_guard lock(table_mutex);
  for (std::uint32_t number = 0; number < limit; ++number) {
    Port* port = table_[number].load(std::memory_order_relaxed);
    if (!port) {
      port = new Port(number);
      table_[number].store(port, std::memory_order_release);  // pairs with at()
    } else if (port->in_use_) {
      continue;
    }
    port->in_use_ = true;
    port->hub_ = &hub;
    port->inbox_.store(nullptr);
    port->sleep_word_.store(0);
    port->wake_descriptor_.store(-1);
    return *port;
  }
  throw std::runtime_error(
      "greenroom: 4096 hubs are alive; end threads that used one before starting more");
}

Port* Port::at(std::uint32_t number) noexcept {
  return number < limit ? table_[number].load(std::memory_order_acquire) : nullptr;
}

bool Port::push(PostNode& node) noexcept {
  PostNode* head = inbox_.load(std::memory_order_relaxed);
  do {
    if (head == &closed_mark) return false;
    node.next = head;
  } while (!inbox_.compare_exchange_weak(head, &node));
  // Sequentially consistent with prepare_sleep() and the owner's second look: one of the two sees
  // the other.
  if (sleep_word_.load() != 0) wake();
  return true;
}

PostNode* Port::take_all() noexcept {
  if (is_empty()) return nullptr;
  return reverse(
      inbox_.exchange(nullptr, std::memory_order_acquire));  // pairs with push's exchange
}

PostNode* Port::close() noexcept {
  PostNode* left = reverse(inbox_.exchange(&closed_mark));
  const std::lock_guard lock(table_mutex);
  assert(in_use_);
  in_use_ = false;
  hub_ = nullptr;
  return left;
}

void Port::wake() noexcept {
  // Only the one who takes the word down makes the system call.
  if (sleep_word_.exchange(0) == 0) return;
  const int descriptor = wake_descriptor_.load();
  if (descriptor >= 0) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(descriptor, &one, sizeof one);
  } else {
    futex_wake_all(sleep_word_);
  }
}

}  // namespace greenroom::detail
