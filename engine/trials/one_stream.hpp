// One stream in a small pool, its life and its history: what the trap tests begin with.
#pragma once

#include <memory>
#include <vector>

#include "base/check.hpp"
#include "log/reserved_space.hpp"
#include "trials/trial.hpp"

namespace cinnabar::trials {

inline constexpr uint64_t kSpan = 2048 - format::kFramesOffset;  // LSNs per segment of these pools

inline Life::Options without_spares(const Trial& trial) {
    Life::Options options = trial.life;
    options.spares = 0;
    return options;
}

struct OneStream {
    explicit OneStream(Life::Options given = {}, SimPool::Options pool_options = {},
                       bool reserve = false)
        : options(given),
          pool(pool_options),
          life((pool.add_stream("s", false, reserve), pool), options) {
        history["s"];
    }

    ServiceId add_service() {
        const uint16_t row = pool.add_service(1, "keeper");
        life.medium().begin_here();
        return ServiceId{static_cast<uint16_t>(row + 1)};
    }

    void add_other_stream() {
        pool.add_stream("other", false);
        life.medium().begin_here();
    }

    Explorer::Check prefix_check() {
        return [this](auto& image) { return recover_and_compare(pool, image, history, options); };
    }

    void append(size_t length, Durability durability) {
        auto lsn = life.append(history, "s", length, durability);
        CNB_CHECK(lsn.has_value());
    }

    Life::Options options;
    SimPool pool;
    Life life;
    History history;
};

inline Result<Lsn> append_reserved(const std::shared_ptr<StreamCoreBase>& core,
                                   Reservation& reservation, size_t length) {
    const std::vector<std::byte> bytes(length, std::byte{0x77});
    const Bytes piece(bytes);
    return core->append({&piece, 1}, length, {.reservation = &reservation});
}

}  // namespace cinnabar::trials
