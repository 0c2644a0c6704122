#include "greenroom/actors/tcp/tcp_actors.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "greenroom/actors/core/actor_hub.h"
#include "greenroom/actors/core/crash_report.h"
#include "greenroom/actors/hubs/placement.h"
#include "greenroom/actors/values/call_error.h"
#include "greenroom/io/stream/line_source.h"

namespace greenroom::detail {

// The acceptor.

Acceptor::Acceptor(tcp::ServeOptions options, Take take)
    : options_(std::move(options)),
      take_(std::move(take)),
      listener_(options_.listen, options_.socket) {
  if (options_.on_listening) options_.on_listening(listener_.local());
  cast(ServerRef<Acceptor>(self()), Run{});
}

void Acceptor::handle(Run) {
  for (;;) {
    tcp::Stream stream = listener_.accept();
    try {
      take_(options_.connections, std::move(stream));
    } catch (const ChildError& error) {
      log_line("a connection was refused: " + error.reason().to_string());
    } catch (const CallError& error) {
      log_line("a connection was refused: its supervisor has ended: " + error.reason().to_string());
    } catch (const NoSuchName& error) {
      log_line(std::string("a connection was refused: its supervisor is not there: ") +
               error.what());
    }
  }
}

// Active mode.

namespace {

// What the pump and the lines that are under way share: it counts them.
struct Flow {
  class LinePump* pump = nullptr;  // null: the stream has ended
  std::uint32_t hub = 0;           // where the pump lives
  int unread = 0;                  // on that hub only
  int ahead = 0;
};

// A tcp::Line that tells when it has been read, by its end.
struct LineMessage final : Message {
  LineMessage(std::string text, std::shared_ptr<Flow> line_flow);
  static void destroy(Message& message) noexcept;
  tcp::Line value;
  std::shared_ptr<Flow> flow;
};

constexpr TypeOps line_message_ops{&typeid(tcp::Line), type_name_hash<tcp::Line>(),
                                   &LineMessage::destroy};

LineMessage::LineMessage(std::string text, std::shared_ptr<Flow> line_flow)
    : Message(line_message_ops, reinterpret_cast<std::byte*>(&value) -
                                    reinterpret_cast<std::byte*>(static_cast<Message*>(this))),
      value{std::move(text)},
      flow(std::move(line_flow)) {}

class LinePump final : public LineSource, private EndListener {
 public:
  LinePump(Pid to, Pid keeper, std::shared_ptr<Flow> flow)
      : to_(to), keeper_(keeper), flow_(std::move(flow)) {
    flow_->pump = this;
    if (Actor* actor = find_actor_here(Hub::current(), to)) listen_to(*actor);
  }
  ~LinePump() override { flow_->pump = nullptr; }

 private:
  void on_line(std::string&& line) override {
    void* block = allocate_block(sizeof(LineMessage));
    MessagePointer message(new (block) LineMessage(std::move(line), flow_));
    if (++flow_->unread >= flow_->ahead) pause();
    send_message(to_, std::move(message));
  }
  void on_closed(std::error_code error) override {
    stop_listening();
    send_message(to_, make_message(tcp::Closed{error}));
    if (keeper_) send_message(keeper_, make_message(tcp::Closed{error}));
  }

  void on_actor_end() noexcept override {
    flow_->pump = nullptr;
    give_back();
  }

  Pid to_;
  Pid keeper_;  // who owns the stream, if that is not the user
  std::shared_ptr<Flow> flow_;
};

void line_was_read(Flow& flow) noexcept {
  --flow.unread;
  if (flow.pump && !flow.pump->is_running() && flow.unread <= flow.ahead / 2) flow.pump->resume();
}

void LineMessage::destroy(Message& message) noexcept {
  auto* self = static_cast<LineMessage*>(&message);
  const std::shared_ptr<Flow> flow = std::move(self->flow);
  self->~LineMessage();
  release_block(self, sizeof(LineMessage));
  const Hub* here = Hub::current_if_any();
  if (here && here->id() == flow->hub) {
    // Not from within whatever drops the message: reading may send the next line to the same
    // mailbox.
    if (--flow->unread <= flow->ahead / 2 && flow->pump && !flow->pump->is_running()) {
      post_to_port(flow->hub, [flow](Hub&) {
        if (flow->pump && !flow->pump->is_running()) flow->pump->resume();
      });
    }
  } else {
    post_to_port(flow->hub, [flow](Hub&) { line_was_read(*flow); });
  }
}

// Of an actor that lives elsewhere nothing is known here. One that attaches to itself may be
// unwinding.
bool is_known_to_be_dead(Hub& here, Pid to) {
  if (!to) return true;
  if (to.where() != ActorHub::of(here).where) return false;
  const Actor* me = current_actor_if_any();
  const bool is_me = me && me->state != ActorState::ended && me->pid() == to;
  return !is_me && !is_alive(to);
}

void start_pump(tcp::Stream& stream, Pid to, Pid keeper, int ahead) {
  if (ahead < 1) throw std::invalid_argument("tcp::attach: ahead must be at least 1");
  StreamSocket& socket = StreamAccess::socket(stream, "tcp.attach");
  socket.settle();
  // From here to its first line nothing parks: it lives still when it is listened to.
  Hub& here = Hub::current();
  if (is_known_to_be_dead(here, to)) throw_io_error(ESRCH, "tcp.attach", socket.address());
  auto flow = std::make_shared<Flow>();
  flow->hub = here.id();
  flow->ahead = ahead;
  LineSource::attach(stream, std::make_unique<LinePump>(to, keeper, flow));
}

// Owns a stream whose input is another actor's mail; ends with that actor, or with the stream.
class StreamKeeper {
 public:
  StreamKeeper(tcp::Stream stream, Pid to, int ahead) : stream_(std::move(stream)) {
    monitor(to);
    start_pump(stream_, to, self(), ahead);
  }
  void handle(const Down&) { stop(); }
  void handle(const tcp::Closed&) { stop(); }

 private:
  tcp::Stream stream_;
};

}  // namespace
}  // namespace greenroom::detail

namespace greenroom::tcp {

void attach(Stream& stream, Pid to, int ahead) { detail::start_pump(stream, to, Pid{}, ahead); }

void attach(Stream&& stream, Pid to, int ahead) {
  start<detail::StreamKeeper>(std::move(stream), to, ahead);
}

}  // namespace greenroom::tcp
