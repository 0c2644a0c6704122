// Whether the code of a landing pad leads to std::terminate, and where its handlers throw again.
//
// For unwind_probe: when a function is inlined into a noexcept one, and has something to destroy,
// the compiler's tables say only "something is to be destroyed here", and the code then ends in
// std::terminate. Follows jumps and both sides of branches through compiled x86-64 code. Where it
// meets what it does not know, the answer is no. Thread-safe, allocates nothing.
#pragma once

#include <cstdint>

namespace greenroom::detail {

// What the table says the pad leads to, as far as the exception in question goes.
enum class Handlers : std::uint8_t {
  none_that_fits,          // it is only passed through, perhaps past handlers of other types
  catch_all,               // or the end of a noexcept function compiled by clang
  catch_all_after_others,  // the same, after handlers of other types
};

// True if on no way the unwinder gets the exception back, or a handler of that function takes it:
// then only std::terminate is left.
bool ends_in_terminate(const std::uint8_t* pad, Handlers handlers) noexcept;

// For a pad whose handlers take the exception: where the call returns to by which they throw it
// again, or another one instead. Null if there is none, or if a handler may be left otherwise.
const std::uint8_t* find_rethrow(const std::uint8_t* pad) noexcept;

}  // namespace greenroom::detail
