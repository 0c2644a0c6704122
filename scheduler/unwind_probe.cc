#include "greenroom/scheduler/unwind_probe.h"

#include <cstdint>
#include <cstring>

#include "greenroom/scheduler/landing_pad.h"

// Of libgcc's unwinder: the frame description of a function, and where that starts. Not in a header
// of it.
extern "C" {
struct dwarf_eh_bases {  // NOLINT(readability-identifier-naming)
  void* text;
  void* data;
  void* function;
};
// NOLINTNEXTLINE(readability-identifier-naming)
const void* _Unwind_Find_FDE(const void* address, dwarf_eh_bases* bases);
int __gxx_personality_v0(...);
}

namespace greenroom::detail {

namespace {

constexpr std::uint8_t encoding_omitted = 0xff;
constexpr std::uint8_t encoding_indirect = 0x80;

// Reads the tables that compilers write for exceptions: the Itanium C++ ABI's "exception handling
// tables" and, for what leads there, .eh_frame of the Linux Standard Base.
class TableReader {
 public:
  explicit TableReader(const std::uint8_t* position) : position_(position) {}

  const std::uint8_t* position() const { return position_; }
  void skip(std::uint64_t bytes) { position_ += bytes; }

  template <class T>
  T take() {
    T value;
    std::memcpy(&value, position_, sizeof value);
    position_ += sizeof value;
    return value;
  }

  std::uint64_t take_unsigned() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = take<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }

  std::int64_t take_signed() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = take<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if (byte >= 0x80) continue;
      if ((byte & 0x40) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  // The low four bits of a DW_EH_PE encoding give the size, the next three what it is added to, the
  // highest that the pointer is there. Null stays null.
  std::uintptr_t take_encoded(std::uint8_t encoding) {
    const auto here = reinterpret_cast<std::uintptr_t>(position_);
    std::uintptr_t value = take_raw(encoding & 0x0f);
    if (value == 0) return 0;
    if ((encoding & 0x70) == 0x10) value += here;
    if ((encoding & encoding_indirect) != 0)
      std::memcpy(&value, reinterpret_cast<const void*>(value), sizeof value);
    return value;
  }

  // Bytes of a fixed-size encoding.
  static std::size_t size_of(std::uint8_t encoding) {
    switch (encoding & 0x07) {
      case 0x02:
        return 2;
      case 0x03:
        return 4;
      default:
        return 8;
    }
  }

 private:
  std::uintptr_t take_raw(std::uint8_t format) {
    switch (format) {
      case 0x01:
        return take_unsigned();
      case 0x02:
        return take<std::uint16_t>();
      case 0x03:
        return take<std::uint32_t>();
      case 0x09:
        return static_cast<std::uintptr_t>(take_signed());
      case 0x0a:
        return static_cast<std::uintptr_t>(take<std::int16_t>());
      case 0x0b:
        return static_cast<std::uintptr_t>(take<std::int32_t>());
      default:
        return take<std::uint64_t>();
    }
  }

  const std::uint8_t* position_;
};

// What is written about exceptions in the function that `address` is in.
struct FunctionTables {
  std::uintptr_t start = 0;
  const std::uint8_t* language_data = nullptr;  // null: exceptions pass through
};

FunctionTables tables_of(std::uintptr_t address) noexcept {
  dwarf_eh_bases bases{};
  const void* description = _Unwind_Find_FDE(reinterpret_cast<const void*>(address), &bases);
  if (!description) return {};
  TableReader reader(static_cast<const std::uint8_t*>(description));
  reader.skip(4);  // the length
  const std::uint8_t* here = reader.position();
  const auto distance = reader.take<std::int32_t>();

  TableReader common(here - distance);
  common.skip(4 + 4 + 1);  // length, id, version
  const char* augmentation = reinterpret_cast<const char*>(common.position());
  if (*augmentation != 'z') return {};
  common.skip(std::strlen(augmentation) + 1);
  common.take_unsigned();  // code alignment
  common.take_signed();    // data alignment
  common.take_unsigned();  // the return address's register
  common.take_unsigned();  // the augmentation's size
  std::uint8_t pointer_encoding = 0;
  std::uint8_t data_encoding = encoding_omitted;
  std::uintptr_t personality = 0;
  for (const char* letter = augmentation + 1; *letter != 0; ++letter) {
    if (*letter == 'R') pointer_encoding = common.take<std::uint8_t>();
    if (*letter == 'L') data_encoding = common.take<std::uint8_t>();
    if (*letter == 'P') personality = common.take_encoded(common.take<std::uint8_t>());
  }
  if (data_encoding == encoding_omitted) return {};
  if (personality != reinterpret_cast<std::uintptr_t>(&__gxx_personality_v0)) return {};

  reader.take_encoded(pointer_encoding);         // where the function starts
  reader.take_encoded(pointer_encoding & 0x0f);  // and how long it is
  reader.take_unsigned();                        // the augmentation's size
  return {reinterpret_cast<std::uintptr_t>(bases.function),
          reinterpret_cast<const std::uint8_t*>(reader.take_encoded(data_encoding))};
}

struct Thrown {
  const std::type_info& type;
  void* object;

  // As the runtime asks; a pointer is compared by what it points to.
  bool is_caught_by(const std::type_info& handler) const noexcept {
    void* adjusted = object;
    if (type.__is_pointer_p() && object) std::memcpy(&adjusted, object, sizeof adjusted);
    return handler.__do_catch(&type, &adjusted, 1);
  }
};

enum class Passing { through, caught, terminated };

// One function's call-site table and what belongs to it.
class LanguageData {
 public:
  explicit LanguageData(const FunctionTables& tables) : start_(tables.start), pads_(tables.start) {
    TableReader reader(tables.language_data);
    const auto pads_encoding = reader.take<std::uint8_t>();
    if (pads_encoding != encoding_omitted) pads_ = reader.take_encoded(pads_encoding);
    types_encoding_ = reader.take<std::uint8_t>();
    if (types_encoding_ != encoding_omitted) {
      const std::uint64_t distance = reader.take_unsigned();
      types_ = reader.position() + distance;
    }
    site_encoding_ = reader.take<std::uint8_t>();
    const std::uint64_t size = reader.take_unsigned();
    sites_ = reader.position();
    actions_ = sites_ + size;
  }

  // What becomes of an exception that leaves the call at `address`.
  Passing pass(std::uintptr_t address, const Thrown& thrown) const noexcept {
    TableReader reader(sites_);
    while (reader.position() < actions_) {
      const std::uintptr_t site = start_ + reader.take_encoded(site_encoding_);
      const std::uintptr_t size = reader.take_encoded(site_encoding_);
      const std::uintptr_t pad = reader.take_encoded(site_encoding_);
      const std::uint64_t action = reader.take_unsigned();
      if (address < site) break;
      if (address >= site + size) continue;
      if (pad == 0) return Passing::through;
      const auto* code = reinterpret_cast<const std::uint8_t*>(pads_ + pad);
      return action == 0 ? clean_up(code) : follow(actions_ + action - 1, code, thrown);
    }
    return Passing::terminated;  // no entry: the call must not throw
  }

 private:
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
          const PadEnd end = follow_landing_pad(pad, handlers);
          return end == PadEnd::terminates ? Passing::terminated : Passing::caught;
        }
        if (thrown.is_caught_by(*handler)) return Passing::caught;
        has_others = true;
      }
      if (next == 0) return clean_up(pad);
      action = next_from + next;
    }
  }

  // Something is destroyed; then the search goes on, or the noexcept function ends that this one
  // was inlined into.
  static Passing clean_up(const std::uint8_t* pad) noexcept {
    return follow_landing_pad(pad, Handlers::none_that_fits) == PadEnd::terminates
               ? Passing::terminated
               : Passing::through;
  }

  // Null is catch (...).
  const std::type_info* type_at(std::uint64_t filter) const noexcept {
    TableReader reader(types_ - filter * TableReader::size_of(types_encoding_));
    return reinterpret_cast<const std::type_info*>(reader.take_encoded(types_encoding_));
  }

  std::uintptr_t start_;
  std::uintptr_t pads_;
  std::uint8_t types_encoding_ = encoding_omitted;
  std::uint8_t site_encoding_ = 0;
  const std::uint8_t* types_ = nullptr;
  const std::uint8_t* sites_ = nullptr;
  const std::uint8_t* actions_ = nullptr;
};

}  // namespace

bool would_terminate(UnwindContext thrower, const StackBounds& bounds, const std::type_info& type,
                     void* object) noexcept {
  const Thrown thrown{type, object};
  do {
    const std::uintptr_t call = thrower.pc - 1;
    const FunctionTables tables = tables_of(call);
    if (!tables.language_data) continue;
    const Passing passing = LanguageData(tables).pass(call, thrown);
    if (passing != Passing::through) return passing == Passing::terminated;
  } while (unwind_step(thrower, bounds));
  return false;
}

}  // namespace greenroom::detail
