// Lines over TLS: a server that sends back what it hears, and a client that knows whom it talks to.
#include <cstdio>
#include <span>
#include <string>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tcp.h"
#include "greenroom/io/tls.h"

using namespace greenroom;
using namespace std::chrono_literals;

std::string read(tls::Stream& stream) {
  char room[1024];
  return {room, stream.read_some(std::as_writable_bytes(std::span(room)), 5s)};
}

// An actor for each client: the handshake is its own, so that a slow one keeps nobody waiting.
void connection(tcp::Stream socket, const tls::ServerContext& context) {
  tls::Stream stream = tls::accept(std::move(socket), context, 5s);
  for (std::string text; !(text = read(stream)).empty();) stream.write_all(text, 5s);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CERTIFICATE KEY  (PEM files, for localhost)\n", argv[0]);
    return 2;
  }
  const std::string certificate = argv[1];
  const std::string key = argv[2];
  return run([&] {
    const tls::ServerContext context({.certificate_file = certificate, .key_file = key});
    tcp::Listener listener({"localhost", 0});
    spawn_link([&listener, context] {
      for (;;) spawn(connection, listener.accept(), context);
    });

    // A certificate that nobody has signed is its own authority.
    tls::Stream stream =
        tls::connect({"localhost", listener.local().port}, {.ca_file = certificate}, 5s);
    std::printf("server: %s\n", stream.peer_certificate_subject().c_str());
    stream.write_all("In a handbag.");
    std::printf("echo: %s\n", read(stream).c_str());
    try {
      tls::connect({"127.0.0.1", listener.local().port}, {.ca_file = certificate}, 5s);
    } catch (const IoError& error) {
      std::printf("by its address: %s\n", error.code().message().c_str());
    }
    stop(Reason::shutdown);
  });
}
