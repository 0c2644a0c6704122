// A question to another hub, and the wait for its answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "greenroom/actors/actor.h"
#include "greenroom/actors/placement.h"
#include "greenroom/scheduler/event.h"

namespace greenroom::detail {

// **Blocks** unless that is this hub. f's answer from the hub on that port, after everything this
// hub has sent there; nothing if there is no hub, or it ends first.
template <class R>
std::optional<R> ask_hub(std::uint32_t port, std::function<R(Hub&)> f) {
  Hub& here = Hub::current();
  if (port == here.id()) return f(here);
  auto answer = std::make_shared<green::AsyncResult<std::optional<R>>>();
  // Dropped unanswered, with a hub that ends, it answers with nothing.
  auto promise = std::shared_ptr<void>(nullptr, [answer](void*) {
    if (!answer->ready()) answer->set(std::nullopt);
  });
  const bool is_posted =
      post_to_port(port, [answer, promise = std::move(promise), f = std::move(f)](Hub& hub) {
        answer->set(std::optional<R>(f(hub)));
      });
  return is_posted ? answer->get() : std::nullopt;
}

}  // namespace greenroom::detail
