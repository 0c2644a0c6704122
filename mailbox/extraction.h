// A message on its way out of the mailbox into the parameter of a receive's body. For receive.h.
#pragma once

#include <exception>
#include <utility>

#include "greenroom/mailbox/mailbox.h"

namespace greenroom::detail {

// What a body takes by value, where moving it may throw: it leaves the mailbox when it has arrived
// in the body's parameter, and stays there otherwise.
template <class T>
class Extraction {
 public:
  explicit Extraction(Mailbox& mailbox) : mailbox_(mailbox) {}
  operator T() && {
    const Removal on_arrival{mailbox_};
    return T(std::move(mailbox_.scanned()->as<T>()));
  }

 private:
  struct Removal {
    ~Removal() {
      if (std::uncaught_exceptions() == exceptions) mailbox.take_scanned();
    }
    Mailbox& mailbox;
    const int exceptions = std::uncaught_exceptions();
  };
  Mailbox& mailbox_;
};

}  // namespace greenroom::detail
