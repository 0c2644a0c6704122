// A chat server: rooms and connections are supervised actors. Talk to it with `nc 127.0.0.1 5000`.
#include <cstdio>

#include "greenroom/examples/chat/chat.h"
#include "greenroom/examples/chat/options.h"

int main(int count, char** arguments) {
  const auto port = chat::parse_port(count, arguments, 5000);
  if (!port) return 2;
  return greenroom::run(chat::tree({"127.0.0.1", *port}, [](const greenroom::tcp::Endpoint& at) {
    std::printf("listening on %s port %d\n", at.host.c_str(), int{at.port});
    std::fflush(stdout);
  }));
}
