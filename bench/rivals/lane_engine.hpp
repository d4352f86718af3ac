// Engines whose threads each fill a lane of one area: all but the shared logs.
#pragma once

#include <memory>

#include "rivals/engine.hpp"
#include "rivals/lane.hpp"
#include "rivals/mapping.hpp"

namespace cinnabar::bench {

template <class Worker>
class LaneEngine : public EngineOf<Worker> {
  public:
    explicit LaneEngine(Framing framing) : framing_(framing) {}

    Result<void> configure(const Cell& cell, const Records& records) final {
        this->start_cell(cell, records);
        const uint64_t group = framing_.framed(records.bytes_max()) * cell.records_per_force;
        if (auto ready = start_area(); !ready) return ready;
        for (unsigned thread = 0; thread < cell.threads; ++thread) {
            auto lane = lane_of(area_bytes_, thread, cell.threads, group);
            if (!lane) return fail(lane.error());
            auto worker = make_worker(*lane);
            if (!worker) return fail(worker.error());
            this->add_seat(std::move(*worker));
        }
        return {};
    }

    Result<void> prepare() final {
        for (auto& seat : this->seats_) seat->worker.lane().make_room();
        return {};
    }

    Result<void> verify() final {
        auto area = reopen();
        if (!area) return fail(area.error());
        for (unsigned thread = 0; thread < this->seats_.size(); ++thread) {
            auto same = verify_lane(this->seats_[thread]->worker.lane(), *this->records_, thread,
                                    framing_, *area);
            if (!same) return same;
        }
        return {};
    }

  protected:
    virtual Result<Worker> make_worker(Lane lane) = 0;
    // Closes the area, opens it again, and says where its bytes can be read now.
    virtual Result<const std::byte*> reopen() = 0;
    // Called before the workers of a cell are made.
    virtual Result<void> start_area() { return {}; }

    uint64_t area_bytes_ = 0;

  private:
    Framing framing_;
};

inline Result<const std::byte*> reopen_mapping(Mapping& mapping, const std::string& path) {
    mapping.unmap();
    if (auto mapped = mapping.open(path); !mapped) return fail(mapped.error());
    prefault(mapping.data(), mapping.size());
    return mapping.data();
}

}  // namespace cinnabar::bench
