// A program whose only call of the actors' is receive().
#include <gtest/gtest.h>

#include <string>

#include "greenroom/actors/actors.h"

namespace greenroom {
namespace {

struct Never {};

TEST(ReceiveOnly, MakesTheRootGreenletAnActor) {
  try {
    receive([](Never) {});
    FAIL() << "nobody can have sent it";
  } catch (const green::LoopExit& error) {
    EXPECT_NE(std::string(error.what()).find("receive"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace greenroom
