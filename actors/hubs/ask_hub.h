// A question to another hub, and the wait for its answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "greenroom/actors/core/actor.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/scheduler/sync/event.h"

namespace greenroom::detail {

// **Blocks** unless that is this hub. f's answer from the hub on that port, after everything this
// hub has sent there; nothing if there is no hub, it ends first, or the wait is over.
template <class R>
std::optional<R> ask_hub(std::uint32_t port, std::function<R(Hub&)> f,
                         Wait wait = Wait::forever()) {
  Hub& here = Hub::current();
  if (port == here.id()) return f(here);
  auto answer = std::make_shared<green::AsyncResult<std::optional<R>>>();
  // The answer comes by the asker's inbox, so that it does not overtake what was sent from there
  // before. A question that is dropped, with a hub that ends, is answered with nothing.
  struct Question {
    ~Question() {
      post_to_port(asker,
                   [answer = answer, value = std::move(value)](Hub&) { answer->set(value); });
    }
    std::shared_ptr<green::AsyncResult<std::optional<R>>> answer;
    std::uint32_t asker = 0;
    std::optional<R> value;
  };
  auto question = std::make_shared<Question>();
  question->answer = answer;
  question->asker = here.id();
  const bool is_posted =
      post_to_port(port, [question, f = std::move(f)](Hub& hub) { question->value = f(hub); });
  question.reset();
  if (!is_posted) return std::nullopt;
  const Hold hold = here.hold_for_news_from(port);
  return answer->wait(wait).value_or(std::nullopt);
}

}  // namespace greenroom::detail
