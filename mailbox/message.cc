#include "greenroom/mailbox/message.h"

#include "greenroom/scheduler/task/describe.h"

namespace greenroom {

std::string Message::type_name() const { return detail::demangle(type_->type->name()); }

}  // namespace greenroom
