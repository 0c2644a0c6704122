#include "greenroom/testkit/abort_note.h"

#include <unistd.h>

#include <utility>

namespace greenroom::testkit::detail {

thread_local const AbortNote* AbortNote::innermost_ = nullptr;

AbortNote::AbortNote(std::string text) : text_(std::move(text)), outer_(innermost_) {
  innermost_ = this;
  struct sigaction action = {};
  action.sa_sigaction = &on_abort;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGABRT, &action, &previous_);
}

AbortNote::~AbortNote() {
  sigaction(SIGABRT, &previous_, nullptr);
  innermost_ = outer_;
}

// abort() ends the process when this returns.
void AbortNote::on_abort(int signal, siginfo_t* info, void* context) {
  const AbortNote* note = innermost_;
  if (!note) return;
  [[maybe_unused]] const ssize_t written =
      ::write(STDERR_FILENO, note->text_.data(), note->text_.size());
  innermost_ = note->outer_;
  if ((note->previous_.sa_flags & SA_SIGINFO) != 0) {
    note->previous_.sa_sigaction(signal, info, context);
  } else if (note->previous_.sa_handler != SIG_DFL && note->previous_.sa_handler != SIG_IGN) {
    note->previous_.sa_handler(signal);
  }
}

}  // namespace greenroom::testkit::detail
