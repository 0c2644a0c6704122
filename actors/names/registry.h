// Names of actors, for the whole process. Shared and locked: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "greenroom/actors/values/pid.h"

namespace greenroom {

// Nobody has that name.
struct NoSuchName : std::runtime_error {
  explicit NoSuchName(std::string_view name)
      : std::runtime_error("no actor is registered as '" + std::string(name) + "'") {}
};
// The name is empty or taken, or the actor is dead.
struct BadName : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Who has the name now. As erlang:whereis/1.
std::optional<Pid> whereis(std::string_view name);
// All names, sorted.
std::vector<std::string> registered();

namespace detail {

// False if it is taken.
bool claim_name(std::string_view name, Pid pid);
// **Blocks.** until somebody has the name: who it is, or nobody if the deadline came first. Only
// those who wait for this name are woken when it is taken, and each looks for itself.
Pid wait_for_name(std::string_view name, std::int64_t deadline);
// Frees it if it is that actor's; false if it is not.
bool free_name(std::string_view name, Pid pid);
// Looks at every name there is.
std::vector<std::string> names_of(Pid pid);

}  // namespace detail
}  // namespace greenroom
