// A program may block in main without starting anything: the thread becomes a hub by itself.
#include <chrono>

#include "greenroom/scheduler/green.h"

using namespace std::chrono_literals;

int main() { greenroom::sleep(100ms); }
