#include "greenroom/tests/house/sample.h"

#include <cassert>

namespace greenroom::house {

bool has_asserts() {
  bool evaluated = false;
  assert(evaluated = true);
  return evaluated;
}

}  // namespace greenroom::house
