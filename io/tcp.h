// TCP: streams, lines, listeners, connecting; what active mode sends.
#pragma once

#include "greenroom/io/active_mode.h"
#include "greenroom/io/connect.h"
#include "greenroom/io/endpoint.h"
#include "greenroom/io/io_error.h"
#include "greenroom/io/lines.h"
#include "greenroom/io/listener.h"
#include "greenroom/io/next_line.h"
#include "greenroom/io/stream.h"
