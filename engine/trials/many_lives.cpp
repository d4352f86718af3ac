// Ten thousand lives of a record each, in a log that is full now and again. In each power fails at
// some fence of opening, appending, carrying or releasing, or at its end; the next one recovers
// what that left. Now and then all images of a life are looked at, and it ends at its end.
#include <algorithm>
#include <optional>
#include <random>

#include "base/check.hpp"
#include "trials/carried.hpp"
#include "trials/scenario_bodies.hpp"

namespace cinnabar::trials {

namespace {

// Power fails in a life at a fence that is drawn: what that leaves, and the state by then of what
// is to be compared with it.
class PowerLoss {
  public:
    PowerLoss(Trial& trial, OneStream& setup, Carried::State& state, std::mt19937_64& random)
        : trial_(trial), setup_(setup), state_(state), random_(random), fence_(random() % 24) {
        setup.life.medium().on_crash_point([this](Site) {
            if (fences_++ == fence_) fail();
        });
    }
    PowerLoss(const PowerLoss&) = delete;
    PowerLoss& operator=(const PowerLoss&) = delete;
    ~PowerLoss() { setup_.life.medium().on_crash_point(nullptr); }

    // At the end where there were not so many fences. Says which rule the life has broken.
    std::string take_effect() {
        std::string rule = setup_.life.medium().broken_rule();
        if (image_.empty()) fail();
        setup_.life.go_back_to(image_);
        setup_.history = std::move(history_);
        state_ = std::move(state_then_);
        return rule;
    }

  private:
    void fail() {
        const CrashMedium& medium = setup_.life.medium();
        image_ = medium.image_of_power_loss(random_);
        history_ = setup_.history;
        state_then_ = state_;
        trial_.see(sim::hash_of(image_));
        trial_.explored.add(
            {.crash_points = 1, .images = 1, .states_log10 = sim::states_log10(medium.pending())});
    }

    Trial& trial_;
    OneStream& setup_;
    Carried::State& state_;
    std::mt19937_64& random_;
    const uint64_t fence_;
    uint64_t fences_ = 0;
    std::vector<std::byte> image_;
    History history_;
    Carried::State state_then_;
};

constexpr int kExploredEvery = 128;  // lives; that is so at the end of each 128

// Runs one life; where it is explored, instead of the power loss that was drawn.
template <class Live>
std::string live_once(Trial& trial, int life, OneStream& setup, PowerLoss& loss,
                      const Explorer::Check& check, const Live& live) {
    std::optional<Explorer> explorer;
    if (life % kExploredEvery == kExploredEvery - 1) explorer.emplace(trial, setup.life, check);
    std::string wrong = live();
    if (explorer && wrong.empty()) {
        explorer->look("the end of the life");
        wrong = explorer->failure;
    }
    if (wrong.empty()) wrong = loss.take_effect();
    return wrong.empty() ? "" : "life " + std::to_string(life) + ": " + wrong;
}

// Of a full log: all but the last records that are durable.
Result<void> release_most(OneStream& setup, ServiceId keeper) {
    const auto& appended = setup.history["s"].appended;
    const uint64_t durable = setup.life.engine().stream("s")->durable();
    auto last = std::ranges::find_if(appended.rbegin(), appended.rend(),
                                     [&](const Appended& one) { return one.lsn.value < durable; });
    CNB_CHECK(last != appended.rend());
    return setup.life.release(setup.history, keeper, last->lsn);
}

Durability drawn_durability(std::mt19937_64& random) {
    return random() % 4 == 0 ? Durability::lazy : Durability::forced;
}

std::string live(OneStream& setup, ServiceId keeper, std::mt19937_64& random) {
    if (std::string wrong = recover(setup.pool, setup.life); !wrong.empty()) return wrong;
    if (std::string lost = deliver(setup.life, setup.history); !lost.empty()) return lost;
    const auto durability = drawn_durability(random);
    auto lsn = setup.life.append(setup.history, "s", 8 + random() % 150, durability);
    if (lsn) return "";
    if (lsn.error().code != Errc::full) return "append: " + lsn.error().message;
    auto released = release_most(setup, keeper);
    return released ? "" : "release: " + released.error().message;
}

}  // namespace

std::string many_lives(Trial& trial) {
    OneStream setup(trial.life, {.segments = 4, .seed = trial.seed});
    const ServiceId keeper = setup.add_service();
    std::mt19937_64 random(trial.seed);
    Carried::State none;
    for (int life = 0; life < kManyLives; ++life) {
        PowerLoss loss(trial, setup, none, random);
        const std::string wrong = live_once(trial, life, setup, loss, setup.prefix_check(),
                                            [&] { return live(setup, keeper, random); });
        if (!wrong.empty()) return wrong;
    }
    return "";
}

namespace {

constexpr size_t kOutcomeBytes = 300;

// A record is in doubt for some lives, and each of them has the space for its outcome promised. The
// log is full now and again, and what is in doubt is carried on then.
class InDoubt {
  public:
    explicit InDoubt(Trial& trial)
        : setup_(trial.life, {.segments = 8, .seed = trial.seed}, true),
          keeper_(setup_.add_service()),
          carried_(setup_),
          random_(trial.seed) {}

    std::string live_once(Trial& trial, int life) {
        PowerLoss loss(trial, setup_, carried_.state, random_);
        return trials::live_once(trial, life, setup_, loss, carried_.check(),
                                 [this] { return live(); });
    }

    uint64_t decided = 0;
    uint64_t carried = 0;

  private:
    std::string live() {
        if (std::string wrong = recover(setup_.pool, setup_.life); !wrong.empty()) return wrong;
        if (std::string wrong = carried_.deliver(); !wrong.empty()) return wrong;
        const auto core = setup_.life.engine().stream("s");
        const bool again = !carried_.state.undecided.empty();
        auto outcome = StreamCoreBase::reserve(core, kOutcomeBytes, 1, again);
        if (again && !outcome) return "reserve again: " + outcome.error().message;
        return use(outcome);
    }

    std::string use(Result<Reservation>& outcome) {
        if (outcome && carried_.state.undecided.empty()) return prepare();
        if (outcome && random_() % 100 == 0) return decide(*outcome);
        auto lsn = carried_.append(8 + random_() % 150, {.durability = drawn_durability(random_)});
        if (lsn) return "";
        return lsn.error().code == Errc::full ? make_room() : "append: " + lsn.error().message;
    }

    // In doubt from now on.
    std::string prepare() {
        auto lsn = carried_.append(100, {});
        if (lsn) carried_.state.undecided[lsn->value] = *lsn;
        if (lsn || lsn.error().code == Errc::full) return lsn ? "" : make_room();
        return "prepare: " + lsn.error().message;
    }

    std::string decide(Reservation& outcome) {
        auto lsn = carried_.append(kOutcomeBytes, {.reservation = &outcome});
        if (!lsn) return "outcome: " + lsn.error().message;
        carried_.state.undecided.clear();
        ++decided;
        return "";
    }

    std::string make_room() {
        const auto core = setup_.life.engine().stream("s");
        if (auto forced = core->force(setup_.history["s"].appended.back().lsn); !forced)
            return "force: " + forced.error().message;
        for (const auto& [origin, at] : carried_.state.undecided)
            carried += at.value < core->oldest_end() ? 1 : 0;
        if (auto done = carried_.carry_oldest(); !done) return "carry: " + done.error().message;
        auto done = carried_.release_oldest(keeper_);
        return done ? "" : "release: " + done.error().message;
    }

    OneStream setup_;
    const ServiceId keeper_;
    Carried carried_;
    std::mt19937_64 random_;
};

}  // namespace

std::string in_doubt(Trial& trial) {
    InDoubt lives(trial);
    for (int life = 0; life < kManyLives; ++life)
        if (std::string wrong = lives.live_once(trial, life); !wrong.empty()) return wrong;
    if (lives.decided > kManyLives / 1000 && lives.carried > kManyLives / 1000) return "";
    return std::string(kShowsNothing) + std::to_string(lives.decided) + " decided, " +
           std::to_string(lives.carried) + " carried";
}

}  // namespace cinnabar::trials
