// The run: makes the logs, has them scanned, killed and opened, and checks what is there.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <filesystem>
#include <thread>

#include "force/environment.hpp"
#include "force/place.hpp"
#include "force/stop.hpp"
#include "format/frame.hpp"
#include "log/scan.hpp"
#include "pool/pool.hpp"
#include "recovery/recovery_bench.hpp"
#include "recovery/writer.hpp"
#include "rivals/mapping.hpp"

namespace cinnabar::bench {

namespace {

constexpr uint64_t kFrameBytes = format::padded_bytes(kRecoveryRecordBytes);
constexpr uint64_t kPoolOverhead = uint64_t{16} << 20;
constexpr uint64_t kReopenSegment = uint64_t{1} << 20;
constexpr uint64_t kRecordsPerRound = 10'000;  // that later rounds of reopening add
constexpr uint32_t kRoundsMax = 100;
constexpr uint32_t kSpares = 4;  // as OpenOptions has it
constexpr uint64_t kScanBytesMin = uint64_t{1} << 20;
constexpr uint64_t kScanBytesMax = uint64_t{2} << 30;

// As recovery's own parallelism, with a stated number of threads.
ParallelFor by_threads(unsigned threads) {
    return [threads](size_t count, const std::function<void(size_t)>& piece) {
        std::atomic<size_t> next{0};
        const auto work = [&] {
            for (size_t i = next++; i < count; i = next++) piece(i);
        };
        std::vector<std::thread> others;
        for (unsigned t = 1; t < std::min<size_t>(threads, count); ++t) others.emplace_back(work);
        work();
        for (std::thread& other : others) other.join();
    };
}

// Reads every word once and does as little with it as can be done.
uint64_t read_and_sum(Bytes bytes) {
    std::array<uint64_t, 8> sums = {};
    for (size_t at = 0; at + sizeof sums <= bytes.size(); at += sizeof sums) {
        std::array<uint64_t, 8> line;
        std::memcpy(line.data(), &bytes[at], sizeof line);
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += line[i];
    }
    uint64_t sum = 0;
    for (const uint64_t part : sums) sum += part;
    return sum;
}

template <class Work>
double time_ns(Work&& work) {
    const uint64_t from = Clock::monotonic_ns();
    work();
    return static_cast<double>(Clock::monotonic_ns() - from);
}

class Run {
  public:
    Run(const RecoveryBenchOptions& options, Progress& progress)
        : options_(options), progress_(progress) {
        const bool quick = options_.quick;
        if (options_.scan_bytes == 0) options_.scan_bytes = uint64_t{quick ? 64u : 256u} << 20;
        if (options_.log_bytes == 0) options_.log_bytes = uint64_t{quick ? 128u : 1024u} << 20;
        if (options_.rounds == 0) options_.rounds = quick ? 3 : 9;
    }

    // A signal from the terminal reaches the writer too, and whatever fails then fails by it.
    Result<RecoveryBenchReport> run() {
        auto report = measure();
        if (auto ok = stop_.go_on(); !ok) return fail(ok.error());
        return report;
    }

  private:
    Result<RecoveryBenchReport> measure() {
        const uint64_t started = Clock::monotonic_ns();
        if (auto ok = check(); !ok) return fail(ok.error());
        report_.quick = options_.quick;
        report_.environment = find_environment(Clock::calibrated());
        report_.environment.pinned = false;
        if (auto ok = choose_place(); !ok) return fail(ok.error());
        if (auto ok = scan(); !ok) return fail(ok.error());
        for (Durability durability : {Durability::forced, Durability::lazy})
            if (auto ok = reopen(durability); !ok) return fail(ok.error());
        report_.environment.seconds = static_cast<double>(Clock::monotonic_ns() - started) * 1e-9;
        return std::move(report_);
    }

    Result<void> check() const {
        if (options_.rounds > kRoundsMax)
            return fail(Errc::invalid_argument, "100 rounds are the most");
        for (const uint64_t bytes : {options_.scan_bytes, options_.log_bytes})
            if (bytes < kScanBytesMin || bytes > kScanBytesMax)
                return fail(Errc::invalid_argument, "a log to recover has 1 MiB to 2 GiB");
        return {};
    }

    uint64_t scan_segment_bytes() const { return std::bit_floor(options_.scan_bytes / streams_); }
    uint64_t scan_pool_bytes() const {
        return std::max<uint64_t>(streams_ + 2, pool::kSegmentsMin) * scan_segment_bytes() +
               kPoolOverhead;
    }
    uint64_t reopen_pool_bytes() const {
        return options_.log_bytes + options_.log_bytes / 64 + kPoolOverhead +
               (options_.rounds + 2) * uint64_t{8} * kReopenSegment;
    }

    Result<void> choose_place() {
        const uint64_t need = std::max(scan_pool_bytes(), reopen_pool_bytes());
        const auto directories = options_.directory.empty()
                                     ? usual_directories()
                                     : std::vector<std::string>{options_.directory};
        auto place = bench::choose_place(directories, 1, {need, need, true, 0, ""});
        if (!place) return fail(place.error());
        report_.environment.medium = *place;
        report_.environment.emulate = options_.emulate.value_or(
            is_memory(place->file_system) ? Emulate::cache_line : Emulate::no);
        auto scratch = ScratchDirectory::make(place->directory);
        if (!scratch) return fail(scratch.error());
        scratch_.emplace(std::move(*scratch));
        return {};
    }

    Result<Log> open(const std::string& path, uint32_t spare_segments) {
        OpenOptions options;
        options.emulate = report_.environment.emulate;
        options.spare_segments = spare_segments;
        return Log::open(path, options);
    }

    // What the pool found its medium to be goes into the report.
    void note_medium(const MediumInfo& medium) {
        Environment& e = report_.environment;
        e.floor.domain = medium.domain;
        e.floor.emulated = medium.emulated || medium.domain == Domain::page;
        if (!medium.emulated) e.emulate = Emulate::no;
    }

    // --- the scan --------------------------------------------------------------------------------
    Result<void> scan() {
        const std::string path = scratch_->path() + "/scan";
        progress_.at(0, "writing the log to scan");
        if (auto ok = fill_for_scan(path); !ok) return ok;
        auto pool = pool::Pool::open(path, {.emulate = report_.environment.emulate});
        if (!pool) return fail(pool.error());
        std::vector<Bytes> written;
        for (const log::StreamScan& stream : log::scan_pool(pool->space(), by_threads(1)).streams)
            written.emplace_back(pool->space().segments[stream.kept.at(0)] + format::kFramesOffset,
                                 stream.cut - stream.verified_from);
        for (unsigned threads = 1; threads <= streams_; ++threads) {
            ScanRow row;
            row.threads = threads;
            row.verified = true;
            for (const Bytes& bytes : written) row.bytes += bytes.size();
            report_.scans.push_back(row);
        }
        for (uint32_t round = 0; round < options_.rounds; ++round)
            for (ScanRow& row : report_.scans) {
                if (auto ok = stop_.go_on(); !ok) return ok;
                progress_.at(0.2 + 0.2 * round / options_.rounds, "scanning");
                scan_once(pool->space(), written, row, round % 2 == 0);
            }
        pool->close();
        std::filesystem::remove(path);
        return {};
    }

    Result<void> fill_for_scan(const std::string& path) {
        if (auto made = Log::create(path, {scan_pool_bytes(), scan_segment_bytes()}); !made)
            return made;
        // Recovery also looks through a prepared segment for frames that lost their link: of such
        // large ones there shall be none.
        auto log = open(path, 0);
        if (!log) return fail(log.error());
        note_medium(log->medium());
        records_ =
            (format::frame_space(scan_segment_bytes()) - 2 * format::kLineBytes) / kFrameBytes;
        for (unsigned i = 0; i < streams_; ++i) {
            auto stream = log->add_stream("scan-" + std::to_string(i), Writers::one);
            if (!stream) return fail(stream.error());
            AppendOptions lazy;
            lazy.durability = Durability::lazy;
            for (uint64_t n = 0; n < records_; ++n) {
                const auto record = recovery_record(n);
                auto lsn = stream->append(std::as_bytes(std::span(record)), lazy);
                if (!lsn) return fail(lsn.error());
            }
        }
        return log->close();
    }

    void scan_once(const pool::Space& space, const std::vector<Bytes>& written, ScanRow& row,
                   bool scan_first) {
        const ParallelFor parallel_for = by_threads(row.threads);
        const auto scan = [&] {
            log::PoolScan found;
            row.round_scan_ns.push_back(
                time_ns([&] { found = log::scan_pool(space, parallel_for); }));
            row.frames = 0;
            for (const log::StreamScan& stream : found.streams) row.frames += stream.frames;
            // Beside its records a stream has its link frame and the one of the clean close.
            row.verified =
                row.verified && found.damage.empty() && row.frames == streams_ * (records_ + 2);
        };
        const auto read = [&] {
            std::vector<uint64_t> sums(written.size());
            row.round_read_ns.push_back(time_ns([&] {
                parallel_for(written.size(), [&](size_t i) { sums[i] = read_and_sum(written[i]); });
            }));
            if (sums_.empty()) sums_ = sums;
            row.verified = row.verified && sums == sums_;
        };
        if (scan_first) scan();
        read();
        if (!scan_first) scan();
    }

    // --- reopening -------------------------------------------------------------------------------
    Result<void> reopen(Durability durability) {
        const std::string path = scratch_->path() + "/reopen";
        if (auto made = Log::create(path, {reopen_pool_bytes(), kReopenSegment}); !made)
            return made;
        {
            auto log = open(path, kSpares);
            if (!log) return fail(log.error());
            if (auto added = log->add_stream(kRecoveryStream, Writers::one); !added)
                return fail(added.error());
            if (auto closed = log->close(); !closed) return closed;
        }
        ReopenRow row;
        row.durability = durability;
        row.verified = true;
        WriterOrder order;
        order.path = std::filesystem::absolute(path).string();
        order.emulate = report_.environment.emulate;
        order.durability = durability;
        order.count = options_.log_bytes / kFrameBytes;
        row.log_bytes = order.count * kFrameBytes;
        for (uint32_t round = 0; round < options_.rounds; ++round) {
            if (auto ok = stop_.go_on(); !ok) return ok;
            const double done = static_cast<double>(round) / options_.rounds;
            progress_.at((durability == Durability::forced ? 0.4 : 0.7) + 0.3 * done,
                         "killing and reopening");
            if (auto killed = write_and_kill(order); !killed) return killed;
            if (auto opened = reopen_once(order, row); !opened) return opened;
            order.count = kRecordsPerRound;
        }
        report_.reopens.push_back(std::move(row));
        std::filesystem::remove(path);
        return {};
    }

    Result<void> reopen_once(WriterOrder& order, ReopenRow& row) {
        std::optional<Log> log;
        std::optional<Error> error;
        const double open_ns = time_ns([&] {
            auto opened = open(order.path, kSpares);
            if (opened)
                log.emplace(std::move(*opened));
            else
                error = opened.error();
        });
        if (error) return fail(std::move(*error));
        row.round_open_ns.push_back(open_ns);
        row.round_recovery_ns.push_back(static_cast<double>(log->report().recovery_ns));
        const StreamReport& stream = log->report().streams.at(0);
        row.bytes_verified = stream.bytes_verified;
        row.bytes_flushed = stream.bytes_flushed;
        auto records = count_records(*log);
        if (!records) return fail(records.error());
        row.verified = row.verified && *records >= order.first + order.count;
        order.first = *records;
        return log->close();
    }

    // How many records the log holds; an error unless they are the first so many.
    static Result<uint64_t> count_records(Log& log) {
        auto stream = log.stream(kRecoveryStream);
        if (!stream) return fail(stream.error());
        auto reader = stream->read();
        if (!reader) return fail(reader.error());
        for (uint64_t number = 0;; ++number) {
            auto record = reader->next();
            if (!record) return fail(record.error());
            if (!*record) return number;
            const auto wanted = recovery_record(number);
            const Bytes found = (*record)->payload;
            if (found.size() != sizeof wanted ||
                std::memcmp(found.data(), wanted.data(), sizeof wanted) != 0)
                return fail(Errc::corrupt,
                            "record " + std::to_string(number) + " is not what was appended there");
        }
    }

    const StopBySignal stop_;
    RecoveryBenchOptions options_;
    Progress& progress_;
    RecoveryBenchReport report_;
    std::optional<ScratchDirectory> scratch_;
    const unsigned streams_ = std::min(cores_allowed(), 2u);
    uint64_t records_ = 0;  // of each stream that is scanned
    std::vector<uint64_t> sums_;
};

}  // namespace

Result<RecoveryBenchReport> run_recovery_bench(const RecoveryBenchOptions& options,
                                               Progress& progress) {
    return Run(options, progress).run();
}

}  // namespace cinnabar::bench
