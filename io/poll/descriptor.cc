#include "greenroom/io/poll/descriptor.h"

#include <cassert>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "greenroom/io/poll/descriptor_move.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/socket/socket_calls.h"
#include "greenroom/scheduler/hub/hub.h"
#include "greenroom/scheduler/task/describe.h"

namespace greenroom::detail {

namespace {

std::string describe_current() {
  const Hub* hub = Hub::current_if_any();
  return hub && hub->current_task() ? detail::describe(*hub->current_task()) : "hub work";
}

}  // namespace

Descriptor::Descriptor(int fd, const Address& address) : PolledFd(fd), address_(address) {}

Descriptor::~Descriptor() { assert(armed_ == interest::none && !waiters_[0] && !waiters_[1]); }

// Waiting.

const char* Descriptor::verb_of(Direction direction) const {
  return direction == Direction::read ? "reads" : "writes";
}

void Descriptor::check_free(Direction direction) const {
  const Waiter* other = waiters_[static_cast<int>(direction)];
  if (!other) [[likely]]
    return;
  throw ConcurrentUse("greenroom: " + describe_current() + " " + verb_of(direction) + " where " +
                      other->describe() + " is waiting to (descriptor " + std::to_string(fd()) +
                      " " + to_string(address_) + "): let one greenlet do it and pass the data on");
}

void Descriptor::prepare(Direction direction, Wait wait) {
  if (home_ && !is_at(Hub::current_if_any())) [[unlikely]]
    settle(wait.to_deadline());
  check_free(direction);
}

void Descriptor::enter(Direction direction, Waiter& waiter, std::int64_t deadline) {
  check_free(direction);
  settle(deadline);
  check_free(direction);  // settle may have parked
  slot(direction) = &waiter;
  home_->poller->add_waiter();
}

void Descriptor::leave(Direction direction, [[maybe_unused]] Waiter& waiter) noexcept {
  assert(slot(direction) == &waiter);
  slot(direction) = nullptr;
  home_->poller->remove_waiter();
}

void Descriptor::want(Direction direction) noexcept {
  assert(is_at(Hub::current_if_any()));
  if (is_armed(direction)) return;
  armed_ |= bit(direction);
  home_->poller->set_interest(*this, armed_);
}

void Descriptor::disarm(std::uint8_t bits) noexcept {
  armed_ &= static_cast<std::uint8_t>(~bits);
  home_->poller->set_interest(*this, armed_);
}

void Descriptor::on_ready(std::uint8_t ready) noexcept {
  if ((ready & interest::read) != 0) tell(Direction::read);
  if ((ready & interest::write) != 0) tell(Direction::write);
}

void Descriptor::tell(Direction direction) noexcept {
  set_exhausted(direction, false);
  Waiter* waiter = slot(direction);
  if (!waiter || !waiter->on_ready()) disarm(bit(direction));
}

void Descriptor::on_refused() noexcept {
  armed_ = interest::none;
  tell_end(ENOSPC);
}

void Descriptor::tell_end(int error) noexcept {
  for (Waiter*& entry : waiters_) {
    Waiter* waiter = entry;
    if (!waiter) continue;
    entry = nullptr;
    home_->poller->remove_waiter();
    waiter->on_end(error);
  }
}

// Moving.

namespace {

// The first descriptor of a hub needs an event loop, which needs descriptors.
FdPoller& poller_for(Hub& hub, const Address& address) {
  try {
    return poller_of(hub);
  } catch (const std::system_error& error) {
    throw_io_error(error.code().value(), "io.poll", address);
  }
}

}  // namespace

void Descriptor::settle(std::int64_t deadline) {
  Hub& here = Hub::current();
  if (is_at(&here)) [[likely]]
    return;
  if (home_ && home_->hub) {
    leave_home(here, deadline);
    if (is_at(&here)) return;  // another greenlet of this hub waited, too, and was first
  }
  FdPoller& poller = poller_for(here, address_);
  if (poller.is_simulated() != is_simulated(fd())) {
    throw std::logic_error("greenroom: a socket is either a simulation's or the kernel's; make " +
                           to_string(address_) + " where it is used");
  }
  armed_ = interest::none;
  exhausted_ = interest::none;
  home_ = poller.home();
}

void Descriptor::leave_home(Hub& here, std::int64_t deadline) {
  if (waiters_[0] || waiters_[1]) {
    throw ConcurrentUse("greenroom: descriptor " + std::to_string(fd()) + " " +
                        to_string(address_) + " is used on hub " + std::to_string(here.id()) +
                        " while a greenlet waits for it on hub " +
                        std::to_string(home_->port->number()));
  }
  const Address address = address_;
  if (!move_) {
    move_ = std::make_shared<DescriptorMove>(*this);
    DescriptorMove::ask(move_, *home_->port);
  }
  const std::shared_ptr<DescriptorMove> move = move_;
  const Hold hold = here.hold();
  ++move->waiting;
  bool is_in_time = false;
  try {
    is_in_time = move->done.wait(to_wait(deadline));
  } catch (...) {
    if (!move->has_descriptor_ended) give_up(*move);
    throw;
  }
  if (move->has_descriptor_ended) throw_io_error(EBADF, "tcp.move", address);
  if (!is_in_time) {
    give_up(*move);
    throw_io_error(ETIMEDOUT, "tcp.move", address);
  }
  if (!std::exchange(move->is_complete, true)) home_.reset();
  if (--move->waiting == 0) move_.reset();
}

void Descriptor::give_up(DescriptorMove& move) noexcept {
  if (--move.waiting > 0) return;
  abandon_move(move);
  move_.reset();
}

void Descriptor::abandon_move(DescriptorMove& move) noexcept {
  if (!move.is_complete && !move.cancel()) home_.reset();  // the old home has let it go just now
}

// Ending.

void Descriptor::end(std::unique_ptr<Descriptor> descriptor) noexcept {
  if (!descriptor) return;
  if (const std::shared_ptr<DescriptorMove> move = std::move(descriptor->move_)) {
    move->has_descriptor_ended = true;
    descriptor->abandon_move(*move);
    move->done.set();
  }
  const std::shared_ptr<PollerHome> home = descriptor->home_;
  if (home && home->hub && !descriptor->is_at(Hub::current_if_any())) {
    PostNode& post = *descriptor;
    post.deliver = [](Hub&, PostNode& node) {
      const std::unique_ptr<Descriptor> delivered(static_cast<Descriptor*>(&node));
      delivered->end_here();
    };
    Descriptor* const in_flight = descriptor.release();
    if (home->port->push(post)) return;
    descriptor.reset(in_flight);
  }
  descriptor->end_here();
}

void Descriptor::end_here() noexcept {
  if (home_ && home_->hub) {
    tell_end(EBADF);
    if (armed_ != interest::none) disarm(armed_);
  }
  armed_ = interest::none;
  sockets::close(fd());
}

}  // namespace greenroom::detail
