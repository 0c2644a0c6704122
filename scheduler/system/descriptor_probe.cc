#include "greenroom/scheduler/system/descriptor_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace greenroom::detail {

int lack_of_descriptors() noexcept {
  const int before = errno;
  const int fd = ::open("/", O_PATH | O_CLOEXEC);
  const int error = fd < 0 ? errno : 0;
  if (fd >= 0) ::close(fd);
  errno = before;
  return error == EMFILE || error == ENFILE ? error : 0;
}

}  // namespace greenroom::detail
