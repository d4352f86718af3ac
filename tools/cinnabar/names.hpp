// Streams and services by their names. The error for a name that is not there lists those that are.
#pragma once

#include <string>

#include "cinnabar/log.hpp"

namespace cinnabar::tool {

// Errors: not_found, and the log's own.
Result<Stream> find_stream(Log& log, const std::string& name);
// A service of any stream: names are unique in a pool.
Result<ServiceInfo> find_service(const Log& log, const std::string& name);
// A service of this stream.
Result<ServiceInfo> find_service_of(const Log& log, const std::string& stream,
                                    const std::string& name);

// The same error, with the streams of the pool if it is that one was not found.
Error with_streams(const Log& log, Error error);

// How to make room in a pool that is full for a stream: the commands, in one sentence. They free
// one segment and no more: how far a service may go beyond is not known here.
std::string how_to_make_room(Log& log, const std::string& pool, const std::string& stream);

}  // namespace cinnabar::tool
