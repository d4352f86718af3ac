// Services by their name, which is unique in a pool.
#pragma once

#include <string>

#include "cinnabar/log.hpp"

namespace cinnabar::tool {

inline Result<ServiceInfo> find_service(const Log& log, const std::string& name) {
    for (ServiceInfo& info : log.services())
        if (info.name == name) return std::move(info);
    return fail(Errc::not_found,
                "no service named '" + name + "' in this pool; see: cinnabar service list");
}

}  // namespace cinnabar::tool
