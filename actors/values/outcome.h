// Outcome: a value or the reason why there is none.
#pragma once

#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#include "greenroom/actors/values/exit_reason.h"

namespace greenroom {

// Converts to true if it holds the value. * and -> of a failed one throw std::logic_error.
template <class T>
class Outcome {
  static_assert(!std::is_same_v<T, ExitReason>,
                "an Outcome's value cannot be an ExitReason: wrap it in a struct");
  using Value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  Outcome() requires std::is_void_v<T> : content_(std::in_place_index<0>) {}
  Outcome(Value value) : content_(std::in_place_index<0>, std::move(value)) {}
  Outcome(ExitReason reason) : content_(std::in_place_index<1>, std::move(reason)) {}

  explicit operator bool() const { return content_.index() == 0; }
  Value& operator*() & { return checked(); }
  const Value& operator*() const& { return const_cast<Outcome*>(this)->checked(); }
  Value&& operator*() && { return std::move(checked()); }
  Value* operator->() { return &checked(); }
  const Value* operator->() const { return &const_cast<Outcome*>(this)->checked(); }
  // Reason::normal if it holds the value.
  const ExitReason& reason() const {
    const ExitReason* reason = std::get_if<1>(&content_);
    return reason ? *reason : Reason::normal;
  }
  template <class U>
  Value value_or(U&& other) const& {
    return *this ? **this : static_cast<Value>(std::forward<U>(other));
  }

 private:
  Value& checked() {
    if (Value* value = std::get_if<0>(&content_)) return *value;
    throw std::logic_error("Outcome: there is no value, only a reason: " + reason().to_string());
  }

  std::variant<Value, ExitReason> content_;
};

}  // namespace greenroom
