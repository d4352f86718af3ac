#include "pool/tables.hpp"

#include <algorithm>

#include "format/codec.hpp"

namespace cinnabar::pool {

namespace {

using format::Catalogue;
using format::MediumRow;
using format::RegisterLine;
using format::RegisterRole;
using format::ServiceRow;
using format::StreamRow;

// The length of the UTF-8 character that starts the text; 0 if none does.
size_t character_bytes(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || length > text.size()) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80) return 0;
    const bool out_of_range = (first == 0xE0 && byte(1) < 0xA0) ||  // longer than needed
                              (first == 0xED && byte(1) > 0x9F) ||  // surrogates
                              (first == 0xF0 && byte(1) < 0x90) ||  // longer than needed
                              (first == 0xF4 && byte(1) > 0x8F);    // beyond Unicode
    return out_of_range ? 0 : length;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const size_t length = character_bytes(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

template <class T>
bool all_zero(const T& value) {
    static constexpr T kZero = {};
    return std::memcmp(&value, &kZero, sizeof(T)) == 0;
}

// 1 to 63 bytes as check_name wants them, then zeros.
template <class Row>
bool name_verifies(const Row& row) {
    const std::string name = name_in(row);
    return check_name(name) && std::all_of(row.name.begin() + static_cast<ptrdiff_t>(name.size()),
                                           row.name.end(), [](char c) { return c == 0; });
}

bool is_stream(const Catalogue& catalogue, uint32_t stream) {
    return find_row(catalogue.streams, [&](const StreamRow& row) { return row.stream == stream; })
        .has_value();
}

bool all_stream_rows_verify(const Space& space) {
    for (uint32_t row = 0; row < format::kStreamRows; ++row)
        if (!stream_row_verifies(space, row)) return false;
    return true;
}

class Checker {
  public:
    Checker(const Space& space, const format::PoolId& id, const std::string& pool_name)
        : space_(space), catalogue_(*space.catalogue), id_(id), pool_name_(pool_name) {}

    Result<void> check() const;

  private:
    Result<void> check_register(RegisterRole role, uint32_t row, const RegisterLine& line,
                                const std::string& name) const;
    Result<void> check_stream(uint32_t row) const;
    Result<void> check_service(uint32_t row) const;

    template <class T>
    tl::unexpected<Error> damaged(const T& what, const std::string& name) const {
        const ByteRange range{space_.offset_of(&what), sizeof(T)};
        return fail(Error{Errc::corrupt,
                          pool_name_ + " is damaged: " + name + " (bytes " +
                              std::to_string(range.offset_bytes) + " to " +
                              std::to_string(range.offset_bytes + range.length_bytes) +
                              ") does not verify; restore it from a copy, or salvage what can be "
                              "read",
                          std::nullopt, range});
    }

    const Space& space_;
    const Catalogue& catalogue_;
    const format::PoolId& id_;
    const std::string& pool_name_;
};

Result<void> Checker::check() const {
    if (auto done = check_register(RegisterRole::generation_ceiling, 0,
                                   catalogue_.generation_ceiling, "the generation ceiling");
        !done)
        return done;
    if (auto done = check_register(RegisterRole::last_stream, 0, catalogue_.last_stream,
                                   "the number of the last stream");
        !done)
        return done;
    if (!medium_row_verifies(space_)) return damaged(catalogue_.medium, "the medium row");
    for (uint32_t row = 0; row < format::kStreamRows; ++row)
        if (auto done = check_stream(row); !done) return done;
    for (uint32_t row = 0; row < format::kServiceRows; ++row)
        if (auto done = check_service(row); !done) return done;
    return {};
}

Result<void> Checker::check_register(RegisterRole role, uint32_t row, const RegisterLine& line,
                                     const std::string& name) const {
    if (!read_register(id_, format::register_key(role, row), line)) return damaged(line, name);
    return {};
}

Result<void> Checker::check_stream(uint32_t index) const {
    if (stream_row_verifies(space_, index)) return {};
    return damaged(catalogue_.streams[index], "stream row " + std::to_string(index));
}

Result<void> Checker::check_service(uint32_t index) const {
    const ServiceRow& row = catalogue_.services[index];
    if (!service_row_verifies(space_, index))
        return damaged(row, "service row " + std::to_string(index));
    if (!in_use(row)) return {};
    return check_register(RegisterRole::mark, index, catalogue_.marks[index],
                          "the low-water mark of service '" + name_in(row) + "'");
}

}  // namespace

Result<void> check_name(std::string_view name) {
    const bool fits = !name.empty() && name.size() <= format::kNameBytesMax;
    const bool printable = std::none_of(name.begin(), name.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F || byte == '/';
    });
    if (fits && printable && is_utf8(name)) return {};
    return fail(Errc::invalid_argument,
                "a name must be 1 to 63 bytes of UTF-8 without control characters and '/'; this "
                "one of " +
                    std::to_string(name.size()) + " bytes is not");
}

// A row that has its sum was written by us; what it says is checked all the same, since numbers and
// names are used without a further look, and a write may go to the wrong row.
bool stream_row_verifies(const Space& space, uint32_t index) {
    const StreamRow& row = space.catalogue->streams[index];
    if (all_zero(row)) return true;
    const auto last = read_register(space.id, format::register_key(RegisterRole::last_stream),
                                    space.catalogue->last_stream);
    return row.sum == row_sum(space.id, row) && in_use(row) && name_verifies(row) &&
           (!last || row.stream <= last->value);
}

bool service_row_verifies(const Space& space, uint32_t index) {
    const ServiceRow& row = space.catalogue->services[index];
    if (all_zero(row)) return true;
    return row.sum == row_sum(space.id, row) && in_use(row) && row.service == index + 1 &&
           name_verifies(row) &&
           (is_stream(*space.catalogue, row.stream) || !all_stream_rows_verify(space));
}

bool medium_row_verifies(const Space& space) {
    const MediumRow& row = space.catalogue->medium;
    return all_zero(row) || row.sum == row_sum(space.id, row);
}

Result<void> check_tables(const Space& space, const format::PoolId& id,
                          const std::string& pool_name) {
    return Checker(space, id, pool_name).check();
}

}  // namespace cinnabar::pool
