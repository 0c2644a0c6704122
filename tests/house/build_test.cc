// What every target of this repository counts on: asserts in optimised builds, names in crash
// reports, frame pointers, and the third-party libraries of the right generation.
#include <ares.h>
#include <dlfcn.h>
#include <ev.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <boost/context/detail/fcontext.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "greenroom/tests/house/sample.h"

namespace greenroom::house {

__attribute__((noinline)) void* return_address_by_frame_pointer() {
  void** frame = static_cast<void**>(__builtin_frame_address(0));
  return frame[1];
}

__attribute__((noinline)) std::string name_of_caller() {
  Dl_info info{};
  dladdr(return_address_by_frame_pointer(), &info);
  return info.dli_sname == nullptr ? "" : info.dli_sname;
}

namespace {

void context_entry(boost::context::detail::transfer_t from) {
  boost::context::detail::jump_fcontext(from.fctx, from.data);
}

TEST(Build, AssertsAreCompiledInWhereNdebugIsNotSet) {
#ifdef NDEBUG
  EXPECT_FALSE(has_asserts());
#else
  EXPECT_TRUE(has_asserts());
#endif
}

TEST(Build, CodeIsCxx20) { EXPECT_GE(__cplusplus, 202002L); }

TEST(Build, AFunctionsNameIsFoundThroughFramePointerAndDynamicSymbols) {
  EXPECT_NE(name_of_caller().find("name_of_caller"), std::string::npos);
}

TEST(Build, ThirdPartyLibrariesLinkAndAreOfTheExpectedGeneration) {
  EXPECT_EQ(ev_version_major(), 4);
  EXPECT_GE(OpenSSL_version_num(), 0x30000000UL);
  EXPECT_EQ(nlohmann::json::parse("[1]").at(0), 1);
  int version = 0;
  ares_version(&version);
  EXPECT_GE(version, ARES_VERSION);
}

TEST(Build, ContextsSwitch) {
  alignas(16) static char stack[64 * 1024];
  auto context =
      boost::context::detail::make_fcontext(stack + sizeof stack, sizeof stack, context_entry);
  int mark = 0;
  EXPECT_EQ(boost::context::detail::jump_fcontext(context, &mark).data, &mark);
}

}  // namespace
}  // namespace greenroom::house
