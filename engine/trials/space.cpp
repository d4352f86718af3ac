// Full logs, space that was promised, and records that are carried forward; many short lives.
#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>

#include "base/check.hpp"
#include "trials/one_stream.hpp"
#include "trials/scenario_bodies.hpp"

namespace cinnabar::trials {

namespace {

Life::Options without_spares(const Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;
    return options;
}

// Nothing but that the log is full may end it.
std::string fill_up(Life& life, History& history) {
    for (const auto& [length, durability] :
         {std::pair(330, Durability::forced), std::pair(24, Durability::lazy)}) {
        auto lsn = life.append(history, "s", static_cast<size_t>(length), durability);
        while (lsn) lsn = life.append(history, "s", static_cast<size_t>(length), durability);
        if (lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    }
    return "";
}

// After a crash in a full log: others take what they can get before the outcomes are promised
// their space again; these are written, and free the log.
std::string finish(Crashed& crashed, History& history, ServiceId keeper) {
    Life& life = crashed.life;
    if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
    if (std::string wrong = deliver(life, history); !wrong.empty()) return wrong;
    if (std::string wrong = fill_up(life, history); !wrong.empty()) return wrong;
    auto core = life.engine().stream("s");
    auto again = StreamCoreBase::reserve(core, 300, 4, true);
    if (!again) return "reserve: " + again.error().message;
    for (int i = 0; i < 4; ++i)
        if (auto lsn = append_reserved(core, *again, 300); !lsn)
            return "outcome: " + lsn.error().message;
    if (auto done = life.release(history, keeper, Lsn{core->durable()}); !done)
        return "release: " + done.error().message;
    auto ordinary = life.append(history, "s", 300, Durability::forced);
    return ordinary ? "" : "append: " + ordinary.error().message;
}

}  // namespace

// What was reserved finds room after every crash, however full the log is (trap L4).
std::string full_log(Trial& trial) {
    OneStream setup(without_spares(trial), {.segments = 8, .seed = trial.seed}, true);
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    auto outcome = StreamCoreBase::reserve(setup.life.engine().stream("s"), 300, 4, false);
    if (!outcome) return "reserve: " + outcome.error().message;
    Explorer explorer(trial, setup.life, [&](sim::Image& image) {
        Crashed crashed(setup.pool, image, setup.options);
        History past = setup.history;
        return finish(crashed, past, keeper);
    });
    if (std::string wrong = fill_up(setup.life, setup.history); !wrong.empty()) return wrong;
    explorer.look("the log is full");
    return explorer.failure;
}

// In a full log with promised space: a checkpoint, outcomes, and the mark that they allow.
std::string reserving(Trial& trial) {
    OneStream setup(without_spares(trial), {.segments = 8, .seed = trial.seed}, true);
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    auto outcome = StreamCoreBase::reserve(setup.life.engine().stream("s"), 300, 2, false);
    if (!outcome) return "reserve: " + outcome.error().message;
    if (std::string wrong = fill_up(setup.life, setup.history); !wrong.empty()) return wrong;
    Explorer explorer(trial, setup.life, setup.prefix_check());
    const auto append = [&](const AppendOptions& options) {
        return setup.life.append(setup.history, "s", 300, options);
    };
    const AppendOptions as_checkpoint{.service = keeper, .checkpoint = true};
    auto checkpoint = append(as_checkpoint);
    if (!checkpoint) return "checkpoint: " + checkpoint.error().message;
    if (append(as_checkpoint)) return "a second checkpoint is taken from the reserve";
    for (int i = 0; i < 2; ++i)
        if (auto lsn = append({.reservation = &*outcome}); !lsn)
            return "outcome: " + lsn.error().message;
    if (auto done = setup.life.release(setup.history, keeper, *checkpoint); !done)
        return "release: " + done.error().message;
    if (auto lsn = append({}); !lsn) return "append: " + lsn.error().message;
    explorer.look("at the end");
    return explorer.failure;
}

namespace {

// Which records are needed, and how often each is delivered after a crash.
class Carried {
  public:
    explicit Carried(OneStream& setup) : setup_(setup) {}

    std::string check(sim::Image& image) const {
        Crashed crashed(setup_.pool, image, setup_.options);
        Life& life = crashed.life;
        if (std::string wrong = crashed.recover(); !wrong.empty()) return wrong;
        auto reader = ReaderCore::open(life.engine().stream("s"), std::nullopt, Frontier::durable);
        if (!reader) return reader.error().message;
        std::set<uint64_t> found;
        if (const uint64_t mark = life.engine().stream("s")->low_water(); !marks.contains(mark))
            return "the low-water mark is " + std::to_string(mark);
        for (;;) {
            auto record = (*reader)->next();
            if (!record) return record.error().message;
            if (!*record) break;
            const uint64_t origin = (*record)->origin.value;
            if (!found.insert(origin).second)
                return "LSN " + std::to_string(origin) + " is delivered twice";
            if (std::string wrong = compare_with_origin(**record); !wrong.empty())
                return "LSN " + std::to_string(origin) + " " + wrong;
        }
        for (const uint64_t origin : needed)
            if (!found.contains(origin)) return "LSN " + std::to_string(origin) + " is gone";
        return "";
    }

    // What was appended, and what was told of it, is the same wherever a copy of it stands.
    std::string compare_with_origin(const Record& record) const {
        const auto& appended = setup_.history["s"].appended;
        auto at = std::ranges::upper_bound(appended, record.origin, {}, &Appended::lsn);
        if (at == appended.begin()) return "was never appended";
        --at;
        if (at->lsn != record.origin && !at->in_flight) return "was never appended";
        if (!std::ranges::equal(record.payload, record_bytes(at->number, at->length)))
            return "is not what was appended";
        return told_of(record) == at->told ? ""
                                           : "has another durability, service, kind or previous";
    }

    Lsn append(size_t length, Durability durability) {
        auto lsn = setup_.life.append(setup_.history, "s", length, durability);
        CNB_CHECK(lsn.has_value());
        return *lsn;
    }

    // What is undecided below the end of the oldest segment, to the end of the log.
    Result<void> carry_oldest() {
        auto core = setup_.life.engine().stream("s");
        std::vector<Lsn> oldest;
        for (const auto& [origin, at] : undecided)
            if (at.value < core->oldest_end()) oldest.push_back(at);
        auto copies = core->copies().carry_forward(core, oldest);
        if (!copies) return fail(copies.error());
        for (size_t copy = 0; copy < oldest.size(); ++copy)
            for (auto& [origin, at] : undecided)
                if (at == oldest[copy]) at = (*copies)[copy];
        return {};
    }

    std::set<uint64_t> needed;          // origins that were acknowledged and not released
    std::map<uint64_t, Lsn> undecided;  // where it stands now, by origin
    std::set<uint64_t> marks = {0};     // one of these is the low-water mark

  private:
    OneStream& setup_;
};

}  // namespace

// Crash between the copies and the mark, before, behind: each needed record is delivered once
// (trap L18).
std::string carrying_forward(Trial& trial) {
    OneStream setup(without_spares(trial), {.segments = 6, .seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    if (auto opened = setup.life.open(); !opened) return opened.error().message;
    Carried carried(setup);
    Explorer explorer(trial, setup.life, [&](sim::Image& image) { return carried.check(image); });
    auto core = setup.life.engine().stream("s");
    for (int i = 0; core->appended() < 8 * kSpan && explorer.failure.empty(); ++i) {
        const Lsn lsn = carried.append(60 + static_cast<size_t>(i * 37 % 150),
                                       i % 3 == 0 ? Durability::lazy : Durability::forced);
        if (i % 10 == 5 && carried.undecided.size() < 6) carried.undecided[lsn.value] = lsn;
        if (core->durable() > lsn.value) carried.needed.insert(lsn.value);
        if (i % 6 != 5 || core->durable() < core->oldest_end()) continue;
        if (auto done = carried.carry_oldest(); !done) return "carry: " + done.error().message;
        explorer.look("copied and not released");
        const uint64_t to = core->oldest_end();
        std::erase_if(carried.needed, [&](uint64_t origin) {
            return origin < to && !carried.undecided.contains(origin);
        });
        carried.marks.insert(to);
        if (auto done = setup.life.release(setup.history, keeper, Lsn{to}); !done)
            return "release: " + done.error().message;
        carried.marks = {to};
        explorer.look("released");
    }
    return explorer.failure;
}

namespace {

// Of a full log: all but the last records that are durable.
Result<void> release_most(OneStream& setup, ServiceId keeper) {
    const auto& appended = setup.history["s"].appended;
    const uint64_t durable = setup.life.engine().stream("s")->durable();
    auto last = std::ranges::find_if(appended.rbegin(), appended.rend(),
                                     [&](const Appended& one) { return one.lsn.value < durable; });
    CNB_CHECK(last != appended.rend());
    return setup.life.release(setup.history, keeper, last->lsn);
}

std::string live_once(OneStream& setup, ServiceId keeper, std::mt19937_64& random) {
    if (std::string wrong = recover(setup.pool, setup.life); !wrong.empty()) return wrong;
    if (std::string lost = deliver(setup.life, setup.history); !lost.empty()) return lost;
    const auto durability = random() % 4 == 0 ? Durability::lazy : Durability::forced;
    auto lsn = setup.life.append(setup.history, "s", 8 + random() % 150, durability);
    if (lsn) return "";
    if (lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    auto released = release_most(setup, keeper);
    return released ? "" : "release: " + released.error().message;
}

// Power fails in a life at a fence that is drawn: what that leaves, and what was asked and
// acknowledged by then.
class PowerLoss {
  public:
    PowerLoss(Trial& trial, OneStream& setup, std::mt19937_64& random)
        : trial_(trial), setup_(setup), random_(random), fence_(random() % 24) {
        setup.life.medium().on_crash_point([this](Site) {
            if (fences_++ == fence_) fail();
        });
    }
    PowerLoss(const PowerLoss&) = delete;
    PowerLoss& operator=(const PowerLoss&) = delete;
    ~PowerLoss() { setup_.life.medium().on_crash_point(nullptr); }

    // At the end where there were not so many fences.
    void take_effect() {
        if (image_.empty()) fail();
        setup_.life.go_back_to(image_);
        setup_.history = std::move(history_);
    }

  private:
    void fail() {
        const CrashMedium& medium = setup_.life.medium();
        image_ = medium.image_of_power_loss(random_);
        history_ = setup_.history;
        trial_.seen.insert(sim::hash_of(image_));
        trial_.explored.add(
            {.crash_points = 1, .images = 1, .states_log10 = sim::states_log10(medium.pending())});
    }

    Trial& trial_;
    OneStream& setup_;
    std::mt19937_64& random_;
    const uint64_t fence_;
    uint64_t fences_ = 0;
    std::vector<std::byte> image_;
    History history_;
};

}  // namespace

// Ten thousand lives of a record each, in a log that is full now and again. In each power fails at
// some fence of opening, appending or releasing, or at its end; the next one recovers what that
// left.
std::string many_lives(Trial& trial) {
    OneStream setup(trial.life, {.segments = 4, .seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    std::mt19937_64 random(trial.seed);
    for (int life = 0; life < kManyLives; ++life) {
        PowerLoss loss(trial, setup, random);
        if (std::string wrong = live_once(setup, keeper, random); !wrong.empty())
            return "life " + std::to_string(life) + ": " + wrong;
        loss.take_effect();
    }
    return "";
}

}  // namespace cinnabar::trials
