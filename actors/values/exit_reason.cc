#include "greenroom/actors/values/exit_reason.h"

#include <new>

#include "greenroom/scheduler/task/describe.h"
#include "greenroom/scheduler/trace/stack_trace.h"
#include "greenroom/scheduler/trace/throw_hook.h"

namespace greenroom {

namespace {

// Never destroyed: reasons in static objects are dropped until the very end of the process.
union Immortal {
  constexpr explicit Immortal(std::string_view tag) : body(tag) {}
  constexpr ~Immortal() {}
  ExitReason::Body body;
};

constinit Immortal normal_body("normal");
constinit Immortal shutdown_body("shutdown");
constinit Immortal kill_body("kill");
constinit Immortal killed_body("killed");
constinit Immortal noproc_body("noproc");
constinit Immortal noconnection_body("noconnection");
constinit Immortal timeout_body("timeout");
constinit Immortal deadlock_body("deadlock");
constinit Immortal error_body("error");

constexpr const ExitReason::Body* standard[] = {
    &normal_body.body,  &shutdown_body.body, &kill_body.body,
    &killed_body.body,  &noproc_body.body,   &noconnection_body.body,
    &timeout_body.body, &deadlock_body.body, &error_body.body};

}  // namespace

constinit const ExitReason Reason::normal(normal_body.body);
constinit const ExitReason Reason::shutdown(shutdown_body.body);
constinit const ExitReason Reason::kill(kill_body.body);
constinit const ExitReason Reason::killed(killed_body.body);
constinit const ExitReason Reason::noproc(noproc_body.body);
constinit const ExitReason Reason::noconnection(noconnection_body.body);
constinit const ExitReason Reason::timeout(timeout_body.body);
constinit const ExitReason Reason::deadlock(deadlock_body.body);
constinit const ExitReason Reason::error(error_body.body);

// Texts are made when somebody reads them: under a storm of crashes most are not.
struct ExitReason::Thrown final : Owned {
  Thrown(std::exception_ptr thrown, const detail::StackTrace* trace)
      : Owned("error", nullptr), exception(std::move(thrown)) {
    if (trace) stack = std::make_unique<detail::StackTrace>(*trace);
  }
  std::string to_string() const override {
    try {
      std::rethrow_exception(exception);
    } catch (...) {
      return "error: " + detail::current_exception_text();
    }
  }
  std::exception_ptr exception;
  std::unique_ptr<const detail::StackTrace> stack;
};

const ExitReason::Body* ExitReason::body_for(std::string_view tag) {
  for (const Body* body : standard) {
    if (body->tag == tag) return body;
  }
  return new Owned(tag, nullptr);
}

ExitReason::ExitReason(std::string_view tag) : body_(body_for(tag)) {}

std::shared_ptr<const ExitReason> ExitReason::share() const {
  static constexpr const ExitReason* likely[] = {&Reason::killed, &Reason::shutdown, &Reason::kill,
                                                 &Reason::normal};
  for (const ExitReason* reason : likely) {
    // Owned by nobody: it is there to the end of the process.
    if (reason->body_ == body_) return {std::shared_ptr<void>(), reason};
  }
  return std::make_shared<const ExitReason>(*this);
}

ExitReason ExitReason::from_current_exception() {
  ExitReason reason(error_body.body);
  try {
    reason.body_ = new Thrown(std::current_exception(), detail::trace_of_current_exception());
  } catch (const std::bad_alloc&) {  // an end without its text, but no end of the process
  }
  return reason;
}

std::exception_ptr ExitReason::exception() const {
  const auto* thrown = dynamic_cast<const Thrown*>(body_);
  return thrown ? thrown->exception : nullptr;
}

const detail::StackTrace* ExitReason::trace() const {
  const auto* thrown = dynamic_cast<const Thrown*>(body_);
  return thrown ? thrown->stack.get() : nullptr;
}

std::string ExitReason::stack() const {
  const detail::StackTrace* stack = trace();
  return stack ? detail::to_string(*stack) : std::string();
}

std::string ExitReason::to_string() const { return body_->to_string(); }

namespace detail {

std::string detail_text(std::string_view tag, std::string_view detail) {
  std::string text(tag);
  text += ": ";
  text += detail;
  return text;
}

std::string type_text(const std::type_info& type) { return demangle(type.name()); }

}  // namespace detail
}  // namespace greenroom
