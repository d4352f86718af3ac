// Page domain: an msync that fails while a stream of a full log draws on what was promised to it,
// and so crosses from one segment that was kept back into the next. Each msync of that in turn.
#include <optional>
#include <set>

#include "crash/harness.hpp"
#include "trials/one_stream.hpp"

namespace cinnabar::crash_test {

namespace {

struct Drawn {
    uint64_t length;
    uint32_t records;
};
constexpr Drawn kLines{12, 300};     // of one line: no segment ends with a pad
constexpr Drawn kRecords{100, 100};  // of three

class FullLog {
  public:
    FullLog(bool large_copies, const Drawn& drawn) : length_(drawn.length), left_(drawn.records) {
        if (auto opened = setup_.life.open(); !opened) wrong = "open: " + opened.error().message;
        auto core = setup_.life.engine().stream("s");
        auto many = StreamCoreBase::reserve(core, length_, left_, false);
        // As much as the record that was in flight: it may have used up some of the others' space.
        auto one = StreamCoreBase::reserve(core, length_, 1, false);
        if (!many || !one) {
            wrong = "not reserved";
            return;
        }
        many_ = std::move(*many);
        one_ = std::move(*one);
        for (const size_t length : {large_copies ? 800 : 40, 600, 24})
            while (append(length, {.durability = Durability::lazy})) {
            }
        const Lsn first = setup_.history["s"].appended.front().lsn;
        while (core->copies().carry_forward(core, {&first, 1})) {
        }
        setup_.life.note_durable(setup_.history, "s");
    }

    // Draws until an error; the msync with this number fails. False: it never came to that one.
    bool draw(uint64_t failing) {
        uint64_t syncs = 0;
        setup_.life.medium().on_crash_point([&](Site site) {
            if (syncs++ != failing) return;
            site_ = site;
            setup_.life.medium().fail_next_sync();
        });
        Result<Lsn> drawn = Lsn{};
        for (; drawn && left_ > 0; left_ -= drawn ? 1 : 0) {
            const bool forced = left_ % 16 == 0;
            drawn = append(length_, {.durability = forced ? Durability::forced : Durability::lazy,
                                     .reservation = &*many_});
        }
        setup_.life.medium().on_crash_point(nullptr);
        if (drawn) return false;
        if (drawn.error().code != Errc::io) wrong = "drawing: " + drawn.error().message;
        return true;
    }

    // The pool has failed: every call says so, and what was promised is given back in any order.
    void give_up(bool small_first) {
        for (const auto& options : {AppendOptions{}, AppendOptions{.reservation = &*one_}})
            if (auto refused = append(1, options); refused || refused.error().code != Errc::failed)
                wrong = "an append to a failed pool";
        if (setup_.life.engine().close()) wrong = "a failed pool was closed as a sound one";
        (small_first ? one_ : many_).reset();
        (small_first ? many_ : one_).reset();
    }

    // Power loss now leaves all that was acknowledged, and what was promised can be had again.
    // (One image of seven, others each time: the whole loop sees all kinds.)
    void lose_power(uint64_t turn) {
        const auto check = [this, turn](sim::Image& image) mutable -> std::string {
            if (++turn % 7 != 0) return "";
            ++images;
            Crashed crashed(setup_.pool, image, setup_.options);
            Life& life = crashed.life;
            if (auto opened = life.open(); !opened) return "open: " + opened.error().message;
            if (auto differs = compare(life, setup_.history); !differs.empty()) return differs;
            auto again = StreamCoreBase::reserve(life.engine().stream("s"), length_, left_, true);
            return again ? "" : "not reserved again: " + again.error().message;
        };
        Explorer explorer(setup_.life, check);
        explorer.look("power loss at " + std::string(name_of(site_)));
        if (wrong.empty()) wrong = explorer.failure;
    }

    // kill -9 instead, a restart, and all that was left is drawn.
    void restart() {
        setup_.life.kill();
        if (auto opened = setup_.life.open(); !opened) {
            wrong = "restart: " + opened.error().message;
            return;
        }
        wrong = compare(setup_.life, setup_.history);
        setup_.life.note_durable(setup_.history, "s");
        auto core = setup_.life.engine().stream("s");
        auto again = StreamCoreBase::reserve(core, length_, left_, true);
        if (!again) wrong = "not reserved again: " + again.error().message;
        for (; wrong.empty() && left_ > 0; --left_)
            if (auto drawn = append_reserved(core, *again, length_); !drawn)
                wrong = "drawing after the restart: " + drawn.error().message;
    }

    Site site() const { return site_; }

    std::string wrong;
    uint64_t images = 0;

  private:
    Result<Lsn> append(size_t length, const AppendOptions& options) {
        return setup_.life.append(setup_.history, "s", length, options);
    }

    OneStream setup_{
        {.domain = Domain::page, .spares = 0}, {.segment_bytes = 4096, .segments = 14}, true};
    std::optional<Reservation> many_, one_;
    const uint64_t length_;
    uint32_t left_;
    Site site_ = Site::none;
};

void fail_each_sync(bool large_copies, bool small_first, const Drawn& drawn) {
    std::set<Site> sites;
    uint64_t images = 0;
    uint64_t failing = 0;
    for (;; ++failing) {
        FullLog log(large_copies, drawn);
        ASSERT_EQ(log.wrong, "");
        if (!log.draw(failing)) break;
        sites.insert(log.site());
        log.give_up(small_first);
        if (log.wrong.empty()) log.lose_power(failing);
        images += log.images;
        if (log.wrong.empty()) log.restart();
        ASSERT_EQ(log.wrong, "") << "msync " << failing << ", at " << name_of(log.site());
    }
    std::cout << failing << " msyncs failed, " << images << " images\n";
    EXPECT_TRUE(sites.contains(Site::header_a_fence)) << "of the segment's header";
    EXPECT_TRUE(sites.contains(Site::header_b_fence));
    EXPECT_EQ(sites.contains(Site::pad_sync), drawn.length == kRecords.length);
    EXPECT_TRUE(sites.contains(Site::link_sync));
    EXPECT_TRUE(sites.contains(Site::page_sync)) << "of the records";
}

TEST(FailedSync, WhileAStreamCrossesIntoAKeptBackSegment) {
    fail_each_sync(false, true, kLines);
}

TEST(FailedSync, WhileItWritesAPad) {
    fail_each_sync(false, true, kRecords);
}

TEST(FailedSync, WhereLargeCopiesFilledTheLog) {
    fail_each_sync(true, false, kLines);
}

}  // namespace

}  // namespace cinnabar::crash_test
