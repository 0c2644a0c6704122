// Tests that wait for what another thread, a signal or the kernel has to bring about fail if it
// does not come, and say which one it was.
#pragma once

namespace greenroom::hang_guard {

// From now on a test that takes longer than any machine needs ends its program with an error that
// names it. It is a thread without a hub that sees to that: a timer would wake the hub that is not
// woken. To be called before the tests run, to initialise a variable of the test's file.
bool fail_tests_that_hang();

}  // namespace greenroom::hang_guard
