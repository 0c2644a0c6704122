#include "greenroom/tests/io/loopback.h"

#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "greenroom/io/poll/fd_poller.h"

namespace greenroom::loopback {

Pair connected() {
  tcp::Listener listener({"127.0.0.1", 0});
  Pair pair;
  pair.client = tcp::connect(listener.local());
  pair.server = listener.accept();
  return pair;
}

tcp::Stream connected_to(tcp::Stream& client) {
  Pair pair = connected();
  client = std::move(pair.client);
  return std::move(pair.server);
}

int open_descriptors() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code is_gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), is_gone).string();
    if (!is_gone && !target.starts_with('/')) ++count;
  }
  return count;
}

DescriptorLimit::DescriptorLimit(int free) {
  ::getrlimit(RLIMIT_NOFILE, &previous_);
  std::vector<int> held;
  held.reserve(static_cast<std::size_t>(free) + 1);
  int highest = 0;
  // One more than is to be free, as poll() takes no more entries than the limit.
  for (int i = 0; i <= free; ++i) held.push_back(highest = ::dup(0));
  rlimit lowered = previous_;
  lowered.rlim_cur = static_cast<rlim_t>(highest) + 1;
  ::setrlimit(RLIMIT_NOFILE, &lowered);
  for (const int fd : held) ::close(fd);
  // Below the highest there may be gaps: no.
  int fd = -1;
  while ((fd = ::dup(0)) >= 0) fill_.push_back(fd);
  for (int i = 0; i < free; ++i) {
    ::close(fill_.back());
    fill_.pop_back();
  }
}

DescriptorLimit::~DescriptorLimit() {
  for (const int fd : fill_) ::close(fd);
  ::setrlimit(RLIMIT_NOFILE, &previous_);
}

std::string read_some_text(tcp::Stream& stream, Wait wait) {
  char buffer[4096];
  const std::size_t size = stream.read_some(std::as_writable_bytes(std::span(buffer)), wait);
  return std::string(buffer, size);
}

std::string read_text(tcp::Stream& stream, std::size_t size) {
  std::string text;
  while (text.size() < size) {
    std::string part(size - text.size(), '\0');
    const std::size_t read =
        stream.read_some(std::as_writable_bytes(std::span(part.data(), part.size())));
    if (read == 0) break;
    text.append(part, 0, read);
  }
  return text;
}

int descriptor_of(const tcp::Stream& stream) {
  return detail::StreamAccess::socket(stream, "test").fd();
}

void discard_input(int fd) {
  std::vector<char> room(1 << 20);
  while (::recv(fd, room.data(), room.size(), MSG_DONTWAIT) > 0) {
  }
}

void compute_until(clock::time_point end) {
  while (clock::now() < end) {
  }
}

Deafness::Deafness() { detail::poller_of(green::get_hub()).add_told(); }

Deafness::~Deafness() { detail::poller_of(green::get_hub()).remove_told(); }

void settle() {
  for (int i = 0; i < 10; ++i) yield();
}

}  // namespace greenroom::loopback
