#include "greenroom/scheduler/trace/symbolizer.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "greenroom/scheduler/system/descriptor_probe.h"
#include "greenroom/scheduler/unwind/loaded_modules.h"

// libbacktrace's interface, spelled out: <backtrace.h> is in a directory that only gcc looks in.
extern "C" {
struct backtrace_state;
using BacktraceError = void (*)(void* data, const char* message, int error);
using BacktraceFull = int (*)(void* data, std::uintptr_t pc, const char* file, int line,
                              const char* function);
using BacktraceSymbol = void (*)(void* data, std::uintptr_t pc, const char* symbol,
                                 std::uintptr_t value, std::uintptr_t size);
backtrace_state* backtrace_create_state(const char* file, int threaded, BacktraceError on_error,
                                        void* data);
int backtrace_pcinfo(backtrace_state* state, std::uintptr_t pc, BacktraceFull visit,
                     BacktraceError on_error, void* data);
int backtrace_syminfo(backtrace_state* state, std::uintptr_t pc, BacktraceSymbol visit,
                      BacktraceError on_error, void* data);
}

namespace greenroom::detail {
namespace {

// libbacktrace's state: lock-free and with its memory from mmap, never freed, so that a signal
// handler can use it. Null: none yet, or the last one was spoilt.
constinit std::atomic<backtrace_state*> kept_state{nullptr};

// One that reads what is known of addresses. A state remembers for ever that a file could not be
// opened; one that wanted for a descriptor is given up, and the next look-up makes another.
class Reader {
 public:
  Reader() noexcept : state_(kept_state.load()) {
    if (state_ != nullptr || lack_of_descriptors() != 0) return;
    constexpr int threaded = 1;
    backtrace_state* made = backtrace_create_state(
        nullptr, threaded, [](void*, const char*, int) {}, nullptr);
    if (kept_state.compare_exchange_strong(state_, made)) state_ = made;
  }

  // What each look-up's data begins with.
  struct Look {
    const Reader* reader;
  };

  // `look` is what `visit` gets as its data.
  void find_lines(std::uintptr_t address, BacktraceFull visit, Look* look) const noexcept {
    if (state_ != nullptr) backtrace_pcinfo(state_, address, visit, on_error, look);
  }
  void find_symbol(std::uintptr_t address, BacktraceSymbol visit, Look* look) const noexcept {
    if (state_ != nullptr) backtrace_syminfo(state_, address, visit, on_error, look);
  }

  // The first look-up of a state reads the tables of all modules, in a callback of the loader's.
  // This does it beforehand, in one of our own, so that count_unloaded_libraries knows of it.
  void read_modules() const noexcept {
    static constinit std::atomic<backtrace_state*> read_state{nullptr};
    if (state_ == nullptr || read_state.exchange(state_) == state_) return;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* reader) {
          const KnownUnloaded no_need_of_the_lock(info->dlpi_subs);
          Look look{static_cast<const Reader*>(reader)};
          constexpr std::uintptr_t nowhere = 0;
          look.reader->find_lines(
              nowhere, [](void*, std::uintptr_t, const char*, int, const char*) { return 0; },
              &look);
          return 1;
        },
        const_cast<Reader*>(this));
  }

  // No look-up until now, of any thread, has missed a file for want of a descriptor.
  bool is_whole() const noexcept { return state_ != nullptr && kept_state.load() == state_; }

 private:
  // No debug information is no error: then the callbacks come with null pointers, or not at all.
  static void on_error(void* data, const char*, int error) {
    if (error != EMFILE && error != ENFILE) return;
    backtrace_state* spoilt = static_cast<Look*>(data)->reader->state_;
    kept_state.compare_exchange_strong(spoilt, nullptr);
  }

  backtrace_state* state_;
};

// A call is looked up by its own address: the one it returns to may be another function's.
std::uintptr_t to_call(const void* return_address) {
  return reinterpret_cast<std::uintptr_t>(return_address) - 1;
}

struct Symbol : Reader::Look {
  const char* name = nullptr;  // null: unknown
  std::uintptr_t start = 0;
};

Symbol find_symbol(const Reader& reader, std::uintptr_t address) {
  Symbol symbol{{&reader}};
  const auto keep = [](void* data, std::uintptr_t, const char* name, std::uintptr_t start,
                       std::uintptr_t) {
    auto& found = static_cast<Symbol&>(*static_cast<Reader::Look*>(data));
    found.name = name;
    found.start = start;
  };
  reader.find_symbol(address, keep, &symbol);
  return symbol;
}

// libbacktrace visits inlined functions first; the last line, the one of the frame, is known to be
// it only when no other one follows.
struct Visit : Reader::Look {
  void (*visit)(void* data, const RawLine& line);
  void* data;
  RawLine last = {};
  bool has_last = false;

  static int next(void* look, std::uintptr_t, const char* file, int line, const char* function) {
    if (file == nullptr && function == nullptr) return 0;
    auto& state = static_cast<Visit&>(*static_cast<Reader::Look*>(look));
    if (state.has_last) state.visit(state.data, state.last);
    state.last = {.function = function, .file = file, .line = line, .is_inlined = true};
    state.has_last = true;
    return 0;
  }
};

void visit_known_lines(const Reader& reader, std::uintptr_t address, const Symbol& symbol,
                       void (*visit)(void* data, const RawLine& line), void* data) {
  Visit state{{&reader}, visit, data};
  reader.find_lines(address, Visit::next, &state);
  // The symbol table has the parameters, which the little debug information of -g1 leaves out.
  if (symbol.name != nullptr) state.last.function = symbol.name;
  state.last.is_inlined = false;
  visit(data, state.last);
}

RawLine innermost_line_at(const Reader& reader, std::uintptr_t address) {
  RawLine innermost;
  const auto keep_first = [](void* data, const RawLine& line) {
    auto& first = *static_cast<RawLine*>(data);
    if (first.function == nullptr && first.file == nullptr) first = line;
  };
  visit_known_lines(reader, address, {}, keep_first, &innermost);
  return innermost;
}

bool is_same_place(const RawLine& a, const RawLine& b) {
  return a.line == b.line && a.file != nullptr && b.file != nullptr &&
         std::string_view(a.file) == b.file;
}

// gcc (12) lets the cold part of a function begin without a line if it is the one it gave last:
// such an address has none, or seems to be in the line before, which is another function's.
bool is_cold_without_line(const Reader& reader, std::uintptr_t address, const Symbol& symbol) {
  if (symbol.name == nullptr || !std::string_view(symbol.name).ends_with(".cold")) return false;
  const RawLine here = innermost_line_at(reader, address);
  return here.line == 0 || is_same_place(here, innermost_line_at(reader, symbol.start - 1));
}

void visit_lines_at(const Reader& reader, std::uintptr_t address,
                    void (*visit)(void* data, const RawLine& line), void* data) {
  const Symbol symbol = find_symbol(reader, address);
  if (is_cold_without_line(reader, address, symbol))
    return visit(data, {.function = symbol.name, .is_cold_without_line = true});
  visit_known_lines(reader, address, symbol, visit, data);
}

// Readable names.

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Removes every ", name<...>": a template argument that nobody writes.
void remove_argument(std::string& text, std::string_view name) {
  const std::string start = ", " + std::string(name) + "<";
  std::size_t at = 0;
  while ((at = text.find(start, at)) != std::string::npos) {
    int depth = 1;
    std::size_t end = at + start.size();
    for (; end < text.size() && depth > 0; ++end) {
      if (text[end] == '<') ++depth;
      if (text[end] == '>' && text[end - 1] != '-') --depth;
    }
    if (end < text.size() && text[end] == ' ') ++end;  // "> >"
    text.erase(at, end - at);
  }
}

// clang numbers lambdas as "$_0"; gcc writes "{lambda(int)#1}".
void rename_lambdas(std::string& name) {
  std::size_t at = 0;
  while ((at = name.find("::$_", at)) != std::string::npos) {
    at += 2;
    std::size_t end = at + 2;
    unsigned number = 0;
    for (; end < name.size() && name[end] >= '0' && name[end] <= '9'; ++end) {
      number = number * 10 + static_cast<unsigned>(name[end] - '0');
    }
    name.replace(at, end - at, "{lambda#" + std::to_string(number + 1) + "}");
  }
}

void shorten(std::string& name) {
  if (const std::size_t clone = name.find(" [clone "); clone != std::string::npos) {
    name.resize(clone);  // what the optimiser made of it is not the reader's business
  }
  rename_lambdas(name);
  replace_all(name, "[abi:cxx11]", "");
  if (name.find("std::") != std::string::npos) {
    replace_all(name, "std::__cxx11::", "std::");
    for (const std::string_view argument :
         {"std::allocator", "std::char_traits", "std::default_delete", "std::equal_to", "std::hash",
          "std::less"}) {
      remove_argument(name, argument);
    }
    replace_all(name, "std::basic_string<char>", "std::string");
    replace_all(name, "std::basic_string_view<char>", "std::string_view");
  }
  replace_all(name, "> >", ">>");
  constexpr std::size_t longest = 240;
  if (name.size() > longest) name.replace(longest, std::string::npos, "...");
}

// What is known of one address.

std::string describe_address(std::uintptr_t address) {
  char text[64];
  Dl_info info = {};
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0 || info.dli_fname == nullptr) {
    std::snprintf(text, sizeof text, "0x%zx", static_cast<std::size_t>(address));
    return text;
  }
  if (info.dli_sname != nullptr) return to_readable_name(info.dli_sname);
  const std::string_view module = info.dli_fname;
  const auto offset = address - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  std::snprintf(text, sizeof text, "+0x%zx", static_cast<std::size_t>(offset));
  return std::string(module.substr(module.rfind('/') + 1)) + text;
}

std::vector<SourceLine> look_up(const Reader& reader, const void* return_address) {
  std::vector<SourceLine> lines;
  const auto collect = [](void* data, const RawLine& raw) {
    static_cast<std::vector<SourceLine>*>(data)->push_back(
        {.function = raw.function != nullptr ? to_readable_name(raw.function) : std::string(),
         .file = raw.file != nullptr ? raw.file : "",
         .line = raw.line,
         .is_inlined = raw.is_inlined,
         .is_cold_without_line = raw.is_cold_without_line});
  };
  visit_lines_at(reader, to_call(return_address), collect, &lines);
  SourceLine& frame = lines.back();
  if (frame.function.empty()) frame.function = describe_address(to_call(return_address));
  return lines;
}

class Cache {
 public:
  SourceLines find(const void* return_address) {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(return_address); found != known_.end()) return found->second;
    const Reader reader;
    reader.read_modules();
    auto lines = std::make_shared<const std::vector<SourceLine>>(look_up(reader, return_address));
    if (!reader.is_whole()) return lines;  // the next time more may be known
    if (known_.size() >= max_size) known_.clear();
    known_.emplace(return_address, lines);
    return lines;
  }

 private:
  static constexpr std::size_t max_size = 16384;
  std::mutex mutex_;
  std::unordered_map<const void*, SourceLines> known_;
};

}  // namespace

namespace {
constinit thread_local bool is_in_symbolize = false;
}

bool is_symbolizing() noexcept { return is_in_symbolize; }

SourceLines symbolize(const void* return_address) {
  // Never destroyed: a report may be printed while statics go.
  static Cache& cache = *new Cache;
  is_in_symbolize = true;
  SourceLines lines = cache.find(return_address);
  is_in_symbolize = false;
  return lines;
}

std::string to_readable_name(std::string_view symbol) {
  std::string name(symbol);
  if (!symbol.starts_with("_Z")) return name;
  char* demangled = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr);
  if (demangled == nullptr) return name;
  name = demangled;
  std::free(demangled);
  shorten(name);
  return name;
}

std::string_view to_short_path(std::string_view file) noexcept {
  constexpr std::string_view bazel = "/proc/self/cwd/";
  if (file.starts_with(bazel)) return file.substr(bazel.size());
  return file.starts_with('/') ? file.substr(file.rfind('/') + 1) : file;
}

void visit_raw_lines(const void* return_address, void (*visit)(void* data, const RawLine& line),
                     void* data) noexcept {
  visit_lines_at(Reader(), to_call(return_address), visit, data);
}

void prepare_symbolizer() noexcept { static_cast<void>(Reader()); }

}  // namespace greenroom::detail
