// The tables of a pool changed past the engine, by a program over libpmemobj: what it takes to make
// a change wrongly.
#pragma once

#include <libpmemobj.h>

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "format/codec.hpp"
#include "kit/pool_file.hpp"
#include "pool/tables.hpp"

namespace kit_test {

class WrongPool {
  public:
    explicit WrongPool(const std::string& path)
        : offset_(read_catalogue(path).offset), pool_(pmemobj_open(path.c_str(), "cinnabar-1")) {
        if (pool_ == nullptr) throw std::runtime_error(pmemobj_errormsg());
    }
    ~WrongPool() {
        if (pool_ != nullptr) pmemobj_close(pool_);
    }
    WrongPool(const WrongPool&) = delete;
    WrongPool& operator=(const WrongPool&) = delete;

    cinnabar::Result<void> close() {
        pmemobj_close(std::exchange(pool_, nullptr));
        return {};
    }

    cinnabar::format::Catalogue& catalogue() const {
        return *reinterpret_cast<cinnabar::format::Catalogue*>(reinterpret_cast<char*>(pool_) +
                                                               offset_);
    }
    const cinnabar::format::PoolId& id() const { return catalogue().superblock_a.pool_id; }

    // Torn by a crash.
    template <class T>
    void store(T& to, const T& value) const {
        pmemobj_memcpy_persist(pool_, &to, &value, sizeof value);
    }
    void persist(const void* from, size_t length) const { pmemobj_persist(pool_, from, length); }

    // Whole or not at all. `amidst` is called where it is made, and not yet to stay.
    template <class T>
    void change(
        T& to, const T& value, const std::function<void()>& amidst = [] {}) const {
        pmemobj_tx_begin(pool_, nullptr, TX_PARAM_NONE);
        pmemobj_tx_add_range_direct(&to, sizeof to);
        to = value;
        amidst();
        pmemobj_tx_commit();
        pmemobj_tx_end();
    }

    // A free row of the table, and what stands in one that is in use.
    cinnabar::format::StreamRow& free_stream_row() const {
        return catalogue().streams[*cinnabar::pool::find_free(catalogue().streams)];
    }
    cinnabar::format::StreamRow stream_row(uint32_t number, const std::string& name) const {
        cinnabar::format::StreamRow row;
        row.stream = number;
        cinnabar::pool::put_name(row, name);
        row.sum = row_sum(id(), row);
        return row;
    }
    cinnabar::format::ServiceRow service_row(uint32_t stream, uint16_t number,
                                             const std::string& name) const {
        cinnabar::format::ServiceRow row;
        row.stream = stream;
        row.service = number;
        cinnabar::pool::put_name(row, name);
        row.sum = row_sum(id(), row);
        return row;
    }
    cinnabar::format::StreamRow& row_of(const std::string& stream) const {
        return catalogue().streams[*cinnabar::pool::find_named(catalogue().streams, stream)];
    }

    uint64_t last_stream() const {
        return read_register(id(), kLastStream, catalogue().last_stream)->value;
    }
    void raise_last_stream(uint64_t number) const {
        cinnabar::format::RegisterLine& line = catalogue().last_stream;
        const uint32_t holding = read_register(id(), kLastStream, line)->slot;
        store(line.slot[1 - holding], cinnabar::format::register_slot(id(), kLastStream, number));
    }

  private:
    static constexpr uint32_t kLastStream =
        cinnabar::format::register_key(cinnabar::format::RegisterRole::last_stream);

    uint64_t offset_;
    PMEMobjpool* pool_;
};

}  // namespace kit_test
