// The log against a plain model: random sequences of appends, forces, releases, reads, reopens and
// kills on a small pool, and after each the log must hold what the model holds. CINNABAR_SEED
// gives the sequence again.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <stdlib.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "cinnabar/log.hpp"

namespace cinnabar {
namespace {

enum class Act : uint8_t { lazy, forced, force, release, read, reopen, kill, check, burst };

struct Step {
    Act act = Act::lazy;
    uint64_t size = 1;    // of a record, modulo what may be
    uint64_t choice = 0;  // which record a force, release or read means
    uint8_t stream = 0;
};

const char* name_of(Act act) {
    constexpr const char* names[] = {"lazy",   "forced", "force", "release", "read",
                                     "reopen", "kill",   "check", "burst"};
    return names[static_cast<size_t>(act)];
}

void showValue(const Step& step, std::ostream& out) {
    out << name_of(step.act) << "(size " << step.size << ", choice " << step.choice << ", stream "
        << int{step.stream} << ")";
}

rc::Gen<Step> any_step() {
    return rc::gen::map(
        rc::gen::tuple(rc::gen::weightedElement<Act>({{8, Act::lazy},
                                                      {6, Act::forced},
                                                      {2, Act::force},
                                                      {3, Act::release},
                                                      {2, Act::read},
                                                      {1, Act::reopen},
                                                      {1, Act::kill},
                                                      {1, Act::check},
                                                      {2, Act::burst}}),
                       rc::gen::inRange<uint64_t>(0, 5000), rc::gen::inRange<uint64_t>(0, 1 << 20),
                       rc::gen::inRange<int>(0, 2)),
        [](const std::tuple<Act, uint64_t, uint64_t, int>& parts) {
            return Step{std::get<0>(parts), std::get<1>(parts), std::get<2>(parts),
                        static_cast<uint8_t>(std::get<3>(parts))};
        });
}

std::vector<std::byte> record_bytes(uint64_t number, uint64_t size) {
    std::vector<std::byte> bytes(size);
    std::mt19937_64 random(number);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

// What a stream must hold: the records from its mark on.
struct Model {
    struct Entry {
        Lsn lsn;
        uint64_t number = 0;
        uint64_t size = 0;
    };
    std::string name;
    std::vector<Entry> entries;
    Lsn mark;
    Lsn end;  // greater than every LSN given so far
    ServiceId service;
};

class Play {
  public:
    Play(const std::filesystem::path& folder, uint64_t segment_bytes, Emulate emulate)
        : folder_(folder), path_(folder / "pool") {
        std::filesystem::remove(path_);
        options_.emulate = emulate;
        options_.spare_segments = 2;
        sound(
            Log::create(path_, {uint64_t{segment_bytes < 65536 ? 8u : 16u} << 20, segment_bytes}));
        open();
        for (const char* name : {"one", "many"}) {
            Model model;
            model.name = name;
            sound(log_->add_stream(name, *name == 'o' ? Writers::one : Writers::many));
            model.service = *log_->add_service(name, std::string("service of ") + name);
            models_.push_back(std::move(model));
        }
    }

    void take(const Step& step) {
        Model& model = models_[step.stream];
        Stream stream = *log_->stream(model.name);
        switch (step.act) {
            case Act::lazy:
            case Act::forced: append(stream, model, step.size, step.act == Act::forced); break;
            case Act::burst:
                for (uint64_t i = 0; i < 30; ++i)
                    append(stream, model, step.size * (i + 1), (step.choice >> i) & 1);
                break;
            case Act::force: force(stream, model, step.choice); break;
            case Act::release: release(stream, model, step.choice); break;
            case Act::read: compare(stream, model, step.choice); break;
            case Act::reopen:
                log_.reset();
                open();
                break;
            case Act::kill: kill(); break;
            case Act::check: {
                const auto damage = log_->check();
                RC_ASSERT(damage.has_value());
                RC_ASSERT(damage->empty());
                break;
            }
        }
    }

    void compare_all() {
        for (Model& model : models_) {
            Stream stream = *log_->stream(model.name);
            compare(stream, model, 0);
        }
    }

    void reopen() {
        log_.reset();
        open();
    }

  private:
    template <class T>
    static void sound(const Result<T>& result) {
        if (!result) RC_FAIL(result.error().message);
    }

    void open() {
        auto log = Log::open(path_, options_);
        sound(log);
        log_ = std::make_unique<Log>(std::move(*log));
        RC_ASSERT(log_->report().clean());
        for (const Model& model : models_) {
            const Stream stream = *log_->stream(model.name);
            RC_ASSERT(stream.durable() == stream.appended());
            RC_ASSERT(stream.low_water() == model.mark);
            // Nothing that was published may be missing: the process died, not the machine.
            RC_ASSERT(stream.appended() >= model.end);
        }
    }

    // The file as the kernel holds it is what a kill leaves.
    void kill() {
        const auto copy = folder_ / "copy";
        std::filesystem::copy_file(path_, copy, std::filesystem::copy_options::overwrite_existing);
        for (Model& model : models_) model.end = log_->stream(model.name)->appended();
        log_.reset();
        std::filesystem::rename(copy, path_);
        open();
        for (const Model& model : models_)
            RC_ASSERT(log_->stream(model.name)->appended() == model.end);
    }

    void append(Stream& stream, Model& model, uint64_t size, bool forced) {
        size = 1 + size % stream.record_bytes_max();
        const uint64_t number = ++number_;
        AppendOptions options;
        options.durability = forced ? Durability::forced : Durability::lazy;
        options.service = model.service;
        options.kind = static_cast<uint16_t>(number);
        if (number % 3 == 0 && !model.entries.empty()) options.previous = model.entries.back().lsn;
        const Lsn before = stream.appended();
        const auto lsn = stream.append(record_bytes(number, size), options);
        if (!lsn) {
            RC_ASSERT(lsn.error().code == Errc::full);
            RC_ASSERT(stream.appended() == before);
            return;
        }
        RC_ASSERT(*lsn >= before);
        RC_ASSERT(stream.published() == stream.appended());
        if (forced) RC_ASSERT(stream.durable() == stream.appended());
        model.entries.push_back({*lsn, number, size});
        model.end = stream.appended();
    }

    void force(Stream& stream, Model& model, uint64_t choice) {
        if (model.entries.empty()) return;
        const auto& entry = model.entries[choice % model.entries.size()];
        sound(stream.force(entry.lsn));
        RC_ASSERT(stream.durable() > entry.lsn);
    }

    void release(Stream& stream, Model& model, uint64_t choice) {
        if (model.entries.empty()) return;
        const size_t index = choice % (model.entries.size() + 1);
        const Lsn to = index < model.entries.size() ? model.entries[index].lsn : stream.durable();
        const auto done = log_->release(model.service, to);
        if (to > stream.durable()) {
            RC_ASSERT(!done);
            RC_ASSERT(done.error().code == Errc::invalid_argument);
            return;
        }
        sound(done);
        model.mark = to;
        while (!model.entries.empty() && model.entries.front().lsn < to)
            model.entries.erase(model.entries.begin());
        RC_ASSERT(stream.low_water() == to);
    }

    void compare(Stream& stream, Model& model, uint64_t choice) {
        const size_t first = model.entries.empty() ? 0 : choice % model.entries.size();
        const std::optional<Lsn> from =
            first == 0 ? std::nullopt : std::optional<Lsn>(model.entries[first].lsn);
        auto reader = stream.read(from, Frontier::published);
        sound(reader);
        for (size_t i = first; i < model.entries.size(); ++i) {
            const auto record = reader->next();
            sound(record);
            RC_ASSERT(record->has_value());
            const Model::Entry& entry = model.entries[i];
            RC_ASSERT((*record)->lsn == entry.lsn);
            RC_ASSERT((*record)->kind == static_cast<uint16_t>(entry.number));
            RC_ASSERT((*record)->service == model.service);
            const auto expected = record_bytes(entry.number, entry.size);
            RC_ASSERT((*record)->payload.size() == expected.size());
            RC_ASSERT(std::memcmp((*record)->payload.data(), expected.data(), expected.size()) ==
                      0);
        }
        const auto end = reader->next();
        sound(end);
        RC_ASSERT(!end->has_value());
    }

    const std::filesystem::path folder_;
    const std::filesystem::path path_;
    OpenOptions options_;
    std::unique_ptr<Log> log_;
    std::vector<Model> models_;
    uint64_t number_ = 0;
};

uint64_t seed_of_this_run() {
    const char* given = std::getenv("CINNABAR_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("CINNABAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return seed;
}

class LogModel : public ::testing::TestWithParam<uint64_t> {
  protected:
    void run_on(const char* place, Emulate emulate, int tests) {
        std::string name = std::string(place) + "/cinnabar-test.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        rc::detail::TestParams params;
        params.seed = seed_of_this_run();
        params.maxSuccess = tests;
        params.maxSize = 60;
        rc::detail::TestMetadata metadata;
        metadata.id = "log_model";
        const auto result = rc::detail::checkTestable(
            [&] {
                const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
                Play play(name, GetParam(), emulate);
                for (const Step& step : steps) play.take(step);
                play.compare_all();
                play.reopen();
                play.compare_all();
            },
            metadata, params);
        if (!result.is<rc::detail::SuccessResult>()) {
            std::ostringstream message;
            rc::detail::printResultMessage(result, message);
            ADD_FAILURE() << message.str();
        }
        std::filesystem::remove_all(name);
    }
};
INSTANTIATE_TEST_SUITE_P(Segments, LogModel, ::testing::Values(2048, 16384, 1 << 20));

TEST_P(LogModel, HoldsWhatTheModelHoldsEmulated) {
    run_on("/dev/shm", Emulate::cache_line, 15);
}

TEST_P(LogModel, HoldsWhatTheModelHoldsOnPages) {
    run_on("/tmp", Emulate::no, 4);
}

}  // namespace
}  // namespace cinnabar
