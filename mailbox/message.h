// A message: one movable C++ value of an exactly known type, in one block from the hub's pool.
//
// Owned by whoever holds the pointer: the sender, an inbox, a mailbox, the receiving clause. Not
// thread-safe; it moves between hubs by moving through an inbox.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "greenroom/scheduler/memory/block_pool.h"
#include "greenroom/scheduler/port/port.h"

namespace greenroom {

class ExitReason;
class Message;

namespace detail {

// One per type and shared library. Two libraries may each have one for the same type: compare with
// is_same_type.
struct TypeOps {
  const std::type_info* type;
  std::uint64_t name_hash;
  void (*destroy)(
      Message& message) noexcept;  // the whole message, value included; gives the block back
  // It will not be delivered, for that reason: tells whoever waits for an answer. Null: nobody
  // does, as of plain mail.
  void (*refuse)(Message& message, const ExitReason& reason) noexcept = nullptr;
};

template <class T>
constexpr std::uint64_t type_name_hash() {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : std::string_view(__PRETTY_FUNCTION__)) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return hash;
}

// Types with internal linkage have equal names in two files and are told apart by type_info.
inline bool is_same_type(const TypeOps& a, const TypeOps& b) noexcept {
  return &a == &b || (a.name_hash == b.name_hash && *a.type == *b.type);
}

// What may be sent: a value that can be moved and does not point into the sender's stack.
template <class T>
concept Sendable = std::is_object_v<T> && !std::is_array_v<T> && !std::is_pointer_v<T> &&
                   !std::is_same_v<T, std::string_view> && std::is_move_constructible_v<T> &&
                   std::is_nothrow_destructible_v<T>;

// How a value is kept: a string literal becomes a std::string.
template <class T>
using Stored = std::conditional_t<std::is_same_v<std::decay_t<T>, const char*> ||
                                      std::is_same_v<std::decay_t<T>, char*>,
                                  std::string, std::decay_t<T>>;

template <class T>
struct MessageOf;

enum class MessageKind : std::uint16_t {
  user,     // counted by the mailbox limit
  request,  // the same, and somebody waits for the reply: see actors/request.h
  taken,    // a request whose answer somebody else owes
  signal,   // Exit, Down: never refused, never dropped
};

}  // namespace detail

class Message : public detail::PostNode {
 public:
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  template <class T>
  bool is() const noexcept;
  // The value. is<T>() must be true: asserted.
  template <class T>
  T& as() noexcept;
  template <class T>
  const T& as() const noexcept {
    return const_cast<Message*>(this)->as<T>();
  }
  std::string type_name() const;

 protected:
  Message(const detail::TypeOps& type, std::size_t value_offset,
          detail::MessageKind kind = detail::MessageKind::user) noexcept
      : value_offset_(static_cast<std::uint16_t>(value_offset)), kind_(kind), type_(&type) {}
  ~Message() = default;

 private:
  friend struct detail::TypeOps;
  template <class T>
  friend struct detail::MessageOf;
  friend class Mailbox;
  friend struct MessageAccess;

  std::uint16_t value_offset_;  // these two in PostNode's padding
  detail::MessageKind kind_;
  const detail::TypeOps* type_;
  std::uint64_t target_;  // the receiving pid's number, while it is on its way
};

// The runtime's view of a message.
struct MessageAccess {
  static const detail::TypeOps& type(const Message& message) { return *message.type_; }
  static detail::MessageKind kind(const Message& message) { return message.kind_; }
  static void set_kind(Message& message, detail::MessageKind kind) { message.kind_ = kind; }
  static std::uint64_t& target(Message& message) { return message.target_; }
  static void* value(Message& message) {
    return reinterpret_cast<std::byte*>(&message) + message.value_offset_;
  }
  static void destroy(Message& message) noexcept { message.type_->destroy(message); }
};

namespace detail {

struct MessageDeleter {
  void operator()(Message* message) const noexcept { MessageAccess::destroy(*message); }
};
using MessagePointer = std::unique_ptr<Message, MessageDeleter>;

// A message on its way into a function that owns it from then on. A parameter of this type is
// passed in a register, where a std::unique_ptr lies in memory; the price is that there is no
// destructor: whoever is given one takes it, or passes it on. So it is lost if another argument of
// the same call throws: what may throw comes in a statement before.
class [[nodiscard]] OwnedMessage {
 public:
  OwnedMessage(MessagePointer message) noexcept : message_(message.release()) {}
  OwnedMessage(OwnedMessage&&) noexcept = default;
  OwnedMessage(const OwnedMessage&) = delete;
  OwnedMessage& operator=(const OwnedMessage&) = delete;
  ~OwnedMessage() = default;

  // The message, with the duty to destroy it. Once.
  MessagePointer take() && noexcept { return MessagePointer(message_); }

 private:
  Message* message_;
};
static_assert(std::is_trivially_move_constructible_v<OwnedMessage> &&
                  std::is_trivially_destructible_v<OwnedMessage> &&
                  !std::is_copy_constructible_v<OwnedMessage>,
              "an OwnedMessage is passed in a register, and has one owner");

template <class T>
inline constexpr TypeOps type_ops{&typeid(T), type_name_hash<T>(), &MessageOf<T>::destroy};

template <class T>
struct MessageOf final : Message {
  template <class... A>
  explicit MessageOf(A&&... a)
      : Message(type_ops<T>, reinterpret_cast<std::byte*>(&value) -
                                 reinterpret_cast<std::byte*>(static_cast<Message*>(this))),
        value(std::forward<A>(a)...) {}

  static void destroy(Message& message) noexcept {
    auto* self = static_cast<MessageOf*>(&message);
    self->~MessageOf();
    release_block(self, sizeof(MessageOf));
  }

  T value;
};

// A block is 16-byte aligned.
template <class T>
MessagePointer make_message(T value) {
  static_assert(alignof(T) <= 16,
                "a message value is aligned to 16 bytes at most: send a std::unique_ptr to it");
  void* block = allocate_block(sizeof(MessageOf<T>));
  if constexpr (std::is_nothrow_move_constructible_v<T>) {
    return MessagePointer(new (block) MessageOf<T>(std::move(value)));
  } else {
    try {
      return MessagePointer(new (block) MessageOf<T>(std::move(value)));
    } catch (...) {
      release_block(block, sizeof(MessageOf<T>));
      throw;
    }
  }
}

}  // namespace detail

template <class T>
bool Message::is() const noexcept {
  return detail::is_same_type(*type_, detail::type_ops<std::remove_cvref_t<T>>);
}

template <class T>
T& Message::as() noexcept {
  assert(is<T>());
  return *static_cast<std::remove_cvref_t<T>*>(MessageAccess::value(*this));
}

}  // namespace greenroom
