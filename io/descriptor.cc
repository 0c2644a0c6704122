#include "greenroom/io/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

#include "greenroom/io/io_error.h"
#include "greenroom/scheduler/dump.h"
#include "greenroom/scheduler/event.h"
#include "greenroom/scheduler/interrupt.h"

namespace greenroom::detail {

namespace {

const char* verb_of(Direction direction) {
  return direction == Direction::read ? "reads" : "writes";
}

std::string describe_current() {
  const Hub* hub = Hub::current_if_any();
  return hub && hub->current_task() ? detail::describe(*hub->current_task()) : "hub work";
}

}  // namespace

Descriptor::Descriptor(int fd, const Address& address) : PolledFd(fd), address_(address) {}

Descriptor::~Descriptor() { assert(armed_ == interest::none && !waiters_[0] && !waiters_[1]); }

// ---- waiting ----

void Descriptor::check_free(Direction direction) const {
  const Waiter* other = waiters_[static_cast<int>(direction)];
  if (!other) [[likely]]
    return;
  throw ConcurrentUse("greenroom: " + describe_current() + " " + verb_of(direction) + " where " +
                      other->describe() + " is waiting to (descriptor " + std::to_string(fd()) +
                      " " + to_string(address_) + "): let one greenlet do it and pass the data on");
}

void Descriptor::enter(Direction direction, Waiter& waiter) {
  check_free(direction);
  settle();
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
  if ((armed_ & bit(direction)) != 0) return;
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
  tell_end(::fcntl(fd(), F_GETFD) < 0 ? EBADF : ENOSPC);
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

// ---- moving ----

// What the two hubs of a move share.
class DescriptorMove {
 public:
  static void start(const std::shared_ptr<DescriptorMove>& move, Descriptor& descriptor) {
    auto post = std::make_unique<Post>();
    post->deliver = &deliver;
    post->move = move;
    post->descriptor = &descriptor;
    if (!descriptor.home_->port->push(*post)) {
      move->done.set();  // its home has ended, and the loop with it
      return;
    }
    static_cast<void>(post.release());
  }

  green::Event done;

 private:
  struct Post final : PostNode {
    std::shared_ptr<DescriptorMove> move;
    Descriptor* descriptor = nullptr;
  };
  // On the old home. The descriptor is there: its end would come by a later post.
  static void deliver(Hub& hub, PostNode& node) {
    const std::unique_ptr<Post> post(static_cast<Post*>(&node));
    if (post->descriptor->is_at(&hub)) post->descriptor->disarm(interest::read | interest::write);
    post->move->done.set();
  }
};

void Descriptor::settle() {
  Hub& here = Hub::current();
  if (is_at(&here)) [[likely]]
    return;
  if (home_ && home_->hub) {
    if (waiters_[0] || waiters_[1]) {
      throw ConcurrentUse("greenroom: descriptor " + std::to_string(fd()) + " " +
                          to_string(address_) + " is used on hub " + std::to_string(here.id()) +
                          " while a greenlet waits for it on hub " +
                          std::to_string(home_->port->number()));
    }
    if (!move_) {
      move_ = std::make_shared<DescriptorMove>();
      DescriptorMove::start(move_, *this);
    }
    const std::shared_ptr<DescriptorMove> move = move_;
    const Hold hold = here.hold();
    move->done.wait();
    if (is_at(&here)) return;  // another greenlet of this hub waited, too, and was first
  }
  move_.reset();
  LibevPoller& poller = poller_of(here);
  armed_ = interest::none;
  exhausted_ = interest::none;
  home_ = poller.home();
}

// ---- ending ----

void Descriptor::end(std::unique_ptr<Descriptor> descriptor) noexcept {
  if (!descriptor) return;
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
  ::close(fd());
}

// ---- a greenlet that waits ----

bool wake_parked(Task& task, std::uint64_t epoch) noexcept {
  // Between an interrupt and its throw a task may be in the ready queue with an epoch that has not
  // moved.
  return task.state == TaskState::parked && wake(task, epoch);
}

TaskWaiter::TaskWaiter(Descriptor& descriptor, Direction direction, Task& task)
    : descriptor_(&descriptor),
      task_(task),
      address_(descriptor.address()),
      fd_(descriptor.fd()),
      direction_(direction) {
  descriptor.enter(direction, *this);
  poller_ = &poller_of(*task.hub);
}

TaskWaiter::~TaskWaiter() {
  if (descriptor_) descriptor_->leave(direction_, *this);
}

ParkResult TaskWaiter::park(const char* reason, std::int64_t deadline) {
  if (end_error_ != 0) throw_io_error(end_error_, reason, address_);
  epoch_ = task_.epoch;
  const ParkResult result =
      detail::park(reason, deadline, {WaitsFor::Kind::descriptor, static_cast<std::uint64_t>(fd_)});
  if (is_told_) poller_->remove_told();
  is_told_ = false;
  if (result == ParkResult::interrupted) throw_pending();
  if (end_error_ != 0) throw_io_error(end_error_, reason, address_);
  return result;
}

bool TaskWaiter::wait(const char* reason, std::int64_t deadline) {
  if (descriptor_) descriptor_->want(direction_);
  return park(reason, deadline) != ParkResult::expired;
}

void TaskWaiter::pause(const char* reason, std::int64_t deadline) {
  is_pausing_ = true;
  park(reason, deadline);
  is_pausing_ = false;
}

bool TaskWaiter::on_ready() noexcept {
  if (is_pausing_) return false;
  if (wake_parked(task_, epoch_)) {
    is_told_ = true;
    poller_->add_told();
  }
  return true;
}

void TaskWaiter::on_end(int error) noexcept {
  descriptor_ = nullptr;
  end_error_ = error;
  wake_parked(task_, epoch_);
}

std::string TaskWaiter::describe() const { return detail::describe(task_); }

}  // namespace greenroom::detail
