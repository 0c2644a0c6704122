// Pids and monitor references: names of actors. Plain values for any thread; stale ones are
// harmless.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <type_traits>

namespace greenroom {

// Names one actor for ever: a number is not used again within any realistic time. Pid{} is nobody.
// Prints as <node.index.serial>; a node of 0 is this one.
struct Pid {
  static constexpr unsigned index_bits = 28;
  static constexpr std::uint64_t index_mask = (std::uint64_t{1} << index_bits) - 1;

  std::uint32_t node = 0;
  std::uint32_t hub = 0;     // a routing key: the port its hub listens on
  std::uint64_t number = 0;  // slot index in the low bits, serial above; unique in the process

  // As Erlang's id and serial.
  std::uint64_t index() const { return number & index_mask; }
  std::uint64_t serial() const { return number >> index_bits; }
  // Node and hub in one word.
  std::uint64_t where() const { return std::bit_cast<std::array<std::uint64_t, 2>>(*this)[0]; }
  explicit operator bool() const { return number != 0; }
  std::string to_string() const;

  friend bool operator==(const Pid&, const Pid&) = default;
  // NOLINTNEXTLINE(modernize-use-nullptr): the check stumbles over what the compiler makes of it
  friend std::strong_ordering operator<=>(const Pid& a, const Pid& b) = default;
  friend std::ostream& operator<<(std::ostream& out, const Pid& pid) {
    return out << pid.to_string();
  }
};
static_assert(sizeof(Pid) == 16 && std::is_trivially_copyable_v<Pid>);

// Names one monitor of the actor that made it.
class MonitorRef {
 public:
  MonitorRef() = default;
  MonitorRef(std::uint64_t number, Pid owner) : number_(number), owner_(owner) {}
  std::uint64_t number() const { return number_; }
  Pid owner() const { return owner_; }
  explicit operator bool() const { return number_ != 0; }
  friend bool operator==(const MonitorRef& a, const MonitorRef& b) {
    return a.number_ == b.number_;
  }
  friend auto operator<=>(const MonitorRef& a, const MonitorRef& b) {
    return a.number_ <=> b.number_;
  }
  friend std::ostream& operator<<(std::ostream& out, const MonitorRef& ref) {
    return out << "#Ref<" << ref.number_ << ">";
  }

 private:
  std::uint64_t number_ = 0;
  Pid owner_;
};

namespace detail {

inline std::size_t mix(std::uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

}  // namespace detail
}  // namespace greenroom

template <>
struct std::hash<greenroom::Pid> {
  std::size_t operator()(const greenroom::Pid& pid) const noexcept {
    return greenroom::detail::mix(pid.number + pid.node);
  }
};
template <>
struct std::hash<greenroom::MonitorRef> {
  std::size_t operator()(const greenroom::MonitorRef& ref) const noexcept {
    return greenroom::detail::mix(ref.number());
  }
};
