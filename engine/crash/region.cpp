// The region that a workload stores to: checks a range, does what was asked, tells the recorder.
#include <cstdlib>
#include <cstring>
#include <utility>

#include "crash/recorder.hpp"
#include "crash/recovered_image.hpp"

namespace cinnabar::crash {

namespace {

constexpr size_t kPageBytes = 4096;

tl::unexpected<Error> invalid(const std::string& what) {
    return fail(Errc::invalid_argument, "a region " + what);
}

Result<void> check_size(size_t bytes) {
    if (bytes == 0) return invalid("of no bytes holds nothing; its size is a multiple of 4096");
    if (bytes % kPageBytes != 0)
        return invalid("of " + std::to_string(bytes) + " bytes is no multiple of 4096");
    return {};
}

// "flush at list.cpp:41"
std::string text_of(const char* verb, const Where& where) {
    std::string_view file = where.file;
    file.remove_prefix(file.rfind('/') + 1);  // npos + 1 is 0
    return std::string(verb) + " at " + std::string(file) + ":" + std::to_string(where.line);
}

// A range of the region, for one call.
struct Range {
    Range(const Region& region, const void* at, size_t bytes)
        : offset(static_cast<uint64_t>(static_cast<const std::byte*>(at) - region.bytes().data())),
          is_within(offset <= region.bytes().size() && bytes <= region.bytes().size() - offset) {}

    uint64_t offset;
    bool is_within;  // an address before the region gives a very large offset
};

bool refuse(Recorder* recorder, const Range& range, const char* verb, const Where& where) {
    if (recorder != nullptr && !recorder->is_owner()) return true;
    if (range.is_within) return false;
    if (recorder != nullptr) recorder->misuse(text_of(verb, where) + " is outside of the region");
    return true;
}

}  // namespace

void Region::Free::operator()(std::byte* memory) const {
    std::free(memory);
}

Region::Region(Region&& other) noexcept = default;
Region& Region::operator=(Region&& other) noexcept = default;
Region::~Region() = default;

Result<Region> Region::create(size_t bytes, Domain domain) {
    if (const auto valid = check_size(bytes); !valid) return fail(valid.error());
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, bytes));
    if (memory == nullptr) return invalid("of " + size_text(bytes) + " finds no memory");
    std::memset(memory, 0, bytes);
    Region region({memory, bytes}, domain);
    region.owned_.reset(memory);
    return region;
}

Result<Region> Region::attach(std::span<std::byte> memory, Domain domain) {
    if (const auto valid = check_size(memory.size()); !valid) return fail(valid.error());
    if (memory.data() == nullptr) return invalid("needs memory, and this address is null");
    if (reinterpret_cast<uintptr_t>(memory.data()) % kPageBytes != 0)
        return invalid("begins at a multiple of 4096, and this memory does not");
    Region region(memory, domain);
    if (const auto part = RecoveredImage::attached(memory, domain)) {
        region.recorder_ = part->recorder;
        region.recorded_at_ = part->offset;
    }
    return region;
}

void Region::store_word(void* to, const void* value, size_t length, const Where& where) {
    const auto address = reinterpret_cast<uintptr_t>(to);
    const bool one_word = address / 8 == (address + length - 1) / 8;
    using Kind = Recorder::Kind;
    store_range(to, value, length, static_cast<int>(one_word ? Kind::word : Kind::bag), where);
}

void Region::store_range(void* to, const void* from, size_t length, int kind, const Where& where) {
    const Range range(*this, to, length);
    if (refuse(recorder_, range, "store", where)) return;
    const Site place =
        recorder_ == nullptr ? Site::none : recorder_->place(text_of("store", where));
    if (recorder_ != nullptr) recorder_->notice(place);
    std::memmove(to, from, length);
    if (recorder_ != nullptr)
        recorder_->stored(recorded_at_ + range.offset, length, static_cast<Recorder::Kind>(kind),
                          place);
}

void Region::copy(void* to, const void* from, size_t length, Where where) {
    store_range(to, from, length, static_cast<int>(Recorder::Kind::bag), where);
}

void Region::zero(void* to, size_t length, Where where) {
    const std::vector<std::byte> zeros(length);
    copy(to, zeros.data(), length, where);
}

void Region::copy_nt(void* to, const void* from, size_t length, Where where) {
    store_range(to, from, length, static_cast<int>(Recorder::Kind::non_temporal), where);
}

void Region::flush(const void* from, size_t length, Where where) {
    const Range range(*this, from, length);
    if (refuse(recorder_, range, "flush", where) || recorder_ == nullptr) return;
    const std::string text = text_of("flush", where);
    if (domain_ == Domain::page)
        return recorder_->misuse(text + ": the page domain knows no flush; call sync or persist");
    recorder_->flush(recorded_at_ + range.offset, length, recorder_->place(text));
}

void Region::fence(Where where) {
    if (recorder_ == nullptr || !recorder_->is_owner()) return;
    recorder_->fence(recorder_->place(text_of("fence", where)));
}

void Region::sync(const void* from, size_t length, Where where) {
    const Range range(*this, from, length);
    if (refuse(recorder_, range, "sync", where) || recorder_ == nullptr) return;
    const std::string text = text_of("sync", where);
    if (domain_ != Domain::page)
        return recorder_->misuse(text + ": only the page domain knows sync; call persist");
    recorder_->sync(recorded_at_ + range.offset, length, recorder_->place(text));
}

void Region::persist(const void* from, size_t length, Where where) {
    if (domain_ == Domain::page) return sync(from, length, where);
    flush(from, length, where);
    fence(where);
}

}  // namespace cinnabar::crash
