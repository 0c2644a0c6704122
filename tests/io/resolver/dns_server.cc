#include "greenroom/tests/io/resolver/dns_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace greenroom::dns_testing {

namespace {

constexpr std::size_t largest_message = 65535;

void require(bool condition) {
  if (!condition) std::abort();
}

std::uint16_t bind_to(int fd, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 0;
  socklen_t size = sizeof address;
  require(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

void signal(int fd) {
  const std::uint64_t one = 1;
  require(::write(fd, &one, sizeof one) == sizeof one);
}

std::vector<Record> addresses_for(const std::string& word, Type type) {
  std::vector<Record> records;
  if (type == Type::aaaa) {
    if (word == "v6" || word == "both") records.push_back(address_record("::1"));
    return records;
  }
  if (word == "v6" || word == "empty") return records;
  if (word == "alias") records.push_back(alias_record("name.test"));
  const int count = word == "long" ? 100 : 1;
  for (int i = 1; i <= count; ++i)
    records.push_back(address_record("127.0.0." + std::to_string(i)));
  return records;
}

bool is_known(const std::string& word) {
  for (const char* known : {"v4", "v6", "both", "alias", "empty", "held", "long", "noise"}) {
    if (word == known) return true;
  }
  return false;
}

std::string first_word(const Question& question) {
  return question.name.substr(0, question.name.find_first_of("-."));
}

}  // namespace

DnsServer::DnsServer()
    : udp_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
      tcp_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      wake_(::eventfd(0, EFD_CLOEXEC)) {
  // A port that is free for the one may be taken for the other.
  while (port_ == 0) {
    const int udp = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const std::uint16_t port = bind_to(udp, 0);
    ::dup3(udp, udp_, O_CLOEXEC);
    ::close(udp);
    port_ = bind_to(tcp_, port);
  }
  require(::listen(tcp_, 128) == 0);
  thread_ = std::thread([this] { serve(); });
}

DnsServer::~DnsServer() {
  ends_ = true;
  signal(wake_);
  thread_.join();
  for (const int fd : {udp_, tcp_, wake_}) ::close(fd);
}

void DnsServer::wait_for_held(int count) {
  for (int i = 0; i < count; ++i) held_.acquire();
}

void DnsServer::release() {
  releases_ = true;
  signal(wake_);
  while (!has_released_) std::this_thread::yield();
}

void DnsServer::serve() {
  std::vector<pollfd> watched = {{wake_, POLLIN, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
  for (;;) {
    require(::poll(watched.data(), watched.size(), -1) > 0);
    if (ends_) break;
    if (watched[0].revents != 0) {
      std::uint64_t count = 0;
      require(::read(wake_, &count, sizeof count) == sizeof count);
      for (const auto& answer : answers_held_) answer();
      answers_held_.clear();
      has_released_ = true;
    }
    if (watched[1].revents != 0) read_datagram();
    for (std::size_t i = 3; i < watched.size(); ++i) {
      if (watched[i].revents == 0) continue;
      if (read_connection(watched[i].fd) == Connection::open) continue;
      ::close(watched[i].fd);
      watched[i].fd = -1;
    }
    if (watched[2].revents != 0)
      watched.push_back({::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC), POLLIN, 0});
    std::erase_if(watched, [](const pollfd& entry) { return entry.fd < 0; });
  }
  for (std::size_t i = 3; i < watched.size(); ++i) ::close(watched[i].fd);
}

void DnsServer::read_datagram() {
  char message[512];
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  const ssize_t read =
      ::recvfrom(udp_, message, sizeof message, 0, reinterpret_cast<sockaddr*>(&peer), &size);
  if (read <= 0) return;  // what it has sent before was refused
  const auto question = parse_question({message, static_cast<std::size_t>(read)});
  if (!question) return;
  ++udp_questions_;
  reply_to_datagram(*question, [this, peer](const std::string& text) {
    ::sendto(udp_, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&peer),
             sizeof peer);
  });
}

void DnsServer::reply_to_datagram(const Question& question, const Reply& reply) {
  const std::string word = first_word(question);
  if (word == "long" || word == "hangup") {
    reply(answer(question, {}, Code::success, Flag::truncated));
  } else if (word == "noise") {
    reply("");
    reply("noise");
    reply(std::string(512, '\xff'));
    Question other = question;
    other.head[0] = static_cast<char>(~other.head[0]);  // an answer to nothing that was asked
    reply(answer(other, {address_record("127.0.0.66")}));
    reply_to(question, reply);
  } else {
    reply_to(question, reply);
  }
}

DnsServer::Connection DnsServer::read_connection(int fd) {
  std::string message(largest_message, '\0');
  std::size_t size = 0;
  std::size_t wanted = 2;
  while (size < wanted) {
    const ssize_t read = ::recv(fd, message.data() + size, wanted - size, 0);
    if (read <= 0) return Connection::over;
    size += static_cast<std::size_t>(read);
    if (size == 2)
      wanted += static_cast<std::size_t>(static_cast<unsigned char>(message[0]) << 8 |
                                         static_cast<unsigned char>(message[1]));
  }
  const auto question = parse_question(std::string_view(message).substr(2, wanted - 2));
  if (!question) return Connection::over;
  ++tcp_questions_;
  if (first_word(*question) == "hangup") return Connection::over;
  reply_to(*question, [fd](const std::string& text) {
    std::string framed;
    framed += static_cast<char>(text.size() >> 8);
    framed += static_cast<char>(text.size() & 0xff);
    framed += text;
    ::send(fd, framed.data(), framed.size(), MSG_NOSIGNAL);
  });
  return Connection::open;
}

void DnsServer::reply_to(const Question& question, const Reply& reply) {
  const std::string word = first_word(question);
  if (word == "silent") return;
  if (word == "failed") return reply(answer(question, {}, Code::failure));
  if (word == "refused") return reply(answer(question, {}, Code::refused));
  if (word == "broken") {
    std::string text = answer(question, {address_record("127.0.0.1")});
    text.resize(text.size() - 3);
    return reply(text);
  }
  if (!is_known(word)) return reply(answer(question, {}, Code::no_such_name));
  const std::string text = answer(question, addresses_for(word, question.type));
  if (word == "held" && !releases_) {
    answers_held_.push_back([reply, text] { reply(text); });
    held_.release();
    return;
  }
  reply(text);
}

tcp::Endpoint nobody() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const std::uint16_t port = bind_to(fd, 0);
  ::close(fd);
  return {"127.0.0.1", port};
}

}  // namespace greenroom::dns_testing
