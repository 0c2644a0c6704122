#include "greenroom/io/resolver/thread_resolver.h"

#include <netdb.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "greenroom/io/resolver/resolve_error.h"
#include "greenroom/scheduler/greenlet/offload.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/sync/event.h"

namespace greenroom::detail {

namespace {

// What the greenlet and the thread share; the greenlet may leave first.
struct Lookup {
  tcp::Endpoint endpoint;
  std::vector<Address> found;
  std::error_code error;
  Hold hold;
  green::Event done;

  void run() {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int result =
        ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, &::freeaddrinfo);
    if (result != 0) error = getaddrinfo_error(result, errno);
    for (const addrinfo* entry = list; entry; entry = entry->ai_next)
      found.push_back(Address::copy(entry->ai_addr, entry->ai_addrlen));
    if (result == 0 && found.empty()) error = getaddrinfo_error(EAI_NONAME, 0);
    done.set();
    hold.release();
  }
};

// Lookups whose turn has not come; one that its greenlet has left is gone by itself.
struct Turns {
  std::mutex mutex;
  std::deque<std::weak_ptr<Lookup>> waiting;
  int running = 0;
};

Turns& turns() {
  static auto* turns = new Turns;  // used until the last thread has ended
  return *turns;
}

std::shared_ptr<Lookup> take_next() {
  Turns& shared = turns();
  const std::lock_guard lock(shared.mutex);
  while (!shared.waiting.empty()) {
    const std::weak_ptr<Lookup> next = std::move(shared.waiting.front());
    shared.waiting.pop_front();
    if (std::shared_ptr<Lookup> lookup = next.lock()) return lookup;
  }
  --shared.running;
  return nullptr;
}

void take_turn(const std::shared_ptr<Lookup>& lookup) {
  Turns& shared = turns();
  {
    const std::lock_guard lock(shared.mutex);
    shared.waiting.push_back(lookup);
    if (shared.running == thread_lookup_limit) return;
    ++shared.running;
  }
  try {
    run_on_pool([] {
      while (const std::shared_ptr<Lookup> next = take_next()) next->run();
    });
  } catch (...) {
    const std::lock_guard lock(shared.mutex);
    if (--shared.running == 0) throw;  // otherwise one of them will come to it
  }
}

}  // namespace

std::vector<Address> look_up_on_thread(Hub& hub, const tcp::Endpoint& endpoint,
                                       std::int64_t deadline) {
  auto lookup = std::make_shared<Lookup>();
  lookup->endpoint = endpoint;
  lookup->hold = hub.hold();
  try {
    take_turn(lookup);
  } catch (const std::system_error& error) {
    throw_resolve_error(error.code(), endpoint);
  }
  if (!lookup->done.wait(to_wait(deadline)))
    throw_resolve_error(std::make_error_code(std::errc::timed_out), endpoint);
  if (lookup->error) throw_resolve_error(lookup->error, endpoint);
  return lookup->found;
}

}  // namespace greenroom::detail
