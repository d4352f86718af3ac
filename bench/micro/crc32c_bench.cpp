// CRC32C of frames as a recovery scan meets them: aligned runs of one size, one behind the other.
// The first argument is the size of a frame, the second the size of the area: one that stays in the
// second-level cache shows the processor's limit, one of 256 MiB the memory's.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/crc32c.hpp"

namespace cinnabar {
namespace {

constexpr size_t kHotBytes = 256 << 10;
constexpr size_t kColdBytes = 256 << 20;

struct FreeArea {
    void operator()(std::byte* p) const { std::free(p); }
};
using Area = std::unique_ptr<std::byte, FreeArea>;

Area filled_area(size_t area_bytes) {
    Area area(static_cast<std::byte*>(std::aligned_alloc(4096, area_bytes)));
    for (size_t i = 0; i < area_bytes; ++i) area.get()[i] = static_cast<std::byte>(i * 31 >> 3);
    return area;
}

void sum_frames(benchmark::State& state, Crc32cPath path) {
    if (!available(path)) {
        state.SkipWithError("the processor lacks it");
        return;
    }
    const size_t frame_bytes = static_cast<size_t>(state.range(0));
    const size_t area_bytes = static_cast<size_t>(state.range(1));
    const Area area = filled_area(area_bytes);
    const size_t frames = area_bytes / frame_bytes;
    const bool chosen = path == crc32c_path();
    uint32_t sums = 0;
    size_t frame = 0;
    for (auto _ : state) {
        const std::byte* const p = area.get() + frame * frame_bytes;
        sums ^= chosen ? crc32c(7, p, frame_bytes) : crc32c_by(path, 7, p, frame_bytes);
        if (++frame == frames) frame = 0;
    }
    benchmark::DoNotOptimize(sums);
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(frame_bytes));
}

// What the memory gives at best: the same bytes added up.
void read_only(benchmark::State& state) {
    const size_t frame_bytes = static_cast<size_t>(state.range(0));
    const size_t area_bytes = static_cast<size_t>(state.range(1));
    const Area area = filled_area(area_bytes);
    const size_t frames = area_bytes / frame_bytes;
    std::array<uint64_t, 8> total = {};
    size_t frame = 0;
    for (auto _ : state) {
        const std::byte* const p = area.get() + frame * frame_bytes;
        for (size_t i = 0; i < frame_bytes; i += sizeof total) {
            std::array<uint64_t, 8> line;
            std::memcpy(&line, p + i, sizeof line);
            for (size_t word = 0; word < line.size(); ++word) total[word] += line[word];
        }
        if (++frame == frames) frame = 0;
    }
    benchmark::DoNotOptimize(total);
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(frame_bytes));
}

void frame_sizes(benchmark::internal::Benchmark* bench) {
    for (int64_t area : {int64_t{kHotBytes}, int64_t{kColdBytes}})
        for (int64_t frame : {64, 128, 192, 256, 320, 512, 1024, 4096}) bench->Args({frame, area});
}

BENCHMARK(read_only)->Apply(frame_sizes);
BENCHMARK_CAPTURE(sum_frames, instruction, Crc32cPath::instruction)->Apply(frame_sizes);
BENCHMARK_CAPTURE(sum_frames, fold512, Crc32cPath::fold512)->Apply(frame_sizes);

}  // namespace
}  // namespace cinnabar
