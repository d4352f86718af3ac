// The rows of the stream and service tables: which are in use, whether they verify, which are
// free. Reads only; the changes are Pool's, since they need libpmemobj's transactions.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "cinnabar/result.hpp"
#include "format/layout.hpp"
#include "pool/space.hpp"

namespace cinnabar::pool {

template <class Row>
bool in_use(const Row& row) {
    return row.stream != 0;
}

template <class Row>
std::string name_in(const Row& row) {
    return std::string(row.name.data(), ::strnlen(row.name.data(), row.name.size()));
}

template <class Row>
void put_name(Row& row, std::string_view name) {
    std::memcpy(row.name.data(), name.data(), name.size());
}

// The index of the first row that is so.
template <class Row, size_t kRows, class Predicate>
std::optional<uint32_t> find_row(const std::array<Row, kRows>& rows, Predicate is_so) {
    for (uint32_t i = 0; i < kRows; ++i)
        if (is_so(rows[i])) return i;
    return std::nullopt;
}

template <class Row, size_t kRows>
std::optional<uint32_t> find_named(const std::array<Row, kRows>& rows, std::string_view name) {
    return find_row(rows, [&](const Row& row) { return in_use(row) && name_in(row) == name; });
}

template <class Row, size_t kRows>
std::optional<uint32_t> find_free(const std::array<Row, kRows>& rows) {
    return find_row(rows, [](const Row& row) { return !in_use(row); });
}

// 1 to 63 bytes of UTF-8 without control characters and '/'.
Result<void> check_name(std::string_view name);

// What FORMAT.md asks of a row, its sum and all it says; a free one is zero throughout. A stream
// number that stands in no row is let pass while some stream row does not verify: it may be that.
bool stream_row_verifies(const Space& space, uint32_t row);
bool service_row_verifies(const Space& space, uint32_t row);
bool medium_row_verifies(const Space& space);

// Verifies every row and every register of the pool; the error names the first that is damaged,
// with its range.
Result<void> check_tables(const Space& space, const format::PoolId& id,
                          const std::string& pool_name);

}  // namespace cinnabar::pool
