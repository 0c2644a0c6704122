// sleep and yield.
#pragma once

#include <chrono>
#include <type_traits>

namespace greenroom {

// **Blocks.** for the duration; zero or less yields. As gevent.sleep and timer:sleep/1.
void sleep(std::chrono::nanoseconds duration);
// A number without a unit would silently call POSIX sleep(): write sleep(1s), or yield() for
// sleep(0).
template <class T>
requires std::is_arithmetic_v<T>
void sleep(T) = delete;

// **Blocks.** until everything that is ready now has had its turn. As gevent.sleep(0).
void yield();

}  // namespace greenroom
