// A library that calls back, for unwind_probe_test. It is built twice, as a function that may throw
// and as one that must not: the same code, at the same addresses once it is loaded, with other
// tables. Aligned, because what is before it is not the same.
#ifndef GREENROOM_NOEXCEPT
#define GREENROOM_NOEXCEPT
#endif
extern "C" __attribute__((visibility("default"), aligned(4096))) bool call_back(bool (*f)())
    GREENROOM_NOEXCEPT {
  const bool result = f();
  asm volatile("");  // so that the call is not a jump
  return result;
}
