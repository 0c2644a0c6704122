// Reads a stream's lines as hub work, without a greenlet: what active mode is made of.
//
// For the hub on which it was attached. It belongs to the stream, and ends with it; nobody else can
// read the stream meanwhile, writing is as ever.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <system_error>

#include "greenroom/io/poll/descriptor.h"
#include "greenroom/io/stream/line_buffer.h"
#include "greenroom/io/stream/stream.h"

namespace greenroom::detail {

class LineSource : private Waiter {
 public:
  explicit LineSource(std::size_t max_line = 4096) : buffer_(max_line) {}
  virtual ~LineSource();
  LineSource(const LineSource&) = delete;
  LineSource& operator=(const LineSource&) = delete;

  // Starts it, running. **Blocks.** if the stream was used on another hub before. Throws IoError,
  // and ConcurrentUse if a greenlet reads the stream, or another source does.
  // on_line may be called before it returns.
  static void attach(tcp::Stream& stream, std::unique_ptr<LineSource> source);

  // No on_line from now on: not even of lines that are read already.
  void pause() noexcept { is_running_ = false; }
  // On with it: on_line is called before this returns, if there are such lines.
  void resume();
  bool is_running() const { return is_running_; }
  // The last call: others read the stream from now on, first of all what was read and not told.
  void give_back();

 protected:
  // Both are called as hub work, or by resume(): they must neither park nor throw, nor end the
  // stream. They may pause().
  virtual void on_line(std::string&& line) = 0;
  // The last call: no error at the end of the stream, message_size for a line that is too long. Not
  // called if the stream is closed on this side.
  virtual void on_closed(std::error_code error) = 0;

 private:
  enum class State : std::uint8_t {
    detached,  // on no descriptor: not yet, or not any more
    waiting,   // on the descriptor
    over,      // on no descriptor, on_closed was called
  };
  bool on_ready() noexcept override;
  void on_end(int error) noexcept override;
  std::string describe() const override;

  void deliver();
  bool read();
  void finish(std::error_code error);

  StreamSocket* socket_ = nullptr;
  LineBuffer buffer_;
  State state_ = State::detached;
  bool is_running_ = true;
  bool has_ended_ = false;
  bool is_delivering_ = false;
};

}  // namespace greenroom::detail
