// TCP: streams, lines, listeners, connecting; what active mode sends.
#pragma once

#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/stream/active_mode.h"
#include "greenroom/io/stream/lines.h"
#include "greenroom/io/stream/next_line.h"
#include "greenroom/io/stream/stream.h"
#include "greenroom/io/tcp/connect.h"
#include "greenroom/io/tcp/listener.h"
