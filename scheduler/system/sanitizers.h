// GREENROOM_ASAN and GREENROOM_TSAN: which sanitizer, if any, this is compiled with.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define GREENROOM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENROOM_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GREENROOM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GREENROOM_TSAN 1
#endif
#endif
