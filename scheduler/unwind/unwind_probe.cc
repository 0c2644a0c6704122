#include "greenroom/scheduler/unwind/unwind_probe.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "greenroom/scheduler/unwind/frame_description.h"
#include "greenroom/scheduler/unwind/landing_pad.h"
#include "greenroom/scheduler/unwind/loaded_modules.h"
#include "greenroom/scheduler/unwind/table_reader.h"

// The one of C++; not in a header.
extern "C" int __gxx_personality_v0(...);  // NOLINT(readability-identifier-naming)

namespace greenroom::detail {

namespace {

struct Thrown {
  const std::type_info& type;
  void* object;
  Sieve sieve;

  // As the runtime asks; a pointer is compared by what it points to.
  bool is_caught_by(const std::type_info& handler) const noexcept {
    void* adjusted = object;
    if (type.__is_pointer_p() && object) std::memcpy(&adjusted, object, sizeof adjusted);
    return handler.__do_catch(&type, &adjusted, 1);
  }
};

// sieved: it comes to the sieve, of which the frame decides.
enum class Passing : std::uint8_t { through, caught, terminated, sieved };

Passing find_passing(std::uintptr_t address, const Thrown& thrown) noexcept;

// What becomes of it in a handler that throws it again, whatever it does before: the search goes on
// from there.
Passing pass_handler(const std::uint8_t* pad, const Thrown& thrown) noexcept {
  const std::uint8_t* const again = find_rethrow(pad);
  return again ? find_passing(reinterpret_cast<std::uintptr_t>(again) - 1, thrown)
               : Passing::caught;
}

// One function's call-site table and what belongs to it.
class LanguageData {
 public:
  explicit LanguageData(const FrameDescription& function)
      : start_(function.start), pads_(function.start) {
    TableReader reader(reinterpret_cast<const std::uint8_t*>(function.language_data));
    const auto pads_encoding = reader.take<std::uint8_t>();
    if (pads_encoding != TableReader::omitted) pads_ = reader.take_encoded(pads_encoding);
    types_encoding_ = reader.take<std::uint8_t>();
    if (types_encoding_ != TableReader::omitted) {
      const std::uint64_t distance = reader.take_unsigned();
      types_ = reader.position() + distance;
    }
    site_encoding_ = reader.take<std::uint8_t>();
    const std::uint64_t size = reader.take_unsigned();
    sites_ = reader.position();
    actions_ = sites_ + size;
  }

  Passing pass(std::uintptr_t address, const Thrown& thrown) const noexcept {
    const Site site = find_site(address);
    if (!site.is_known) return Passing::terminated;  // no entry: the call must not throw
    if (!site.pad) return Passing::through;
    return site.action ? follow(site.action, site.pad, thrown) : clean_up(site.pad);
  }

 private:
  struct Site {
    bool is_known = false;
    const std::uint8_t* pad = nullptr;
    const std::uint8_t* action = nullptr;  // null: something is cleaned up
  };

  Site find_site(std::uintptr_t address) const noexcept {
    TableReader reader(sites_);
    while (reader.position() < actions_) {
      const std::uintptr_t site = start_ + reader.take_encoded(site_encoding_);
      const std::uintptr_t size = reader.take_encoded(site_encoding_);
      const std::uintptr_t pad = reader.take_encoded(site_encoding_);
      const std::uint64_t action = reader.take_unsigned();
      if (address < site) break;
      if (address >= site + size) continue;
      return {.is_known = true,
              .pad = pad == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(pads_ + pad),
              .action = action == 0 ? nullptr : actions_ + action - 1};
    }
    return {};
  }

  Passing follow(const std::uint8_t* action, const std::uint8_t* pad,
                 const Thrown& thrown) const noexcept {
    bool has_others = false;
    for (;;) {
      TableReader reader(action);
      const std::int64_t filter = reader.take_signed();
      const std::uint8_t* next_from = reader.position();
      const std::int64_t next = reader.take_signed();
      if (filter > 0) {
        const std::type_info* handler = type_at(static_cast<std::uint64_t>(filter));
        if (!handler) {
          // The end of a noexcept function looks like a catch (...) where clang compiled it.
          const Handlers handlers =
              has_others ? Handlers::catch_all_after_others : Handlers::catch_all;
          return ends_in_terminate(pad, handlers) ? Passing::terminated : pass_handler(pad, thrown);
        }
        if (thrown.is_caught_by(*handler)) return pass_handler(pad, thrown);
        has_others = true;
      }
      if (next == 0) return clean_up(pad);
      action = next_from + next;
    }
  }

  // Something is destroyed; then the search goes on, or the noexcept function ends that this one
  // was inlined into.
  static Passing clean_up(const std::uint8_t* pad) noexcept {
    return ends_in_terminate(pad, Handlers::none_that_fits) ? Passing::terminated
                                                            : Passing::through;
  }

  // Null is catch (...).
  const std::type_info* type_at(std::uint64_t filter) const noexcept {
    TableReader reader(types_ - filter * TableReader::size_of(types_encoding_));
    return reinterpret_cast<const std::type_info*>(reader.take_encoded(types_encoding_));
  }

  std::uintptr_t start_;
  std::uintptr_t pads_;
  std::uint8_t types_encoding_ = TableReader::omitted;
  std::uint8_t site_encoding_ = 0;
  const std::uint8_t* types_ = nullptr;
  const std::uint8_t* sites_ = nullptr;
  const std::uint8_t* actions_ = nullptr;
};

// What becomes of an exception that leaves the call at `address`.
Passing find_passing(std::uintptr_t address, const Thrown& thrown) noexcept {
  FrameDescription function;
  if (!find_frame_description(address, function) || function.language_data == 0 ||
      function.personality != reinterpret_cast<std::uintptr_t>(&__gxx_personality_v0))
    return Passing::through;
  if (function.start == thrown.sieve.function) return Passing::sieved;
  return LanguageData(function).pass(address, thrown);
}

// Answers that are kept.

// The types asked about, few in a program, by number from 1 on; 0: one too many, or a pointer, of
// which a handler may ask what it points to. A type that was unloaded leaves its number to the one
// that comes to its address.
std::uint64_t number_of(const std::type_info& type) noexcept {
  static constinit std::array<std::atomic<const std::type_info*>, 15> types = {};
  if (type.__is_pointer_p()) return 0;
  for (std::size_t i = 0; i < types.size(); ++i) {
    // Relaxed: only the addresses are compared.
    const std::type_info* known = types[i].load(std::memory_order_relaxed);
    if (known == nullptr && types[i].compare_exchange_strong(known, &type)) known = &type;
    if (known == &type) return i + 1;
  }
  return 0;
}

// An answer and what it is about in one word, so that no reader sees half of one:
//   address (47 bits) | number of the type (4) | Passing (2)
class KnownPassings {
 public:
  Passing find(std::uintptr_t address, std::uint64_t type, const Thrown& thrown) noexcept {
    if (type == 0) return find_passing(address, thrown);
    const std::uint64_t key = (std::uint64_t{address} << 4 | type) << 2;
    std::atomic<std::uint64_t>& slot = slots_[(key * 0x9e3779b97f4a7c15u) >> (64 - bits)];
    // Relaxed: the word is the whole message.
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    if ((word & ~std::uint64_t{3}) == key) return static_cast<Passing>(word & 3);
    const Passing passing = find_passing(address, thrown);
    slot.store(key | static_cast<std::uint64_t>(passing), std::memory_order_relaxed);
    return passing;
  }

  void forget() noexcept {
    for (auto& slot : slots_) slot.store(0, std::memory_order_relaxed);
  }

 private:
  static constexpr unsigned bits = 11;
  std::array<std::atomic<std::uint64_t>, 1u << bits> slots_ = {};
};

// One for the process, as its code is.
constinit KnownPassings known_passings;

// Where a library was unloaded, another one may be by now, with other functions at the same
// addresses. What is on a stack that is walked, or thrown, is still loaded, so nothing that is
// noted meanwhile can be about what was unloaded.
void forget_what_was_unloaded() noexcept {
  static constinit std::atomic<std::uint64_t> seen = 0;
  const std::uint64_t unloaded = count_unloaded_libraries();
  // acquire pairs with the release below: who reads the new count finds the tables empty.
  if (seen.load(std::memory_order_acquire) == unloaded) return;
  known_passings.forget();
  forget_unwind_rules();
  seen.store(unloaded, std::memory_order_release);
}

}  // namespace

bool would_terminate(UnwindContext thrower, const StackBounds& bounds, const std::type_info& type,
                     void* object, Sieve sieve) noexcept {
  forget_what_was_unloaded();
  const Thrown thrown{type, object, sieve};
  const std::uint64_t number = number_of(type);
  do {
    Passing passing = known_passings.find(thrower.pc - 1, number, thrown);
    if (passing == Passing::sieved)
      passing = thrower.fp == sieve.taking_frame ? Passing::caught : Passing::through;
    if (passing != Passing::through) return passing == Passing::terminated;
  } while (unwind_step(thrower, bounds));
  return false;
}

}  // namespace greenroom::detail
