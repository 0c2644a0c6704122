#include "greenroom/io/stream/line_buffer.h"

#include <gtest/gtest.h>

#include <vector>

namespace greenroom::detail {
namespace {

std::vector<std::string> take_all(LineBuffer& buffer) {
  std::vector<std::string> lines;
  while (auto line = buffer.take()) lines.push_back(*line);
  return lines;
}

using Strings = std::vector<std::string>;

TEST(LineBuffer, SplitsAtLfAndStripsCr) {
  LineBuffer buffer(100);
  buffer.feed("one\ntwo\r\n\nthree\r\rx\r\nrest");
  EXPECT_EQ(take_all(buffer), (Strings{"one", "two", "", "three\r\rx"}));
  EXPECT_EQ(buffer.take_rest(), "rest");
  EXPECT_EQ(buffer.take_rest(), std::nullopt);
}

TEST(LineBuffer, IsTheSameForAnyCutOfTheBytes) {
  const std::string text = std::string("a\r\nbb\n\r\n\nccc\r\r\n", 15) + '\0' + "d\n";
  LineBuffer whole(100);
  whole.feed(text);
  const Strings expected = take_all(whole);
  for (std::size_t size = 1; size < text.size(); ++size) {
    LineBuffer buffer(100);
    Strings lines;
    for (std::size_t at = 0; at < text.size(); at += size) {
      buffer.feed(std::string_view(text).substr(at, size));
      for (std::string& line : take_all(buffer)) lines.push_back(line);
    }
    EXPECT_EQ(lines, expected) << size;
  }
}

TEST(LineBuffer, LineOfTheLargestSizePasses) {
  for (const char* end : {"\n", "\r\n"}) {
    LineBuffer buffer(4);
    buffer.feed(std::string("abcd") + end);
    EXPECT_EQ(buffer.take(), "abcd");
    EXPECT_FALSE(buffer.is_overlong());
  }
}

TEST(LineBuffer, LargestLinePassesWhenItComesInPieces) {
  LineBuffer buffer(4);
  for (const char* part : {"ab", "cd", "\r"}) {
    buffer.feed(part);
    EXPECT_EQ(buffer.take(), std::nullopt);
    EXPECT_FALSE(buffer.is_overlong());
  }
  buffer.feed("\n");
  EXPECT_EQ(buffer.take(), "abcd");
}

TEST(LineBuffer, CrWithoutLfCountsAtTheEndOfTheStream) {
  for (const std::string text : {"abc\r", "abcd\r"}) {
    LineBuffer buffer(4);
    buffer.feed(text);
    EXPECT_EQ(buffer.take(), std::nullopt);
    EXPECT_FALSE(buffer.is_overlong());
    const bool fits = text.size() <= 4;
    EXPECT_EQ(buffer.take_rest(), fits ? std::optional(text) : std::nullopt);
    EXPECT_EQ(buffer.is_overlong(), !fits);
  }
}

TEST(LineBuffer, LongerLineIsOverlongWithItsEndOrWithout) {
  for (const char* text : {"abcde\n", "abcde", "abcd\rx", "abcde\r\n"}) {
    LineBuffer buffer(4);
    buffer.feed("ok\n");
    buffer.feed(text);
    EXPECT_EQ(buffer.take(), "ok");
    EXPECT_FALSE(buffer.is_overlong());
    EXPECT_EQ(buffer.take(), std::nullopt);
    EXPECT_TRUE(buffer.is_overlong()) << text;
    EXPECT_EQ(buffer.take_rest(), std::nullopt);
  }
}

TEST(LineBuffer, LooksAtEachByteOnce) {
  // A megabyte, a byte at a time: quadratic work would take minutes.
  LineBuffer buffer(1 << 20);
  for (int i = 0; i < (1 << 20); ++i) {
    buffer.feed("x");
    EXPECT_FALSE(buffer.take());
  }
  buffer.feed("\n");
  EXPECT_EQ(buffer.take()->size(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace greenroom::detail
