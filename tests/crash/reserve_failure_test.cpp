// A full log whose medium fails while a reserved record crosses into a segment that was kept back:
// the error is an error, the reservations end in peace, and nothing acknowledged is lost.
#include "crash/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

struct FullLog {
    FullLog() : setup({.domain = Domain::page, .spares = 0}, {.segments = 14}, true) {
        setup.add_service();
        EXPECT_TRUE(setup.life.open());
        core = setup.life.engine().stream("s");
        large = reserve(300, 12);
        small = reserve(1, 1);
        while (setup.life.append(setup.history, "s", 300, Durability::forced)) {
        }
        const Lsn oldest = setup.history["s"].appended.front().lsn;
        while (core->copies().carry_forward(core, {&oldest, 1})) {
        }
    }

    std::optional<Reservation> reserve(uint64_t bytes, uint32_t records) {
        auto reserved = StreamCoreBase::reserve(core, bytes, records, false);
        EXPECT_TRUE(reserved) << reserved.error().message;
        return std::move(*reserved);
    }

    OneStream setup;
    std::shared_ptr<StreamCoreBase> core;
    std::optional<Reservation> large;
    std::optional<Reservation> small;
};

// Draws on the large reservation with the sync after `well` good ones failing. The number of
// records that were acknowledged before the error.
size_t draw_until_error(FullLog& log, int well, Error& error) {
    int left = well;
    log.setup.life.medium().on_crash_point([&](Site) {
        if (left-- == 0) log.setup.life.medium().fail_next_sync();
    });
    size_t drawn = 0;
    for (; drawn < 12; ++drawn)
        if (auto lsn = append_reserved(log.core, *log.large, 300); !lsn) {
            error = lsn.error();
            break;
        }
    log.setup.life.medium().on_crash_point(nullptr);
    return drawn;
}

// What recovery finds: all ordinary records, and of the drawn ones those that were acknowledged,
// and perhaps the one whose sync failed.
void expect_recovered(FullLog& log, size_t drawn) {
    SimPool found(log.setup.pool, log.setup.life.medium().durable());
    Life life(found, log.setup.options);
    const auto opened = life.open();
    ASSERT_TRUE(opened) << opened.error().message;
    const auto records = life.read("s");
    ASSERT_TRUE(records) << records.error().message;
    const auto& ordinary = log.setup.history.at("s").appended;
    ASSERT_GE(records->size(), ordinary.size() + drawn);
    EXPECT_LE(records->size(), ordinary.size() + drawn + 1);
    for (size_t i = 0; i < records->size(); ++i) {
        const auto& payload = (*records)[i].second;
        EXPECT_TRUE(i < ordinary.size()
                        ? payload == record_bytes(ordinary[i].number, ordinary[i].length)
                        : payload == std::vector<std::byte>(300, std::byte{0x77}))
            << "record " << i;
    }
}

TEST(ReserveFailure, AFailingSyncAnywhereInADrawEndsInAnError) {
    int crossings = 0;
    for (int well = 0;; ++well) {
        FullLog log;
        const uint64_t before = log.core->appended() / kSpan;
        Error error;
        const size_t drawn = draw_until_error(log, well, error);
        if (drawn == 12) {
            EXPECT_GT(well, 12) << "each record is synced, and so is each crossing";
            break;
        }
        EXPECT_EQ(error.code, Errc::io);
        crossings += log.core->appended() / kSpan != before ? 1 : 0;
        EXPECT_FALSE(append_reserved(log.core, *log.small, 1)) << "the pool failed";
        EXPECT_FALSE(log.setup.life.engine().close()) << "a closed pool was a sound one";
        log.small.reset();  // neither may abort
        log.large.reset();
        expect_recovered(log, drawn);
    }
    EXPECT_GT(crossings, 0);
}

}  // namespace

}  // namespace cinnabar::crash_test
