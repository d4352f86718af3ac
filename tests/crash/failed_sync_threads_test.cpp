// Page domain: two streams, a thread each, and one write-back error, which the system reports once,
// to whoever asks first (traps L12 and L15).
#include "crash/harness.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::crash_test {

namespace {

constexpr int kRecords = 16;         // of each stream
constexpr size_t kLength = 800;      // four in a segment: each is prepared several times
constexpr uint64_t kSyncs = 2 * 36;  // of a run without a failure, at least
const std::array<std::string, 2> kStreams = {"one", "two"};

class TwoStreams {
  public:
    explicit TwoStreams(uint64_t seed)
        : seed_(seed), pool_({.segment_bytes = 4096, .segments = 4}), life_(make_life()) {
        if (auto opened = life_.open(); !opened) wrong = "open: " + opened.error().message;
    }

    // Each thread forces records, and releases what is before them, until one is refused; one msync
    // fails.
    void run() {
        uint64_t syncs = 0;
        const uint64_t failing = seed_ % kSyncs;
        life_.medium().on_crash_point([&](Site) {
            if (syncs++ == failing) life_.medium().fail_next_sync();
        });
        std::vector<std::function<void()>> bodies;
        for (size_t i = 0; i < kStreams.size(); ++i)
            bodies.push_back([this, i] { use(kStreams[i], keepers_[i]); });
        sim::run_interleaved(seed_, bodies);
        life_.medium().on_crash_point(nullptr);
    }

    // Every image that power loss now may leave holds what was acknowledged.
    void lose_power() {
        Explorer explorer(life_, [this](auto& image) {
            return recover_and_compare(pool_, image, history_, kOptions);
        });
        explorer.look("after the failure");
        if (wrong.empty()) wrong = explorer.failure;
        images = explorer.explored.images;
    }

    bool refused_with(const std::string& stream, Errc code) const {
        const auto at = refusals_.find(stream);
        return at != refusals_.end() && at->second == code;
    }

    std::string wrong;
    uint64_t images = 0;

  private:
    static constexpr Life::Options kOptions = {.domain = Domain::page, .spares = 0};

    Life make_life() {
        for (uint32_t i = 0; i < kStreams.size(); ++i) {
            const uint32_t number = pool_.add_stream(kStreams[i], false);
            const uint16_t row = pool_.add_service(number, "keeper");
            keepers_[i] = ServiceId{static_cast<uint16_t>(row + 1)};
            history_[kStreams[i]];
        }
        return Life(pool_, kOptions);
    }

    void use(const std::string& stream, ServiceId keeper) {
        for (int i = 0; i < kRecords; ++i) {
            const auto lsn = life_.append(history_, stream, kLength, Durability::forced);
            if (!lsn) return refused(stream, lsn.error());
            if (auto done = life_.release(history_, keeper, *lsn, stream); !done)
                return refused(stream, done.error());
        }
    }

    void refused(const std::string& stream, const Error& error) {
        refusals_[stream] = error.code;
        if (error.code != Errc::io && error.code != Errc::failed) wrong = error.message;
    }

    const uint64_t seed_;
    SimPool pool_;
    History history_;
    std::array<ServiceId, kStreams.size()> keepers_;
    Life life_;
    std::map<std::string, Errc> refusals_;
};

TEST(TrapThreads, L12_L15_OneStreamsErrorIsNotTheOthersSuccess) {
    constexpr uint64_t runs = 2 * kSyncs;
    const uint64_t first = seed_of_this_run();
    uint64_t both = 0, images = 0;
    for (uint64_t seed = first; seed < first + runs; ++seed) {
        TwoStreams streams(seed);
        streams.run();
        streams.lose_power();
        ASSERT_EQ(streams.wrong, "") << "CINNABAR_SEED=" << seed;
        images += streams.images;
        for (size_t i = 0; i < kStreams.size(); ++i)
            both += streams.refused_with(kStreams[i], Errc::io) &&
                    streams.refused_with(kStreams[1 - i], Errc::failed);
    }
    std::cout << runs << " interleavings from seed " << first << ", " << images << " images\n";
    EXPECT_GT(both, runs / 2) << "one stream had the error, the other was refused";
}

}  // namespace

}  // namespace cinnabar::crash_test
