#include "greenroom/scheduler/port/port.h"

#include <unistd.h>

#include <cassert>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/system/futex.h"

namespace greenroom::detail {

namespace {

std::mutex table_mutex;

// The head of a closed inbox.
PostNode closed_mark;

// The last nodes of a list that is being made or turned round.
class Trail {
 public:
  void clear() noexcept { length_ = 0; }
  // Appends a node; the value of `ahead` that leads from it to the one `stride` nodes earlier.
  std::int32_t append(const PostNode& node) noexcept {
    const auto here = reinterpret_cast<std::intptr_t>(&node);
    const std::intptr_t there = std::exchange(last_[length_ % Port::stride], here);
    const std::intptr_t distance = (there - here) / PostNode::unit;
    const bool is_known =
        length_++ >= Port::stride && distance == static_cast<std::int32_t>(distance);
    return is_known ? static_cast<std::int32_t>(distance) : 0;
  }

 private:
  std::uint64_t length_ = 0;
  std::intptr_t last_[Port::stride] = {};
};

// What this thread has pushed to one port since that was last seen empty.
struct Pushed {
  const Port* to;
  Trail trail;
};
constinit thread_local Pushed pushed{};

// Leads back to the nodes that the owner will come to when it turns the list round.
std::int32_t ahead_in_inbox(const PostNode& node, const Port& port, bool is_first) noexcept {
  if (is_first || pushed.to != &port) {
    pushed.to = &port;
    pushed.trail.clear();
  }
  return pushed.trail.append(node);
}

PostNode* reverse(PostNode* head) noexcept {
  if (!head || !head->next) return head;
  PostNode* reversed = nullptr;
  Trail trail;
  while (head) {
    head->prefetch_ahead();
    PostNode* next = head->next;
    head->next = reversed;
    head->ahead = trail.append(*head);
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
  if (crossing_hooks_if_any()) [[unlikely]]
    return push_watched(node);
  return push_now(node);
}

[[gnu::noinline]] bool Port::push_watched(PostNode& node) noexcept {
  cross();
  const bool is_pushed = push_now(node);
  cross();
  return is_pushed;
}

inline bool Port::push_now(PostNode& node) noexcept {
  PostNode* head = inbox_.load(std::memory_order_relaxed);
  node.ahead = ahead_in_inbox(node, *this, head == nullptr);
  do {
    if (head == &closed_mark) return false;
    node.next = head;
  } while (!inbox_.compare_exchange_weak(head, &node));
  // Sequentially consistent with prepare_sleep() and the owner's second look: one of the two sees
  // the other.
  if (sleep_word_.load() != 0) wake();
  return true;
}

bool Port::push_from_signal_handler(PostNode& node) noexcept { return push_now(node); }

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
