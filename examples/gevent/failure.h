// How a greenlet has failed, in words.
#pragma once

#include <exception>
#include <string>

#include "greenroom/scheduler/green.h"

// Empty: it has returned. "late": it has not ended yet. Otherwise the text of what it has thrown.
inline std::string failure_of(const greenroom::green::Greenlet<>& greenlet) {
  if (!greenlet.ready()) return "late";
  if (greenlet.successful()) return "";
  try {
    std::rethrow_exception(greenlet.exception());
  } catch (const std::exception& error) {
    return error.what();
  }
}
