// A name server on the loopback, UDP and TCP on one port, with a thread of its own.
//
// What it answers is in the first word of the name, up to "-" or ".":
//   v4, v6, both     127.0.0.1, ::1, both
//   alias            an alias of a name that has 127.0.0.1
//   empty            there is such a name, without addresses
//   failed, refused  that
//   held             as v4, once release() is called
//   silent           nothing
//   long             too many addresses for UDP: 127.0.0.1 to 127.0.0.100 over TCP
//   hangup           over TCP, where it closes the connection
//   noise            datagrams that are no answers, then as v4
//   broken           an answer that is cut off
// and any other name: there is no such name.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "greenroom/io/socket/endpoint.h"
#include "greenroom/scheduler/sync/lock.h"
#include "greenroom/tests/io/resolver/dns_message.h"

namespace greenroom::dns_testing {

class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  tcp::Endpoint endpoint() const { return {"127.0.0.1", port_}; }

  int questions() const { return udp_questions_ + tcp_questions_; }
  int tcp_questions() const { return tcp_questions_; }
  // **Blocks.** until it holds so many questions more.
  void wait_for_held(int count);
  // Answers all that it holds, and whatever comes. When it returns, the answers are on their way.
  void release();

 private:
  using Reply = std::function<void(const std::string&)>;
  void serve();
  void read_datagram();
  enum class Connection : std::uint8_t { open, over };
  Connection read_connection(int fd);
  void reply_to_datagram(const Question& question, const Reply& reply);
  void reply_to(const Question& question, const Reply& reply);

  int udp_;
  int tcp_;
  int wake_;
  std::uint16_t port_ = 0;
  std::atomic<int> udp_questions_{0};
  std::atomic<int> tcp_questions_{0};
  std::atomic<bool> ends_{false};
  std::atomic<bool> releases_{false};
  std::atomic<bool> has_released_{false};
  green::Semaphore held_{0};
  std::vector<std::function<void()>> answers_held_;
  std::thread thread_;
};

// A port on which nobody answers.
tcp::Endpoint nobody();

}  // namespace greenroom::dns_testing
