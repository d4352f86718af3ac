// A life of a log in which its tables change and the segments that come free are prepared anew. The
// kit sees all of it: the engine runs here on a medium that flushes by libpmem's functions, as
// libpmemobj does. And one in which a stream's segments are given to others before its row is gone.
#include <gtest/gtest.h>
#include <libpmem.h>

#include <cinnabar/crash.hpp>
#include <cinnabar/log.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kit/bounded.hpp"
#include "kit/folder.hpp"
#include "kit/pool_file.hpp"
#include "log/engine.hpp"
#include "log/pmem_world.hpp"

namespace kit_test {
namespace {

namespace crash = cinnabar::crash;

using cinnabar::Lsn;
using cinnabar::ServiceId;

// Stores as production does.
class LibpmemMedium : public cinnabar::medium::PmemMedium {
  public:
    LibpmemMedium() : PmemMedium(cinnabar::Domain::cache_line) {}
    void flush(cinnabar::Site, const std::byte* from, size_t length) { pmem_flush(from, length); }
    void fence(cinnabar::Site) { pmem_drain(); }
};

using Engine = cinnabar::log::Engine<cinnabar::log::WorldOn<LibpmemMedium>>;

// What Log does with a pool and an engine, on that medium.
class Life {
  public:
    explicit Life(const std::string& path) : pool_(open_emulated(path)) {
        cinnabar::log::EngineOptions options;
        options.spares_max = kSparesMax;
        options.forced_cached = true;
        options.parallel_for = [](size_t count, const std::function<void(size_t)>& piece) {
            for (size_t i = 0; i < count; ++i) piece(i);
        };
        cinnabar::OpenReport report;
        engine_ = must(Engine::open(pool_.space(), medium_, options, report));
        must(pool_.keep_medium());
    }

    void add_stream(const std::string& name) {
        must(engine_->add_stream({0, name}, [&] { return pool_.add_stream(name, false); }));
    }
    void remove_stream(const std::string& name) {
        must(engine_->remove_stream(name, [&] { return pool_.remove_stream(number_of(name)); }));
    }
    // Any release prepares what is free; this one, to where the mark is, does nothing else.
    void remove_stream_too_late(const std::string& name, const ServiceState& teller) {
        must(engine_->remove_stream(name, [] { return cinnabar::Result<void>(); }));
        must(engine_->release(ServiceId{3}, cinnabar::Lsn{teller.mark}));
        must(pool_.remove_stream(number_of(name)));
    }
    void remove_service(const std::string& stream, uint16_t number) {
        const ServiceId service{number};
        must(engine_->remove_service(number_of(stream), service,
                                     [&] { return pool_.remove_service(service); }));
    }
    void add_service(const std::string& stream, const std::string& name) {
        const uint32_t number = number_of(stream);
        must(engine_->add_service(
            number, [&](uint64_t mark) { return pool_.add_service(number, name, mark); }));
    }
    void append(const std::string& stream, const std::string& text) {
        const cinnabar::Bytes record = std::as_bytes(std::span(text));
        must(engine_->stream(stream)->append({&record, 1}, record.size(), {}));
    }
    cinnabar::Result<void> close() {
        must(engine_->close());
        return pool_.close();
    }

  private:
    static constexpr uint32_t kSparesMax = 8;

    uint32_t number_of(const std::string& name) const {
        for (const auto& stream : pool_.streams())
            if (stream.name == name) return stream.stream;
        throw std::runtime_error("no stream " + name);
    }

    cinnabar::pool::Pool pool_;
    LibpmemMedium medium_;
    std::unique_ptr<Engine> engine_;
};

Life open_life(const std::string& path) {
    return Life(path);
}

TEST(PoolLife, SegmentsThatComeFreeArePreparedAnew) {
    const Folder folder;
    const std::string path = folder.file("pool");
    const PoolState before = make_pool(path);
    const auto has_a_record = [](PoolState& state) {
        state.streams.at("new").records = {pool_record_lsn(0)};
    };
    const std::vector<Step<Life>> steps = {
        {removes_stream("gone"), [](Life& life) { life.remove_stream("gone"); }},
        {removes_service(4), [](Life& life) { life.remove_service("kept", 4); }},
        {removes_service(1), [](Life& life) { life.remove_service("audited", 1); }},
        {adds_service(1, {"late", "audited", before.services.at(3).mark}),
         [](Life& life) { life.add_service("audited", "late"); }},
        {adds_stream("new", false), [](Life& life) { life.add_stream("new"); }},
        {{"append", has_a_record}, [](Life& life) { life.append("new", pool_record("new", 0)); }},
    };
    expect_clean(crash_steps<Life>(path, before, open_life, steps, bounded(kImagesOfPools)));
}

TEST(PoolLife, ARowThatGoesAfterItsSegmentsIsFound) {
    const Folder folder;
    const std::string path = folder.file("pool");
    const PoolState before = make_pool(path);
    const Step<Life> too_late = {removes_stream("gone"), [&](Life& life) {
                                     life.remove_stream_too_late("gone", before.services.at(3));
                                 }};
    expect_found(crash_steps<Life>(path, before, open_life, {too_late}, until_found()),
                 "missing_segment in stream 'gone'");
}

}  // namespace
}  // namespace kit_test
