#include "greenroom/io/resolver/ares_query.h"

#include <ares.h>

#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/hub/interrupt.h"
#include "greenroom/scheduler/hub/park.h"

namespace greenroom::detail {

AresQuery::~AresQuery() {
  if (list_) ::ares_freeaddrinfo(list_);
}

bool AresQuery::wait(std::int64_t deadline) {
  while (state_ == State::asked) {
    const Waiting waiting(task_);
    waker_ = waiting.waker();
    const ParkResult result = park("dns.resolve", deadline);
    if (result == ParkResult::interrupted) throw_pending();
    if (result == ParkResult::expired) break;
  }
  return state_ == State::answered;
}

std::vector<Address> AresQuery::found() const {
  std::vector<Address> addresses;
  for (const ares_addrinfo_node* node = list_ ? list_->nodes : nullptr; node; node = node->ai_next)
    addresses.push_back(Address::copy(node->ai_addr, node->ai_addrlen));
  return addresses;
}

}  // namespace greenroom::detail
