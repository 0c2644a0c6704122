// TLS: streams, connecting and accepting, contexts, what goes wrong.
#pragma once

#include "greenroom/io/socket/endpoint.h"
#include "greenroom/io/socket/io_error.h"
#include "greenroom/io/tls/context.h"
#include "greenroom/io/tls/error.h"
#include "greenroom/io/tls/stream.h"
