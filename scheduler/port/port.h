// A port: where other threads reach a hub. Its inbox, its sleep word, and the way to wake it.
//
// Ports are numbered, live as long as the process and are reused, so that a push can never touch a
// hub that is gone: a closed port refuses. push() and wake() may be called on any thread; the rest
// by the hub's own. Everything from one thread to one hub goes through its inbox in one order:
// messages, signals, replies, wakes.
#pragma once

#include <atomic>
#include <cstdint>

namespace greenroom {
class Hub;
}

namespace greenroom::detail {

struct DebugLayout;

// What travels: an intrusive node that knows what to do on the receiving hub, at the base of a
// runner.
struct PostNode {
  using Deliver = void (*)(Hub& hub, PostNode& node);  // owns the node from then on; must not throw
  // Set by whoever puts it on a list, and sends it: a message between two actors of one hub needs
  // the second never.
  PostNode* next;
  Deliver deliver;
  // Where the node is that whoever walks the list comes to in Port::stride steps: so many units
  // from here; 0 if that is not known. For prefetching only: it may be gone.
  std::int32_t ahead = 0;
  static constexpr std::intptr_t unit = 16;

  // Called while this one is handled. A list of nodes that another processor has written is
  // otherwise waited for node by node.
  void prefetch_ahead() const noexcept {
    if (ahead == 0) [[likely]]
      return;
    const auto here = reinterpret_cast<std::uintptr_t>(this);
    const auto there = here + static_cast<std::uintptr_t>(ahead * unit);
    __builtin_prefetch(reinterpret_cast<const void*>(there), 1);
  }
};

class Port {
 public:
  static constexpr std::uint32_t limit = 4096;
  static constexpr std::uint32_t stride = 16;  // see PostNode::ahead

  // A free port, opened. Throws std::runtime_error if `limit` hubs are alive.
  static Port& open(Hub& hub);
  // The port of that number; null if none was ever opened.
  static Port* at(std::uint32_t number) noexcept;

  // False if the port is closed: the node is still the caller's.
  bool push(PostNode& node) noexcept;

  // The same without a crossing, for a signal handler.
  bool push_from_signal_handler(PostNode& node) noexcept;

  // Owner: everything pushed so far, oldest first.
  PostNode* take_all() noexcept;
  bool is_empty() const noexcept { return inbox_.load(std::memory_order_relaxed) == nullptr; }

  // Owner: refuses from now on; returns what was left.
  PostNode* close() noexcept;

  // Owner: sleep protocol. prepare, look at the inbox again, sleep, awake.
  void prepare_sleep() noexcept { sleep_word_.store(1); }
  void awake() noexcept { sleep_word_.store(0, std::memory_order_relaxed); }
  bool is_asleep() const noexcept { return sleep_word_.load(std::memory_order_relaxed) != 0; }
  std::atomic<std::uint32_t>& sleep_word() { return sleep_word_; }
  // A sleeping owner is woken through this descriptor (an eventfd) instead of the futex; -1 =
  // futex.
  void set_wake_descriptor(int descriptor) noexcept { wake_descriptor_.store(descriptor); }
  // Makes a sleeping owner look at its inbox; does nothing if it is awake.
  void wake() noexcept;

  std::uint32_t number() const { return number_; }
  // Which group its hub is in, to be compared; null: none. Any thread.
  const void* group() const noexcept { return group_.load(std::memory_order_acquire); }
  void set_group(const void* group) noexcept { group_.store(group, std::memory_order_release); }

 private:
  friend struct DebugLayout;
  explicit Port(std::uint32_t number) : number_(number) {}

  bool push_now(PostNode& node) noexcept;
  bool push_watched(PostNode& node) noexcept;

  static std::atomic<Port*> table_[limit];

  alignas(64) std::atomic<PostNode*> inbox_{nullptr};
  alignas(64) std::atomic<std::uint32_t> sleep_word_{0};
  std::atomic<int> wake_descriptor_{-1};
  std::atomic<const void*> group_{nullptr};
  std::uint32_t number_;
  bool in_use_ = false;  // under the table's lock
  Hub* hub_ = nullptr;   // whose it is; for debuggers only
};

}  // namespace greenroom::detail
