// From code addresses to functions, files and lines, functions inlined there included: by
// libbacktrace (a part of gcc), which reads DWARF and, where there is none, ELF symbol tables.
//
// Thread-safe. The first look-up reads the debug information of the program and its libraries; what
// is found is kept by address, so that a storm of crash reports costs map look-ups. A library that
// is loaded after the first look-up has no lines and only exported names. While the process has no
// descriptors to read by, addresses may have no names; they have them again afterwards.
//
// Rejected: libdw (a further package, slower to start); addr2line (a process per report); dladdr
//   alone (knows no static function, no inlined one and no line).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::detail {

struct SourceLine {
  std::string function;  // readable; an address in a module where there is no name
  std::string file;      // empty if unknown
  int line = 0;
  bool is_inlined = false;
  // The compiler has put this part of the function aside and given it no line: what was inlined
  // there is not known.
  bool is_cold_without_line = false;
};

// The lines one return address stands for, innermost first: functions inlined into one another,
// then the one that has the frame. Never empty.
using SourceLines = std::shared_ptr<const std::vector<SourceLine>>;
SourceLines symbolize(const void* return_address);
// This thread is in it. The first time takes long: debug information is read.
bool is_symbolizing() noexcept;

// Demangled, and without what no reader misses: default allocators, std::string spelled out. Text
// that is no mangled name is returned as it is.
std::string to_readable_name(std::string_view symbol);

// A path as its user knows it: relative in a Bazel build, elsewhere the file's name. A part of
// `file`; async-signal-safe.
std::string_view to_short_path(std::string_view file) noexcept;

// What is known of one line without allocating; null pointers for what is not.
struct RawLine {
  const char* function = nullptr;  // mangled; the bare name of an inlined function
  const char* file = nullptr;
  int line = 0;
  bool is_inlined = false;
  bool is_cold_without_line = false;
};

// Calls visit(data, line) for each of the lines `symbolize` would return. Async-signal-safe, above
// all once `prepare_symbolizer` was called; needs some 10 KiB of stack.
void visit_raw_lines(const void* return_address, void (*visit)(void* data, const RawLine& line),
                     void* data) noexcept;

// Makes what a signal handler would have to make otherwise. Reads no debug information.
void prepare_symbolizer() noexcept;

}  // namespace greenroom::detail
