// A mailbox: an actor's messages in the order in which they arrived, and where its receive is in
// them.
//
// Belongs to one task; touched by its hub's thread only. Unbounded unless its owner checks a limit
// before push(). Invariant: `scan_` points at the link that the receive in progress looks at next;
// everything before it did not match.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "greenroom/mailbox/message.h"
#include "greenroom/scheduler/task/task.h"

namespace greenroom {

class Mailbox {
 public:
  Mailbox() = default;
  ~Mailbox() { clear(); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  bool empty() const { return head_ == nullptr; }
  std::size_t size() const { return size_; }
  // Of these, how many count against a limit.
  std::size_t user_size() const { return size_ - signals_; }

  // Appends; never refuses. Not for signals.
  void push(detail::MessagePointer message) noexcept {
    Message* node = message.release();
    node->next = nullptr;
    *tail_ = node;
    tail_ = next_link(*node);
    ++size_;
  }
  // The same for one that becomes a signal, and does not count against a limit.
  void push_signal(detail::MessagePointer message) noexcept {
    MessageAccess::set_kind(*message, detail::MessageKind::signal);
    ++signals_;
    push(std::move(message));
  }

  // The oldest; null if there is none. Not while a receive is in progress.
  detail::MessagePointer pop_front() noexcept {
    detail::MessagePointer message(take_front());
    if (message) count_taken(*message);
    return message;
  }
  // The same for whoever knows the message's kind: one that is no request is to be counted.
  Message* take_front() noexcept {
    Message* message = head_;
    if (!message) return nullptr;
    message->prefetch_ahead();
    head_ = static_cast<Message*>(message->next);
    if (!head_) tail_ = &head_;
    --size_;
    return message;
  }
  void count_taken(const Message& message) noexcept {
    if (MessageAccess::kind(message) == detail::MessageKind::signal) [[unlikely]]
      --signals_;
  }

  // Removes the oldest message for which f(Message&) is true; null if there is none.
  template <class F>
  detail::MessagePointer remove_first_if(F&& f) {
    for (Message** link = &head_; *link; link = next_link(**link)) {
      if (f(**link)) return remove(link);
    }
    return nullptr;
  }

  template <class F>
  void for_each(F&& f) const {
    for (const Message* message = head_; message;
         message = static_cast<const Message*>(message->next))
      f(*message);
  }

  void clear() noexcept {
    while (head_) pop_front();
  }

  // For receive. Of a server: its requests wait for their handlers, receive does not see them.
  void hide_requests() noexcept { hides_requests_ = 1; }
  bool is_hidden(const Message& message) const noexcept {
    return hides_requests_ != 0 && MessageAccess::kind(message) == detail::MessageKind::request;
  }
  void start_scan() noexcept { scan_ = &head_; }
  Message* scanned() const noexcept { return *scan_; }
  void skip() noexcept { scan_ = next_link(**scan_); }
  detail::MessagePointer take_scanned() noexcept { return remove(scan_); }
  // Counts the receives that wait for other things than mail as well: every 16th asks these first.
  bool is_turn_of_others() noexcept { return ++receives_ == 0; }

 private:
  // Every node of a mailbox is a Message; the link is PostNode's.
  static Message** next_link(Message& message) {
    return reinterpret_cast<Message**>(&message.next);
  }

  detail::MessagePointer remove(Message** link) noexcept {
    Message* message = *link;
    message->prefetch_ahead();
    *link = static_cast<Message*>(message->next);
    if (!*link) tail_ = link;
    if (scan_ == next_link(*message)) scan_ = link;
    if (MessageAccess::kind(*message) == detail::MessageKind::signal) --signals_;
    --size_;
    return detail::MessagePointer(message);
  }

  Message* head_ = nullptr;
  Message** tail_ = &head_;
  Message** scan_ = &head_;
  std::uint32_t size_ = 0;
  std::uint32_t signals_ : 27 = 0;
  std::uint32_t receives_ : 4 = 0;
  std::uint32_t hides_requests_ : 1 = 0;
};

namespace detail {

// The extension of a task that has a mailbox.
struct MailboxExtension : TaskExtension {
  Mailbox mailbox;
};

// The current task's mailbox; a plain greenlet becomes an actor on the spot.
MailboxExtension& current_mailbox_extension(Task& self);

// Set by actors/: turns a plain greenlet into an actor.
extern void (*make_extension)(Task& self);

}  // namespace detail
}  // namespace greenroom
