// Whether the process could open a file now: for code that goes on without the files that it
// cannot open, and would remember for ever what it made of that.
#pragma once

namespace greenroom::detail {

// EMFILE or ENFILE if there is no descriptor to be had, otherwise 0. Async-signal-safe, and leaves
// errno alone. Only a hint: other threads open and close files meanwhile.
int lack_of_descriptors() noexcept;

}  // namespace greenroom::detail
