// An actor dies at any point of connecting, accepting, reading and writing. What nobody may notice
// but its peer: no socket stays open, nobody waits for ever, and who is left can go on. Over 400
// lines: a program for each way to use a socket.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "greenroom/actors/actors.h"
#include "greenroom/io/tcp.h"
#include "greenroom/scheduler/green.h"
#include "greenroom/tests/io/loopback.h"
#include "greenroom/tests/sweep/sweep.h"

namespace greenroom::sweep {
namespace {

using namespace std::chrono_literals;
using loopback::read_some_text;
using loopback::read_text;
using testkit::network;

const tcp::Endpoint any_port{"127.0.0.1", 0};
const tcp::Endpoint port_7000{"127.0.0.1", 7000};

// Of a peer that was killed.
template <class F>
void tolerantly(F f) {
  try {
    f();
  } catch (const IoError&) {
  }
}

// Those who were handed something may still be on their way out.
void expect_open_sockets(std::size_t count) {
  sleep(1s);
  EXPECT_EQ(network().open_sockets(), count);
}

void echo(tcp::Stream stream) {
  tolerantly([&] {
    for (std::string text; !(text = read_some_text(stream)).empty();) stream.write_all(text);
  });
}

const std::string sent(20, 'x');

// Longer than both buffers, so that both sides park in writing. What came back.
std::string talk(const tcp::Endpoint& endpoint) {
  std::string heard;
  tolerantly([&] {
    tcp::Stream stream = tcp::connect(endpoint);
    stream.write_all(sent.substr(0, 6));
    heard = read_text(stream, 6);
    stream.write_all(sent.substr(6));
    stream.shutdown_write();
    heard += read_text(stream, 100);
  });
  // All of it, or what came before somebody died.
  EXPECT_EQ(sent.rfind(heard, 0), 0U) << heard;
  return heard;
}

TEST(TcpSweep, WhoConnectsAcceptsReadsOrWritesLeavesNoSocketAndNoOneWaiting) {
  sweep(15, {1, 2}, [] {
    network().buffers(8, 8);
    std::optional<tcp::Listener> listener(any_port);
    const tcp::Endpoint endpoint = listener->local();
    std::vector<Monitored> actors;
    actors.push_back(spawn_monitor([&listener] {
      for (int i = 0; i < 2; ++i) spawn(anywhere(), echo, listener->accept(2s));
    }));
    for (int i = 0; i < 2; ++i) actors.push_back(spawn_monitor(anywhere(), talk, endpoint));
    join({actors.front()});
    listener.reset();  // a client that was not accepted is told
    actors.erase(actors.begin());
    join(actors);
    expect_open_sockets(0);
  });
}

TEST(TcpSweep, AConnectionThatAKilledAcceptorWasToldOfIsAcceptedByTheNext) {
  sweep(40, {1, 2}, [] {
    tcp::Listener listener(any_port);
    bool is_taken = false;
    std::optional<std::string> heard;
    const auto first = spawn_monitor([&] {
      tolerantly([&] {
        tcp::Stream stream = listener.accept(1s);
        is_taken = true;
        spawn(echo, std::move(stream));
      });
    });
    const auto client = spawn_monitor(anywhere(), [&] { heard = talk(listener.local()); });
    join({first});
    // Without the first one's wait: what that was told of is here now, or will never be.
    if (!is_taken) tolerantly([&] { echo(listener.accept(1s)); });
    join({client});
    if (heard && !is_taken) {
      EXPECT_EQ(*heard, sent);
    }
    expect_open_sockets(1);
  });
}

TEST(TcpSweep, AReaderThatIsKilledLosesNoByte) {
  sweep(40, {1, 2}, [] {
    loopback::Pair pair = loopback::connected();
    std::string seen;
    const auto reader = spawn_monitor([&] {
      for (int i = 0; i < 3; ++i) {
        std::byte room[2];
        const std::size_t size = pair.server.read_some(room);
        seen.append(reinterpret_cast<const char*>(room), size);
      }
    });
    const auto writer = spawn_monitor(
        [](tcp::Stream stream) {
          for (const char* text : {"one ", "two ", "three"}) {
            stream.write_all(text);
            sleep(1ms);
          }
        },
        std::move(pair.client));
    join({reader, writer});
    seen += read_text(pair.server, 100);
    EXPECT_TRUE(std::string("one two three").rfind(seen, 0) == 0) << seen;
    EXPECT_TRUE(seen.size() == 13 || seen.size() == 8 || seen.size() == 4 || seen.empty()) << seen;
    pair.server.close();
    expect_open_sockets(0);
  });
}

TEST(TcpSweep, WhoWaitsWithALatencyAndADeadlineIsOnTime) {
  sweep(20, {1, 2}, [] {
    network().latency(5ms, 15ms);
    tcp::Listener listener(any_port, {.backlog = 0});
    const auto start = clock::now();
    std::vector<Monitored> actors;
    actors.reserve(4);
    for (int i = 0; i < 3; ++i) {
      actors.push_back(spawn_monitor(anywhere(), [endpoint = listener.local()] {
        tolerantly([&] {
          tcp::Stream stream = tcp::connect(endpoint, 100ms);
          read_some_text(stream, 50ms);
        });
      }));
    }
    actors.push_back(spawn_monitor([&] {
      tolerantly([&] {
        tcp::Stream stream = listener.accept(40ms);
        stream.write_all("x", 20ms);
      });
    }));
    join(actors);
    EXPECT_LE(clock::now() - start, 150ms);
    expect_open_sockets(1);
  });
}

TEST(TcpSweep, WhoBacksOffForWantOfDescriptorsCanBeKilled) {
  sweep(40, {1, 2}, [] {
    tcp::Listener listener(any_port);
    network().descriptor_limit(3);
    const auto acceptor = spawn_monitor([&] {
      for (int i = 0; i < 2; ++i) spawn(anywhere(), echo, listener.accept(1s));
    });
    std::vector<Monitored> clients;
    clients.reserve(2);
    for (int i = 0; i < 2; ++i) {
      clients.push_back(spawn_monitor(anywhere(), [endpoint = listener.local()] {
        tolerantly([&] {
          tcp::Stream stream = tcp::connect(endpoint);
          stream.write_all("x");
          read_some_text(stream, 50ms);
        });
      }));
    }
    join(clients);
    join({acceptor});
    listener.close();
    expect_open_sockets(0);
  });
}

TEST(TcpSweep, WhoWaitsForASocketThatIsClosedIsTold) {
  sweep(20, {1, 2}, [] {
    network().buffers(8, 8);
    auto pair = std::make_shared<loopback::Pair>(loopback::connected());
    const auto start = clock::now();
    const auto closed = [](const std::function<void()>& f) {
      EXPECT_EQ(loopback::error_of(f), std::errc::bad_file_descriptor);
    };
    std::vector<Monitored> actors;
    actors.push_back(spawn_monitor([=] { closed([&] { read_some_text(pair->server); }); }));
    actors.push_back(
        spawn_monitor([=] { closed([&] { pair->server.write_all(std::string(100, 'x')); }); }));
    actors.push_back(spawn_monitor([=] {
      sleep(1ms);
      pair->server.close();
    }));
    sleep(1s);
    pair->server.close();  // if that one was killed
    join(actors);
    EXPECT_LE(clock::now() - start, 1s);
    pair->client.close();
    expect_open_sockets(0);
  });
}

TEST(LinesSweep, ALineIsReadOnceWholeOrNot) {
  sweep(30, {1, 2}, [] {
    loopback::Pair pair = loopback::connected();
    tcp::Lines lines(pair.server);
    std::vector<std::string> seen;
    const auto reader = spawn_monitor([&] {
      for (int i = 0; i < 2; ++i) {
        if (auto line = lines.next()) seen.push_back(*line);
      }
    });
    const auto writer = spawn_monitor(
        [](tcp::Stream stream) {
          stream.write_all("first\nsec");
          yield();
          stream.write_all("ond\nthird\n");
        },
        std::move(pair.client));
    join({reader, writer});
    while (auto line = lines.next()) seen.push_back(*line);
    const std::vector<std::string> all{"first", "second", "third"};
    for (std::size_t i = 0; i < seen.size(); ++i)
      EXPECT_TRUE(seen[i] == all[i] || (i + 1 == seen.size() && all[i].rfind(seen[i], 0) == 0))
          << seen[i];
    pair.server.close();
    expect_open_sockets(0);
  });
}

TEST(LinesSweep, AReceiveThatWaitsForMailAndForALineLosesNeither) {
  sweep(30, {1, 2}, [] {
    loopback::Pair pair = loopback::connected();
    tcp::Lines lines(pair.server);
    std::string from_line;
    int from_mail = 0;
    const auto reader = spawn_monitor([&] {
      for (bool is_over = false; !is_over;) {
        receive([&](int n) { from_mail += n; },
                next_line(lines,
                          [&](std::optional<std::string> line) {
                            is_over = !line;
                            if (line) from_line += *line;
                          }),
                after(1s, [&] { is_over = true; }));
      }
    });
    const auto writer = spawn_monitor(
        anywhere(),
        [to = reader.pid](tcp::Stream stream) {
          stream.write_all("a\n");
          send(to, 1);
          yield();
          send(to, 2);
          stream.write_all("b\nc\n");
        },
        std::move(pair.client));
    join({reader, writer});
    while (auto line = lines.next()) from_line += *line;
    EXPECT_TRUE(std::string("abc").rfind(from_line, 0) == 0) << from_line;
    EXPECT_TRUE(from_mail == 0 || from_mail == 1 || from_mail == 3) << from_mail;
    pair.server.close();
    expect_open_sockets(0);
  });
}

// A client that comes back until it is served: whoever died is replaced, or the tree is gone.
bool is_served(const tcp::Endpoint& endpoint) {
  for (int i = 0; i < 20; ++i) {
    try {
      tcp::Stream stream = tcp::connect(endpoint, 100ms);
      stream.write_all("hello\n");
      tcp::Lines lines(stream);
      if (lines.next(100ms) == "hello") return true;
    } catch (const IoError&) {
    }
    sleep(100ms);
  }
  return false;
}

void serve_lines(tcp::Stream stream) {
  tolerantly([&] {
    tcp::Lines lines(stream);
    while (auto line = lines.next()) stream.write_all(*line + "\n");
  });
}

TEST(ServeSweep, AClientIsServedAsLongAsTheTreeLives) {
  sweep(10, {1, 2}, [] {
    const auto owner = spawn_monitor(anywhere(), [] {
      start_supervisor(
          supervisor({.id = "tree",
                      .strategy = Strategy::rest_for_one,
                      .intensity = 5,
                      .children = {dynamic_supervisor({.id = "connections"}),
                                   tcp::serve({.id = "acceptor"},
                                              {.listen = port_7000, .connections = "connections"},
                                              serve_lines)}}));
      receive([](int) {});
    });
    const auto client = spawn_monitor(anywhere(), [] { tolerantly([] { is_served(port_7000); }); });
    join({client});
    if (whereis("tree")) {
      EXPECT_TRUE(is_served(port_7000) || !whereis("tree"));
    }
    send(owner.pid, 1);
    join({owner});
    sleep(10s);
    for (const char* name : {"tree", "connections", "acceptor"})
      EXPECT_EQ(whereis(name), std::nullopt) << name;
    expect_open_sockets(0);
  });
}

// Counts the lines of a connection whose input is its mail.
void count_lines(const Pid& to) {
  int count = 0;
  for (bool is_over = false; !is_over;) {
    receive([&](const tcp::Line&) { ++count; }, [&](const tcp::Closed&) { is_over = true; });
    yield();
  }
  send(to, count);
}

TEST(ActiveSweep, AStreamThatIsKeptEndsWithItsActorOrItsPeer) {
  sweep(20, {1, 2}, [] {
    loopback::Pair pair = loopback::connected();
    const auto user = spawn_monitor(anywhere(), count_lines, self());
    try {
      tcp::attach(std::move(pair.server), user.pid, 1);
    } catch (const StartError&) {  // the user was killed, or the keeper was
    }
    const auto writer = spawn_monitor(
        anywhere(),
        [](tcp::Stream stream) {
          tolerantly([&] {
            for (int i = 0; i < 4; ++i) stream.write_all("line\n");
            stream.shutdown_write();
            read_some_text(stream);  // the other side's end, too
          });
        },
        std::move(pair.client));
    // Whoever was killed, the writer or the keeper among them, the user hears of the end or is it.
    receive(when([&](const Down& down) { return down.ref == writer.ref; }, [](const Down&) {}));
    exit(user.pid, Reason::kill);
    join({user});
    expect_open_sockets(0);
  });
}

TEST(ActiveSweep, AnActorThatAttachesItsOwnStreamTakesItAlong) {
  sweep(20, {1, 2}, [] {
    loopback::Pair pair = loopback::connected();
    const auto user = spawn_monitor(
        anywhere(),
        [](tcp::Stream stream) {
          tolerantly([&] {
            tcp::attach(stream, self(), 2);
            for (bool is_over = false; !is_over;) {
              receive([&](const tcp::Line& line) { stream.write_all(line.text + "\n"); },
                      [&](const tcp::Closed&) { is_over = true; });
            }
          });
        },
        std::move(pair.server));
    const auto peer = spawn_monitor(
        anywhere(),
        [](tcp::Stream stream) {
          tolerantly([&] {
            tcp::Lines lines(stream);
            for (int i = 0; i < 3; ++i) {
              stream.write_all("line\n");
              lines.next();
            }
          });
        },
        std::move(pair.client));
    join({user, peer});
    expect_open_sockets(0);
  });
}

TEST(MoveSweep, AStreamOnItsWayToAnotherHubIsLostWithNobody) {
  sweep(30, {2, 3}, [] {
    loopback::Pair pair = loopback::connected();
    const auto first = spawn_monitor(
        [](tcp::Stream stream) {
          tolerantly([&] {
            read_some_text(stream);  // now it lives here
            auto second = spawn_monitor(anywhere(), echo, std::move(stream));
            join({second});
          });
        },
        std::move(pair.server));
    const auto client = spawn_monitor(
        anywhere(),
        [](tcp::Stream stream) {
          tolerantly([&] {
            stream.write_all("x");
            for (int i = 0; i < 2; ++i) {
              stream.write_all("ping");
              stream.shutdown_write();
              read_text(stream, 4);
            }
          });
        },
        std::move(pair.client));
    join({client});
    // The first one joins the second; killed, it does not take it along.
    join({first});
    expect_open_sockets(0);
  });
}

TEST(MoveSweep, AReaderAndAWriterThatWaitForTheSameMoveDoNotDisturbEachOther) {
  sweep(30, {2}, [] {
    loopback::Pair pair = loopback::connected();
    EXPECT_EQ(loopback::error_of([&] { read_some_text(pair.server, 1ms); }), std::errc::timed_out);
    const auto owner = spawn_monitor(anywhere(), [&] {
      std::vector<Monitored> users;
      users.push_back(spawn_monitor([&] { tolerantly([&] { read_some_text(pair.server, 5s); }); }));
      users.push_back(spawn_monitor([&] { tolerantly([&] { pair.server.write_all("answer"); }); }));
      for (const Monitored& user : users) {
        const Uncancellable until_they_are_gone;
        join({user});
      }
    });
    pair.client.write_all("request");
    join({owner});
    // Back here, with what nobody has taken.
    pair.client.close();
    loopback::error_of([&] { read_text(pair.server, 7); });
    pair.server.close();
    expect_open_sockets(0);
  });
}

}  // namespace
}  // namespace greenroom::sweep
