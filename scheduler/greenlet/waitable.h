// green::wait and iwait: for several objects, whichever become ready first.
//
// What can be waited for so has a list of ReadyLinks, which it tells under its lock, and a
// WaitableOps. A link that was told takes a turn on the hub that waits (turn.h): so the one who
// waits sees each object in the place in which gevent's notifier would have told it.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/ready_link.h"
#include "greenroom/scheduler/greenlet/results.h"
#include "greenroom/scheduler/sync/event.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom {

namespace detail {

// What a kind of object that can be waited for does; one constant for each.
struct WaitableOps {
  bool (*is_ready)(const void* object);
  // Hangs the link on. False, and it does not: the object is ready.
  bool (*link)(void* object, ReadyLink& link);
  // The object does not know the link any more; one that was told is, too, once its turn has come.
  void (*unlink)(void* object, ReadyLink& link) noexcept;
  // It may be unready again when the link's turn comes, and then does not count.
  bool may_pass = false;
  // Of an object that a Waitable keeps; null: it outlives the Waitable.
  void (*add_reference)(void* object) noexcept = nullptr;
  void (*drop_reference)(void* object) noexcept = nullptr;
};

extern const WaitableOps waitable_greenlet;
extern const WaitableOps waitable_event;
extern const WaitableOps waitable_semaphore;

}  // namespace detail

namespace green {

// Something that wait() and iwait() wait for: a greenlet until it has ended; an Event or an
// AsyncResult, which must outlive it, until it is set; a Semaphore, likewise, until a permit is
// free, of which it takes none. Of any hub. Equal if they are the same object: *next == event.
class Waitable {
 public:
  template <class T>
  Waitable(const Greenlet<T>& greenlet) : Waitable(detail::waitable_greenlet, &greenlet.task()) {}
  Waitable(Event& event) : Waitable(detail::waitable_event, &event) {}
  template <class T>
  Waitable(AsyncResult<T>& result) : Waitable(result.event_) {}
  Waitable(Semaphore& semaphore) : Waitable(detail::waitable_semaphore, &semaphore) {}
  // For further kinds.
  Waitable(const detail::WaitableOps& ops, void* object) : ops_(&ops), object_(object) { keep(); }

  Waitable(const Waitable& other) : ops_(other.ops_), object_(other.object_) { keep(); }
  Waitable& operator=(Waitable other) noexcept {
    std::swap(ops_, other.ops_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~Waitable() {
    if (ops_->drop_reference) ops_->drop_reference(object_);
  }

  // It is ready now.
  bool ready() const { return ops_->is_ready(object_); }
  friend bool operator==(const Waitable& a, const Waitable& b) { return a.object_ == b.object_; }

  // For the runtime.
  const detail::WaitableOps& ops() const { return *ops_; }
  const void* object() const { return object_; }
  bool link(detail::ReadyLink& link) const { return ops_->link(object_, link); }
  void unlink(detail::ReadyLink& link) const noexcept { ops_->unlink(object_, link); }

 private:
  void keep() const {
    if (ops_->add_reference) ops_->add_reference(object_);
  }

  const detail::WaitableOps* ops_;
  void* object_;
};

struct WaitOptions {
  Wait timeout = Wait::forever();  // for all of it
  std::size_t count = 0;           // that so many are ready is enough; 0: all
};

// **Blocks.** until all are ready, or as many as the options say, or the wait is over. Those that
// are, in the order in which they became so; an object that is given twice counts twice. As
// gevent.wait of a list.
std::vector<Waitable> wait(std::vector<Waitable> objects, WaitOptions options = {});

// The same one by one, as they become ready: for (const auto& ready : iwait({a, b})). It ends, too,
// when the time is over, which is counted from the first one asked for. One that is dropped before
// its end leaves nothing on the objects. For the hub on which the first one is asked for:
// std::logic_error on another. As gevent.iwait.
Results<Waitable> iwait(std::vector<Waitable> objects, WaitOptions options = {});

// The same of any range of greenlets: a std::vector<Greenlet<int>>, say.
template <RangeOfGreenlets R>
std::vector<Waitable> wait(R&& greenlets, WaitOptions options = {}) {
  return wait(std::vector<Waitable>(std::ranges::begin(greenlets), std::ranges::end(greenlets)),
              options);
}
template <RangeOfGreenlets R>
Results<Waitable> iwait(R&& greenlets, WaitOptions options = {}) {
  return iwait(std::vector<Waitable>(std::ranges::begin(greenlets), std::ranges::end(greenlets)),
               options);
}

}  // namespace green
}  // namespace greenroom
