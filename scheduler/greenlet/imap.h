// What Group::imap and imap_unordered are made of.
//
// A greenlet of its own, the feeder, walks the range and starts a worker in the group for each
// item, as soon as there is room. What a worker has left is taken up in a turn behind what was
// ready at its end, and the reader is resumed in a turn after that: programs of gevent's see the
// same order. The reader may live on any hub, the feeder and the workers on the one that asked for
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "greenroom/scheduler/greenlet/greenlet.h"
#include "greenroom/scheduler/greenlet/group_core.h"
#include "greenroom/scheduler/greenlet/results.h"
#include "greenroom/scheduler/hub/park.h"
#include "greenroom/scheduler/hub/turn.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/scheduler/system/crossing.h"
#include "greenroom/scheduler/time/time.h"

namespace greenroom::detail {

// What a function of a range's items is called with: the item itself, if it is one that stays where
// it is, or a copy.
template <class Range, class Reference = std::ranges::range_reference_t<Range&>>
using MapItem =
    std::conditional_t<std::ranges::forward_range<Range&> && std::is_lvalue_reference_v<Reference>,
                       Reference, std::ranges::range_value_t<Range&>>;

template <class F, class Range>
using MapReturn = std::invoke_result_t<F&, MapItem<std::remove_reference_t<Range>>>;

// A list of nobody's is gone with the expression that it stands in: its items are copied.
template <class Range>
struct KeptRange {
  using type = Range;
};
template <class T>
struct KeptRange<std::initializer_list<T>> {
  using type = std::vector<T>;
};

template <class R>
using MapResult = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

// What a greenlet of a map runs: f, which outlives it, with its item.
template <class F, class Item>
class MapCall {
 public:
  template <class Reference>
  MapCall(F& f, Reference&& item) : f_(&f), item_(hold(std::forward<Reference>(item))) {}
  auto operator()() -> std::invoke_result_t<F&, Item> {
    if constexpr (std::is_lvalue_reference_v<Item>) {
      return std::invoke(*f_, *item_);
    } else {
      return std::invoke(*f_, std::move(item_));
    }
  }

 private:
  using Held = std::conditional_t<std::is_lvalue_reference_v<Item>,
                                  std::add_pointer_t<std::remove_reference_t<Item>>, Item>;
  template <class Reference>
  static Held hold(Reference&& item) {
    if constexpr (std::is_lvalue_reference_v<Item>) {
      return &item;
    } else {
      return Held(std::forward<Reference>(item));
    }
  }

  F* f_;
  Held item_;
};

enum class ImapOrder : std::uint8_t { of_items, of_ends };

// All of an imap that knows neither its function nor its range. Kept by the reader, the feeder, the
// workers and the ready queue.
class ImapCore : public Turn {
 public:
  // For the reader. **Blocks.** until the next worker's end can be read; null: all were. Throws
  // what the range threw, after all else, and TimeoutError.
  green::Greenlet<> next(Wait wait);
  // For the reader. **Blocks.** Ends the feeder and the workers; false: one of them is the caller,
  // or it is hub work, and they end later.
  bool cancel() noexcept;

 protected:
  ImapCore(std::shared_ptr<GroupCore> group, ImapOrder order, std::size_t max_size,
           Destroy destroy);
  virtual ~ImapCore() = default;

  // For the feeder. **Blocks.** until a worker may be started, for which a slot of the group is
  // taken then.
  void wait_for_room();
  // One worker; made before it.
  class Place;
  Place* make_place();
  static void drop(Place& place) noexcept;
  void note_started(Place& place, GreenletTask& worker) noexcept;
  // The range is at its end, or has thrown that.
  void end_feeding(std::exception_ptr error) noexcept;
  // It has not come to that: GreenletExit.
  void end_unfed() noexcept;

  GroupCore& group() { return *group_; }
  void set_feeder(green::Greenlet<> feeder) { feeder_ = std::move(feeder); }

 private:
  static void resume_reader(Turn& turn) noexcept;
  void take_up(Place& place) noexcept;
  void call_reader() noexcept;
  bool has_next() const { return !ended_.empty() && ended_.front(); }
  bool is_over() const { return is_fed_ && running_ == 0 && ended_.empty(); }

  const std::shared_ptr<GroupCore> group_;
  const ImapOrder order_;
  std::optional<green::Semaphore> unread_;  // none: any number may be
  green::Greenlet<> feeder_;

  SharedMutex mutex_;
  std::deque<green::Greenlet<>> ended_;  // in order, the next to be read in front; null: not yet
  std::size_t next_ = 0;                 // the index of the item that is in front
  std::size_t started_ = 0;
  std::size_t running_ = 0;  // started and not taken up
  Place* first_running_ = nullptr;
  bool is_fed_ = false;
  bool has_asked_ = false;  // the reader has made room already for what it waits for
  std::exception_ptr range_error_;
  WaitNode* reader_ = nullptr;  // parked, and nobody has woken it
};

template <class F, class Range>
class ImapSource;

template <class F, class Range>
class Imap final : public ImapCore {
 public:
  using Return = MapReturn<F, Range>;

  // The first reference is the caller's.
  static Imap& start(std::shared_ptr<GroupCore> group, ImapOrder order, std::size_t max_size, F f,
                     Range&& range) {
    auto* const self =
        new Imap(std::move(group), order, max_size, std::move(f), std::forward<Range>(range));
    try {
      add_reference(*self);
      Feeding feeding(self);
      self->set_feeder(green::spawn([feeding = std::move(feeding)] { feeding->feed(); }));
    } catch (...) {
      drop_reference(*self);
      throw;
    }
    return *self;
  }

 private:
  class Kept {
   public:
    explicit Kept(Imap& imap) : imap_(&imap) { add_reference(imap); }
    Kept(const Kept& other) : Kept(*other.imap_) {}
    Kept& operator=(const Kept&) = delete;
    ~Kept() { drop_reference(*imap_); }
    Imap* operator->() const { return imap_; }

   private:
    Imap* imap_;
  };
  // The feeder's. One that never ran, as it was killed before, leaves nobody waiting for it.
  struct EndOfFeeding {
    void operator()(Imap* imap) const noexcept {
      imap->end_unfed();
      drop_reference(*imap);
    }
  };
  using Feeding = std::unique_ptr<Imap, EndOfFeeding>;
  using Call = MapCall<F, MapItem<std::remove_reference_t<Range>>>;
  struct Worker {
    Kept imap;
    Call call;
    Return operator()() { return call(); }
  };

  Imap(std::shared_ptr<GroupCore> group, ImapOrder order, std::size_t max_size, F f, Range&& range)
      : ImapCore(std::move(group), order, max_size,
                 [](Turn& turn) noexcept { delete static_cast<Imap*>(&turn); }),
        job_(Job{std::move(f), std::forward<Range>(range)}) {}
  ~Imap() override = default;

  void feed() noexcept {
    std::exception_ptr error;
    try {
      for (auto&& item : job_->range) {
        wait_for_room();
        start_worker(std::forward<decltype(item)>(item));
      }
    } catch (...) {
      error = std::current_exception();  // the reader is told
    }
    end_feeding(std::move(error));
  }

  template <class Reference>
  void start_worker(Reference&& item) {
    std::optional<Worker> worker;
    Place* place = nullptr;
    try {
      worker.emplace(Worker{Kept(*this), Call(job_->f, std::forward<Reference>(item))});
      place = make_place();
    } catch (...) {
      group().give_slot();
      throw;
    }
    try {
      note_started(*place, group().spawn_in_slot(std::move(*worker)).task());
    } catch (...) {
      drop(*place);
      throw;
    }
  }

  friend class ImapSource<F, Range>;
  // The reader has gone, and nobody uses the function or the range any more: they may refer to what
  // is the reader's.
  void forget() noexcept { job_.reset(); }

  struct Job {
    F f;
    typename KeptRange<Range>::type
        range;  // a reference to the caller's, which must outlive this, or the range
  };
  std::optional<Job> job_;
};

template <class F, class Range>
class ImapSource final : public ResultSource<MapResult<MapReturn<F, Range>>> {
 public:
  explicit ImapSource(Imap<F, Range>& imap) : imap_(imap) {}
  ~ImapSource() override {
    if (imap_.cancel()) imap_.forget();
    drop_reference(imap_);
  }
  std::optional<MapResult<MapReturn<F, Range>>> next(Wait wait) override {
    const green::Greenlet<> ended = imap_.next(wait);
    if (!ended) return std::nullopt;
    return take_result<MapReturn<F, Range>>(ended.task());
  }

 private:
  Imap<F, Range>& imap_;
};

}  // namespace greenroom::detail
