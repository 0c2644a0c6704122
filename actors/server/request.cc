#include "greenroom/actors/server/request.h"

namespace greenroom::detail {

Request& new_request(const RequestOps& ops) {
  return *new (allocate_block(ops.block_size)) Request(ops);
}

void end_request(Request& request, std::size_t block_size) noexcept {
  release_block(&request, block_size);
}

void destroy_request(Message& message) noexcept {
  auto& request = static_cast<Request&>(message);
  const RequestOps& ops = request.ops();
  if (ops.destroy_value) ops.destroy_value(MessageAccess::value(message));
  if (request.owes_reply()) drop_reply(request.reply);
  end_request(request, ops.block_size);
}

void refuse_request(Message& message, const ExitReason& reason) noexcept {
  auto& request = static_cast<Request&>(message);
  if (request.owes_reply()) fail_reply(request.reply, reason);
}

}  // namespace greenroom::detail
