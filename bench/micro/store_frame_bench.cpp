// store_frame and one fence against a plain non-temporal copy of the same padded bytes and one
// fence. Both walk their own prefaulted shared-memory area from end to end, so that every store
// meets a cold line, as in a log. They take turns in short slices; each round gives one ratio, and
// the median of the ratios is reported beside the times of both. The floor stores as wide as the
// path that it stands beside.
#include <benchmark/benchmark.h>
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "format/frame.hpp"
#include "medium/store_frame.hpp"

namespace cinnabar {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kAreaBytes = 256 << 20;
constexpr size_t kSliceBytes = 4 << 20;
constexpr size_t kOpsPerSliceMax = 4000;

// An area of shared memory, touched once, that hands out its bytes in order, round and round.
class Tape {
  public:
    Tape()
        : start_(static_cast<std::byte*>(mmap(nullptr, kAreaBytes, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))) {
        if (start_ != MAP_FAILED) std::memset(start_, 1, kAreaBytes);
    }
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;
    ~Tape() {
        if (start_ != MAP_FAILED) munmap(start_, kAreaBytes);
    }

    bool usable() const { return start_ != MAP_FAILED; }

    std::byte* next(size_t length) {
        if (at_ + length > kAreaBytes) at_ = 0;
        std::byte* const here = start_ + at_;
        at_ += length;
        return here;
    }

  private:
    std::byte* start_;
    size_t at_ = 0;
};

__attribute__((target("avx512f"))) void plain_copy_512(std::byte* to, const std::byte* from,
                                                       size_t length) {
    for (size_t i = 0; i < length; i += 64)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_loadu_si512(from + i));
}

void plain_copy_128(std::byte* to, const std::byte* from, size_t length) {
    for (size_t i = 0; i < length; i += 16)
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
}

using PlainCopy = void (*)(std::byte*, const std::byte*, size_t);

struct Work {
    Work(size_t frame, Crc32cPath by)
        : frame_bytes(frame),
          ops(std::clamp<size_t>(kSliceBytes / frame, 64, kOpsPerSliceMax)),
          payload(frame - format::kHeaderBytes),
          padded(frame),
          store(medium::store_frame_by(by)),
          copy(by == Crc32cPath::fold512 ? plain_copy_512 : plain_copy_128) {
        for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 13);
    }

    double floor_ns(Tape& tape) const {
        const auto start = Clock::now();
        for (size_t i = 0; i < ops; ++i) {
            copy(tape.next(frame_bytes), padded.data(), frame_bytes);
            _mm_sfence();
        }
        return per_op_ns(start);
    }

    double frame_ns(Tape& tape) {
        const auto start = Clock::now();
        for (size_t i = 0; i < ops; ++i) {
            FrameWords header;
            header.word = {lsn | 1, 0, lsn, 3};
            const std::array<Bytes, 1> parts = {Bytes(payload)};
            store(tape.next(frame_bytes), header, parts, static_cast<uint32_t>(lsn),
                  StoreKind::non_temporal);
            _mm_sfence();
            lsn += frame_bytes;
        }
        return per_op_ns(start);
    }

    double per_op_ns(Clock::time_point start) const {
        const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
        return taken.count() / static_cast<double>(ops);
    }

    size_t frame_bytes;
    size_t ops;
    std::vector<std::byte> payload;
    std::vector<std::byte> padded;
    medium::StoreFrame store;
    PlainCopy copy;
    uint64_t lsn = 0;
};

double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

void store_frame_to_floor(benchmark::State& state, Crc32cPath path) {
    Tape frame_tape;
    Tape floor_tape;
    if (!available(path) || !frame_tape.usable() || !floor_tape.usable()) {
        state.SkipWithError("the processor lacks it, or there is no memory");
        return;
    }
    Work work(static_cast<size_t>(state.range(0)), path);
    std::vector<double> frames, floors, ratios;
    bool floor_first = false;
    for (auto _ : state) {
        floor_first = !floor_first;
        double floor = floor_first ? work.floor_ns(floor_tape) : 0;
        const double frame = work.frame_ns(frame_tape);
        if (!floor_first) floor = work.floor_ns(floor_tape);
        frames.push_back(frame);
        floors.push_back(floor);
        ratios.push_back(frame / floor);
        state.SetIterationTime(frame * static_cast<double>(work.ops) * 1e-9);
    }
    state.counters["frame_ns"] = quantile(frames, 0.5);
    state.counters["floor_ns"] = quantile(floors, 0.5);
    state.counters["ratio_q1"] = quantile(ratios, 0.25);
    state.counters["ratio_median"] = quantile(ratios, 0.5);
    state.counters["ratio_q3"] = quantile(ratios, 0.75);
}

void frame_sizes(benchmark::internal::Benchmark* bench) {
    bench->UseManualTime()->Iterations(200)->Unit(benchmark::kMicrosecond);
    for (int64_t frame : {64, 128, 192, 256, 512, 1024, 4096, 16384, 65536}) bench->Arg(frame);
}

BENCHMARK_CAPTURE(store_frame_to_floor, fold512, Crc32cPath::fold512)->Apply(frame_sizes);
BENCHMARK_CAPTURE(store_frame_to_floor, instruction, Crc32cPath::instruction)->Apply(frame_sizes);

}  // namespace
}  // namespace cinnabar
