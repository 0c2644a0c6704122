// What a thread says if the process aborts while it does something: an assert that fails, an
// exception that nobody catches.
#pragma once

#include <csignal>
#include <string>

namespace greenroom::testkit::detail {

// Writes the text to stderr if this thread aborts in the scope; then goes on to whoever handled
// SIGABRT before. Scopes nest.
class AbortNote {
 public:
  explicit AbortNote(std::string text);
  ~AbortNote();
  AbortNote(const AbortNote&) = delete;
  AbortNote& operator=(const AbortNote&) = delete;

 private:
  static void on_abort(int signal, siginfo_t* info, void* context);

  static thread_local const AbortNote* innermost_;
  const std::string text_;
  const AbortNote* const outer_;
  struct sigaction previous_ = {};
};

}  // namespace greenroom::testkit::detail
