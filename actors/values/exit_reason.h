// Exit reasons: why an actor ended, as links and monitors see it.
// An immutable value of one word, cheap to copy, usable on any thread.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace greenroom {

namespace detail {
struct StackTrace;
}

// A tag and an optional detail; == compares tags. The standard ones are in Reason. What `normal`
// and `kill` mean they mean without a detail only: with one they are reasons like any other.
class ExitReason {
 public:
  ExitReason(std::string_view tag);
  ExitReason(const char* tag) : ExitReason(std::string_view(tag)) {}
  ExitReason(const std::string& tag) : ExitReason(std::string_view(tag)) {}
  // E.g. ExitReason("shutdown", Why{...}): as {shutdown, Why}. Text is kept as a std::string.
  template <class T>
  ExitReason(std::string_view tag, T detail)
      : body_(new Detailed<Kept<T>>(tag, Kept<T>(std::move(detail)))) {
    static_assert(!std::is_pointer_v<Kept<T>>,
                  "ExitReason: a detail outlives its actor and is a value, not a pointer");
  }
  // In a catch block: the reason of an actor whose body threw. The tag is "error".
  static ExitReason from_current_exception();

  ExitReason(const ExitReason& other) noexcept : body_(other.body_) { add_reference(); }
  ExitReason(ExitReason&& other) noexcept : body_(other.body_) { add_reference(); }
  ExitReason& operator=(ExitReason other) noexcept {
    std::swap(body_, other.body_);
    return *this;
  }
  ~ExitReason() { drop_reference(); }

  // One that others share. Of a standard reason without allocating.
  std::shared_ptr<const ExitReason> share() const;

  std::string_view tag() const { return body_->tag; }
  // normal, shutdown, or shutdown with a detail: no failure, and not reported.
  bool is_quiet() const { return body_->is_quiet; }
  bool has_detail() const { return body_->detail_type != nullptr; }
  // It has that tag and no detail.
  bool is_just(std::string_view other) const { return tag() == other && !has_detail(); }
  // The detail; null if there is none or it is of another type.
  template <class T>
  const T* detail() const {
    if (!body_->detail_type || *body_->detail_type != typeid(T)) return nullptr;
    return &static_cast<const Detailed<T>*>(body_)->value;
  }
  // What was thrown, if anything was.
  std::exception_ptr exception() const;
  // The stack at the throw, a line per frame; empty if nothing was thrown or it was not recorded.
  // The first one of a program reads its debug information meanwhile: tenths of a second, in which
  // a hub that asks stands still.
  std::string stack() const;
  // "error: std::runtime_error: out of tea".
  std::string to_string() const;

  friend bool operator==(const ExitReason& a, const ExitReason& b) {
    return a.body_ == b.body_ || a.body_->tag == b.body_->tag;
  }
  friend std::ostream& operator<<(std::ostream& out, const ExitReason& reason) {
    return out << reason.to_string();
  }

  // For the runtime: the parts of the standard reasons, which live for ever.
  struct Body {
    constexpr explicit Body(std::string_view reason_tag)
        : tag(reason_tag), is_static(true), is_quiet(is_quiet_reason(reason_tag, false)) {}
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;
    virtual constexpr ~Body() = default;
    virtual std::string to_string() const { return std::string(tag); }
    std::string_view tag;
    const std::type_info* detail_type = nullptr;
    mutable std::atomic<std::uint32_t> references{1};
    bool is_static;
    bool is_quiet;

   protected:
    static constexpr bool is_quiet_reason(std::string_view text, bool has_detail) {
      return text == "shutdown" || (text == "normal" && !has_detail);
    }
    constexpr Body(std::string_view reason_tag, const std::type_info* type)
        : tag(reason_tag),
          detail_type(type),
          is_static(false),
          is_quiet(is_quiet_reason(reason_tag, type != nullptr)) {}
  };
  constexpr explicit ExitReason(const Body& body) : body_(&body) {}
  // For the runtime: the stack at the throw, as addresses; null if there is none. It lives as long
  // as the reason.
  const detail::StackTrace* trace() const;

 private:
  template <class T>
  using Kept = std::conditional_t<std::is_same_v<T, const char*> || std::is_same_v<T, char*> ||
                                      std::is_same_v<T, std::string_view>,
                                  std::string, T>;
  struct Owned : Body {
    Owned(std::string_view reason_tag, const std::type_info* type)
        : Body(reason_tag, type), text(reason_tag) {
      tag = text;
    }
    std::string text;
  };
  template <class T>
  struct Detailed final : Owned {
    Detailed(std::string_view reason_tag, T detail)
        : Owned(reason_tag, &typeid(T)), value(std::move(detail)) {}
    std::string to_string() const override;
    T value;
  };
  struct Thrown;
  static const Body* body_for(std::string_view tag);

  void add_reference() const noexcept {
    if (!body_->is_static) body_->references.fetch_add(1, std::memory_order_relaxed);
  }
  void drop_reference() const noexcept {
    if (!body_->is_static && body_->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete body_;
  }

  const Body* body_;
};

// The reasons with a meaning of their own; as in Erlang.
struct Reason {
  static const ExitReason normal, shutdown, kill, killed, noproc, noconnection, timeout, deadlock,
      error;
};

namespace detail {

template <class T>
concept Streamable = requires(std::ostream& out, const T& value) {
  out << value;
};

std::string detail_text(std::string_view tag, std::string_view detail);
std::string type_text(const std::type_info& type);

}  // namespace detail
}  // namespace greenroom

#include <sstream>

namespace greenroom {

template <class T>
std::string ExitReason::Detailed<T>::to_string() const {
  if constexpr (detail::Streamable<T>) {
    std::ostringstream out;
    out << value;
    return detail::detail_text(tag, out.str());
  } else {
    return detail::detail_text(tag, detail::type_text(typeid(T)));
  }
}

}  // namespace greenroom
