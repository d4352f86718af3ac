#include "trials/threads.hpp"

#include <random>

#include "base/check.hpp"
#include "log/scan.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::trials {

std::string ThreadRun::run() {
    if (auto opened = life_.open(); !opened) return "open: " + opened.error().message;
    core_ = life_.engine().stream("s");
    if (options_.end == End::none) {
        run_interleaved();
    } else if (options_.end == End::kill) {
        const KillPoints points(life_.medium(), kStores, options_.seed, [this](const auto& kill) {
            if (wrong_.empty()) wrong_ = go_on_after(kill);
        });
        run_interleaved();
    } else {
        Explorer explorer(trial_, life_, [this](auto& image) { return wrong_ = check(image); });
        run_interleaved();
        explorer.look("at the end");
        if (!explorer.failure.empty()) wrong_ = explorer.failure;
    }
    return wrong_;
}

void ThreadRun::run_interleaved() {
    std::vector<std::function<void()>> bodies;
    for (size_t i = 0; i < options_.threads; ++i) bodies.push_back([this, i] { append_all(i); });
    sim::run_interleaved(options_.seed, bodies);
}

void ThreadRun::append_all(size_t thread) {
    std::mt19937_64 random(options_.seed * 100 + thread);
    for (int i = 0; i < options_.records && wrong_.empty(); ++i) {
        const bool lazy = random() % 8 < options_.lazy_of_8;
        const std::vector<std::byte> bytes = history_.next(thread);
        const Bytes piece(bytes);
        auto lsn = core_->append(
            {&piece, 1}, bytes.size(),
            {.durability = lazy || options_.force_apart ? Durability::lazy : Durability::forced});
        CNB_CHECK(lsn.has_value());
        if (!lazy && options_.force_apart) CNB_CHECK(core_->force(*lsn).has_value());
        ++trial_.appends;
        history_.appended(thread, *lsn);
        if (wrong_.empty()) wrong_ = check_published();
        if (!lazy) history_.acknowledge(thread);
    }
}

// Below the published frontier every frame is written, however slow its thread is (trap L2).
std::string ThreadRun::check_published() const {
    const log::PoolScan scan = log::scan_pool(pool_.space(), sim::run_serially);
    const uint64_t published = core_->published();
    if (scan.streams[0].cut >= published) return "";
    return "published up to " + std::to_string(published) + ", and written up to " +
           std::to_string(scan.streams[0].cut);
}

std::string ThreadRun::check(sim::Image& image) {
    history_.acknowledge_below(core_->durable());
    if (options_.end == End::power_loss_twice && images_++ % kImages == 0)
        return crash_again(image);
    Crashed crashed(pool_, image, trial_.life);
    return recover_and_compare(crashed, history_);
}

// The life that recovers the image goes on, and loses power anywhere in that.
std::string ThreadRun::crash_again(sim::Image& image) {
    Crashed crashed(pool_, image, trial_.life);
    return lose_power_in(crashed.pool, crashed.life);
}

std::string ThreadRun::go_on_after(const KillPoints::Kill& kill) {
    history_.acknowledge_below(core_->durable());
    SimPool pool(pool_, pool_.bytes());
    Life next(pool, life_);
    kill.put(next.medium(), pool.bytes());
    const std::string wrong = lose_power_in(pool, next);
    return wrong.empty() ? "" : kill.where + ": " + wrong;
}

std::string ThreadRun::lose_power_in(SimPool& crashed, Life& next) {
    ThreadHistory history = history_;
    Explorer explorer(trial_, next, [&](sim::Image& image) {
        Crashed again(crashed, image, trial_.life);
        return recover_and_compare(again, history);
    });
    if (std::string wrong = go_on(crashed, next, history); !wrong.empty()) return wrong;
    explorer.look("at the next life's end");
    return explorer.failure;
}

}  // namespace cinnabar::trials
