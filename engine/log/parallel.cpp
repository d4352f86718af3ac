#include "log/parallel.hpp"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

namespace cinnabar::log {

void parallel_for(size_t count, const std::function<void(size_t)>& piece) {
    if (count <= 1) {
        for (size_t i = 0; i < count; ++i) piece(i);
        return;
    }
    tbb::parallel_for(tbb::blocked_range<size_t>(0, count, 1),
                      [&](const tbb::blocked_range<size_t>& range) {
                          for (size_t i = range.begin(); i != range.end(); ++i) piece(i);
                      });
}

}  // namespace cinnabar::log
