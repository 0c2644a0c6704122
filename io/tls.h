// TLS: streams, connecting and accepting, contexts, what goes wrong.
#pragma once

#include "greenroom/io/endpoint.h"
#include "greenroom/io/io_error.h"
#include "greenroom/io/tls_context.h"
#include "greenroom/io/tls_error.h"
#include "greenroom/io/tls_stream.h"
