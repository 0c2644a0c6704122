// A library of one function, declared as every library here is: build_test.cc looks at how it was
// built.
#pragma once

namespace greenroom::house {

// Returns whether the library's own source was compiled with asserts.
bool has_asserts();

}  // namespace greenroom::house
