#include "greenroom/io/poll/libev_poller.h"

#include <ev.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <system_error>

namespace greenroom::detail {

namespace {

// A busy hub that was told of descriptors it has not got to yet polls all the same after so many
// skipped polls.
constexpr int polls_skipped_limit = 256;

static_assert(interest::read == EV_READ && interest::write == EV_WRITE);

// A hub's wake descriptor belongs to its port and is never closed, as the port is never freed: a
// thread that is about to write to it, for a hub that ends this very moment, must not hit a
// descriptor of somebody else.
std::atomic<int> wake_descriptors[Port::limit];  // 0: none yet

int wake_descriptor_of(const Port& port) {
  std::atomic<int>& slot = wake_descriptors[port.number()];
  int fd = slot.load(std::memory_order_relaxed);
  if (fd == 0) {
    fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
      throw std::system_error(errno, std::system_category(), "greenroom: a hub's wake descriptor");
    slot.store(fd, std::memory_order_relaxed);  // a port's owners are one after the other
  }
  return fd;
}

}  // namespace

bool is_wake_descriptor(int fd) noexcept {
  for (std::uint32_t port = 0; port < Port::limit && Port::at(port); ++port) {
    if (wake_descriptors[port].load(std::memory_order_relaxed) == fd) return true;
  }
  return false;
}

// Descriptors.

static_assert(sizeof(ev_io) <= 48 && alignof(ev_io) <= 8);

namespace {

ev_io& watcher_in(std::byte* storage) { return *std::launder(reinterpret_cast<ev_io*>(storage)); }

}  // namespace

PolledFd::PolledFd(int fd) : fd_(fd) { new (watcher_) ev_io{}; }

PolledFd::~PolledFd() = default;

void LibevPoller::set_interest(PolledFd& polled, std::uint8_t interest) noexcept {
  ev_io& watcher = watcher_in(polled.watcher_);
  const bool was_armed = ev_is_active(&watcher);
  ev_io_stop(loop_, &watcher);
  if (interest == interest::none) return;
  if (was_armed) {
    ev_io_modify(&watcher, interest);
  } else {
    // ev_io_init, not ev_io_modify: libev then knows that the number may stand for a new file.
    auto ready = [](struct ev_loop*, ev_io* fired, int events) {
      auto& target = *static_cast<PolledFd*>(fired->data);
      if ((events & EV_ERROR) != 0) return target.on_refused();
      target.on_ready(static_cast<std::uint8_t>(events & (EV_READ | EV_WRITE)));
    };
    ev_io_init(&watcher, ready, polled.fd_, interest);
    watcher.data = &polled;
  }
  ev_io_start(loop_, &watcher);
}

// The loop.

struct LibevPoller::Watchers {
  ev_io wake;
  ev_timer timeout;
  ev_periodic never;
};

LibevPoller::LibevPoller(Hub& hub)
    : FdPoller(hub),
      loop_(ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)),
      watchers_(std::make_unique<Watchers>()) {
  if (!loop_)
    throw std::system_error(errno, std::system_category(), "greenroom: no event loop can be made");
  try {
    wake_descriptor_ = wake_descriptor_of(hub.port());
  } catch (...) {
    ev_loop_destroy(loop_);
    throw;
  }
  auto drain = [](struct ev_loop*, ev_io* fired, int) {
    static_cast<LibevPoller*>(fired->data)->drain_wake_descriptor();
  };
  ev_io_init(&watchers_->wake, drain, wake_descriptor_, EV_READ);
  watchers_->wake.data = this;
  ev_io_start(loop_, &watchers_->wake);

  ev_timer_init(
      &watchers_->timeout, [](struct ev_loop*, ev_timer*, int) {}, 0.0, 0.0);

  // Without a periodic, libev looks every minute whether the wall clock was set; with one, the
  // kernel tells it.
  ev_periodic_init(
      &watchers_->never, [](struct ev_loop*, ev_periodic*, int) {}, 1e15, 0.0, nullptr);
  ev_periodic_start(loop_, &watchers_->never);

  hub.port().set_wake_descriptor(wake_descriptor_);
}

LibevPoller::~LibevPoller() {
  hub().port().set_wake_descriptor(-1);
  ev_loop_destroy(loop_);
}

void LibevPoller::drain_wake_descriptor() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(wake_descriptor_, &count, sizeof count);
}

void LibevPoller::poll(std::int64_t nanoseconds) {
  if (nanoseconds == 0) {
    if (told() > 0 && ++polls_skipped_ <= polls_skipped_limit) return;
    polls_skipped_ = 0;
    ev_run(loop_, EVRUN_NOWAIT);
    return;
  }
  polls_skipped_ = 0;
  if (nanoseconds == no_deadline) {
    ev_run(loop_, EVRUN_ONCE);
    return;
  }
  // libev rounds a wait up to its millisecond, so the hub does not come back too early again and
  // again.
  ev_timer& timeout = watchers_->timeout;
  ev_now_update(loop_);
  ev_timer_set(&timeout, static_cast<double>(nanoseconds) * 1e-9, 0.0);
  ev_timer_start(loop_, &timeout);
  ev_run(loop_, EVRUN_ONCE);
  ev_timer_stop(loop_, &timeout);
}

}  // namespace greenroom::detail
