// The floor: what a force asks of the hardware. The padded bytes of a frame (32 bytes of header,
// the record, zeros up to a line) stored non-temporally in sequence, and one fence per force. No
// checksum, no shared tail, no recovery. (On some processors small frames are cheaper still through
// the caches with a flush; the yardstick stays the same everywhere.)
// g++ 12's own 512-bit intrinsics read a value that they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#include <libpmem.h>

#include <cstring>

#include "rivals/lane_engine.hpp"
#include "rivals/mapping.hpp"
#include "rivals/registry.hpp"

namespace cinnabar::bench {

namespace {

constexpr uint32_t kHeader = 32;
constexpr uint32_t kLine = 64;
constexpr Framing kFraming{kHeader, kLine};

// The header's words stand for those of a real frame; the first is the record's index.
using Header = std::array<uint64_t, 4>;
using StoreFrame = void (*)(std::byte* to, const Header& header, const std::byte* from,
                            size_t length);

__attribute__((target("avx512f,avx512bw,avx512vl"))) void store_frame_512(std::byte* to,
                                                                          const Header& header,
                                                                          const std::byte* from,
                                                                          size_t length) {
    const __m256i head =
        _mm256_set_epi64x(static_cast<long long>(header[3]), static_cast<long long>(header[2]),
                          static_cast<long long>(header[1]), static_cast<long long>(header[0]));
    const size_t beside = std::min<size_t>(length, kLine - kHeader);
    const auto beside_mask = static_cast<__mmask32>((uint64_t{1} << beside) - 1);
    const __m256i first = _mm256_maskz_loadu_epi8(beside_mask, from);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to),
                        _mm512_inserti64x4(_mm512_zextsi256_si512(head), first, 1));
    to += kLine;
    from += beside;
    length -= beside;
    for (; length >= kLine; length -= kLine, from += kLine, to += kLine) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
    }
    if (length == 0) return;
    const auto mask = static_cast<__mmask64>((uint64_t{1} << length) - 1);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_maskz_loadu_epi8(mask, from));
}

void stream_line(std::byte* to, const std::byte* from) {
    for (size_t i = 0; i < kLine; i += 16) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
    }
}

void store_frame_128(std::byte* to, const Header& header, const std::byte* from, size_t length) {
    alignas(kLine) std::byte line[kLine] = {};
    const size_t beside = std::min<size_t>(length, kLine - kHeader);
    std::memcpy(line, header.data(), kHeader);
    std::memcpy(line + kHeader, from, beside);
    stream_line(to, line);
    to += kLine;
    from += beside;
    length -= beside;
    for (; length >= kLine; length -= kLine, from += kLine, to += kLine) stream_line(to, from);
    if (length == 0) return;
    std::memset(line, 0, kLine);
    std::memcpy(line, from, length);
    stream_line(to, line);
}

bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

class FloorWorker {
  public:
    FloorWorker(std::byte* area, Lane lane, ModelledLatency modelled, const Clock* clock)
        : area_(area),
          lane_(lane),
          modelled_(modelled),
          clock_(clock),
          store_(has_avx512() ? store_frame_512 : store_frame_128) {}

    void append(Bytes record, bool force) {
        const uint64_t bytes = kFraming.framed(record.size());
        std::byte* to = area_ + lane_.take(bytes);
        store_(to, Header{lane_.next_index(), record.size(), bytes_, 1}, record.data(),
               record.size());
        bytes_ += bytes;
        if (!force) return;
        _mm_sfence();
        ++fences_;
        if (modelled_.any()) [[unlikely]]
            wait_modelled();
    }

    uint64_t fits(uint64_t bytes) const { return lane_.left() / kFraming.framed(bytes); }
    const std::optional<Error>& error() const { return error_; }
    Work work() const {
        Work work;
        work.fences = fences_;
        work.lines = bytes_ / kLine;
        work.medium_bytes = bytes_;
        return work;
    }
    Lane& lane() { return lane_; }

  private:
    void wait_modelled() {
        const uint64_t lines = (bytes_ - modelled_bytes_) / kLine;
        modelled_bytes_ = bytes_;
        const uint64_t wait =
            clock_->ticks_of(modelled_.fence_ns + lines * uint64_t{modelled_.line_ns});
        const uint64_t from = clock_->now();
        while (clock_->now() - from < wait) _mm_pause();
    }

    std::byte* area_;
    Lane lane_;
    ModelledLatency modelled_;
    const Clock* clock_;
    StoreFrame store_;
    uint64_t bytes_ = 0;
    uint64_t modelled_bytes_ = 0;
    uint64_t fences_ = 0;
    std::optional<Error> error_;
};

class FloorEngine final : public LaneEngine<FloorWorker> {
  public:
    FloorEngine() : LaneEngine(kFraming) {}

    Result<Taken> open(const Setup& setup) override {
        file_.own(setup.path);
        if (auto made = mapping_.create(setup.path, setup.area_bytes); !made) {
            return fail(made.error());
        }
        area_bytes_ = setup.area_bytes;
        modelled_ = setup.modelled;
        clock_ = Clock::calibrated();
        Taken taken;
        taken.domain = pmem_has_auto_flush() == 1 ? Domain::byte : Domain::cache_line;
        taken.emulated = !mapping_.is_pmem();
        taken.counts = Counts::counted;
        taken.say(has_avx512() ? "64-byte non-temporal stores, sfence"
                               : "16-byte non-temporal stores, sfence");
        return taken;
    }

  protected:
    Result<FloorWorker> make_worker(Lane lane) override {
        return FloorWorker(mapping_.data(), lane, modelled_, &clock_);
    }
    Result<const std::byte*> reopen() override { return reopen_mapping(mapping_, file_.path()); }

  private:
    FileGuard file_;
    Mapping mapping_;
    ModelledLatency modelled_;
    Clock clock_;
};

}  // namespace

std::unique_ptr<Engine> make_floor() {
    return std::make_unique<FloorEngine>();
}

}  // namespace cinnabar::bench
