#include "pool/probe.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "format/codec.hpp"
#include "medium/domain.hpp"
#include "pool/find_catalogue.hpp"
#include "pool/pmemobj_bytes.hpp"
#include "pool/root.hpp"
#include "pool/superblock.hpp"

namespace cinnabar::pool {

namespace {

using format::Superblock;

// The bytes of libpmemobj's own that are read here, as its format 6 has them: a pool header of one
// page, then the descriptor.
constexpr std::array<char, 8> kSignature = {'P', 'M', 'E', 'M', 'O', 'B', 'J', '\0'};
constexpr std::string_view kPoolsetSignature = "PMEMPOOLSET";
constexpr uint32_t kPmemobjFormat = 6;
constexpr uint64_t kDescriptorOffset = 4096;
constexpr uint64_t kMetadataBytes = 8192;

struct PmemobjHeader {
    std::array<char, 8> signature;
    uint32_t major;
    std::array<uint32_t, 3> features;
    std::array<uint8_t, 16> poolset_id;
    std::array<std::array<uint8_t, 16>, 5> part_ids;  // own, two neighbour parts, two replicas
};
static_assert(offsetof(PmemobjHeader, part_ids) == 40);

struct PmemobjDescriptor {
    std::array<char, 1024> layout;
    uint64_t lanes_offset;
    uint64_t lanes;
    uint64_t heap_offset;
    std::array<uint8_t, 1000> unused;
    uint64_t root_offset;
    uint64_t run_id;
    uint64_t root_bytes;
    uint64_t conversion_flags;
    uint64_t heap_bytes;
};
static_assert(offsetof(PmemobjDescriptor, heap_offset) == 1040);
static_assert(offsetof(PmemobjDescriptor, root_offset) == 2048);
static_assert(offsetof(PmemobjDescriptor, heap_bytes) == 2080);

struct ObjectId {
    uint64_t pool;
    uint64_t offset;
};

constexpr const char* kHalf = "its creation was cut short, or its head is damaged";
constexpr uint64_t kCopyBOffset = offsetof(format::Catalogue, superblock_b);

class Prober {
  public:
    explicit Prober(const std::filesystem::path& path) : name_(quoted(path)), path_(path) {}

    Result<Probed> run();

  private:
    Result<void> open_file();
    Result<void> check_mappable();
    Result<void> read(uint64_t offset, void* to, size_t length);
    Result<void> check_header();
    Result<void> check_part_ids(const PmemobjHeader& header);
    Result<void> check_layout(const PmemobjDescriptor& descriptor);
    Result<void> check_root(const PmemobjDescriptor& descriptor);
    Result<void> refuse_head(ByteRange range, const std::string& says, Errc code,
                             const std::string& predicate);
    std::optional<FoundCatalogue> search();
    tl::unexpected<Error> refuse_cut(const std::string& says);
    Result<void> check_heap(const PmemobjDescriptor& descriptor);
    Result<void> check_lanes(const PmemobjDescriptor& descriptor);
    Result<void> locate_catalogue();
    Result<void> read_superblock();
    Result<void> refuse_both(const Superblock& a, const Superblock& b);
    Result<void> check_versions();
    Result<void> check_geometry();

    tl::unexpected<Error> refuse(Errc code, const std::string& predicate) {
        return fail(code, name_ + " " + predicate);
    }
    tl::unexpected<Error> corrupt(uint64_t offset, uint64_t length, const std::string& what) {
        Error error{Errc::corrupt,
                    name_ + " is damaged: " + what + " (bytes " + std::to_string(offset) + " to " +
                        std::to_string(offset + length) +
                        "); restore it from a copy, or salvage what can be read",
                    std::nullopt, ByteRange{offset, length}};
        return fail(std::move(error));
    }

    std::string name_;
    std::filesystem::path path_;
    Descriptor file_{-1};
    uint64_t heap_offset_ = 0;
    Probed found_;
};

std::string kind_of(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    return "no regular file";
}

Result<Probed> Prober::run() {
    for (auto step : {&Prober::open_file, &Prober::check_mappable, &Prober::check_header,
                      &Prober::locate_catalogue, &Prober::read_superblock, &Prober::check_versions,
                      &Prober::check_geometry})
        if (auto done = (this->*step)(); !done) return fail(done.error());
    return std::move(found_);
}

Result<void> Prober::open_file() {
    struct stat status = {};
    if (::stat(path_.c_str(), &status) != 0) return fail(system_error(errno, "open " + name_));
    if (!S_ISREG(status.st_mode))
        return refuse(Errc::not_a_pool,
                      "is " + kind_of(status.st_mode) + "; a pool is one regular file");
    file_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file_.valid()) return fail(system_error(errno, "open " + name_));
    if (::fstat(file_.get(), &status) != 0) return fail(system_error(errno, "examine " + name_));
    found_.file_bytes = static_cast<uint64_t>(status.st_size);
    found_.file = {status.st_dev, status.st_ino};
    return {};
}

Result<void> Prober::check_mappable() {
    const FileSystem file_system = file_system_of(file_.get());
    found_.file_system = file_system.name;
    if (file_system.pseudo)
        return refuse(Errc::cannot_map,
                      "lies on " + file_system.name +
                          ", which holds no files that can be mapped; choose a "
                          "file system on a disk, on persistent memory, or tmpfs");
    if (found_.file_bytes == 0)
        return refuse(Errc::not_a_pool, "is empty; remove the file and create the pool first");
    void* page = ::mmap(nullptr, 1, PROT_READ, MAP_SHARED, file_.get(), 0);
    if (page == MAP_FAILED) return fail(system_error(errno, "map " + name_));
    ::munmap(page, 1);
    found_.domain = medium::find_domain(file_.get());
    return {};
}

Result<void> Prober::read(uint64_t offset, void* to, size_t length) {
    size_t done = 0;
    while (done < length) {
        const ssize_t n = ::pread(file_.get(), static_cast<std::byte*>(to) + done, length - done,
                                  static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error(errno, "read " + name_));
        if (n == 0)
            return refuse(Errc::truncated, "ends at byte " + std::to_string(offset + done) +
                                               ", in the middle of its own header");
        done += static_cast<size_t>(n);
    }
    return {};
}

Result<void> Prober::check_header() {
    std::array<char, sizeof(PmemobjHeader)> start = {};
    const size_t length = std::min<uint64_t>(start.size(), found_.file_bytes);
    if (auto done = read(0, start.data(), length); !done) return done;
    if (std::string_view(start.data(), kPoolsetSignature.size()) == kPoolsetSignature)
        return refuse(Errc::not_a_pool,
                      "describes a pool set; a cinnabar pool is a single file without replicas");
    if (std::memcmp(start.data(), kSignature.data(), kSignature.size()) != 0)
        return refuse_head(
            {0, kSignature.size()}, "does not begin with libpmemobj's signature", Errc::not_a_pool,
            "is not a pool, or its head and its superblocks are damaged: it does not begin as a "
            "libpmemobj pool does, and no superblock verifies in it; check the path");
    if (found_.file_bytes < kMetadataBytes)
        return refuse(Errc::truncated, "has " + std::to_string(found_.file_bytes) +
                                           " bytes, less than the header of a pool; restore "
                                           "it from a copy");

    const auto header = std::bit_cast<PmemobjHeader>(start);
    if (header.major != kPmemobjFormat) {
        const std::string says = "is of libpmemobj's format " + std::to_string(header.major);
        const std::string why = header.major == 0
                                    ? std::string(", which no library writes: ") + kHalf
                                    : "; this library reads format 6";
        return refuse_head({offsetof(PmemobjHeader, major), sizeof(header.major)}, says,
                           Errc::unsupported_version,
                           says + why + ", and no superblock verifies in it");
    }
    return check_part_ids(header);
}

// In a set, the two neighbours of a part are other parts, and those of a replica other replicas. A
// file that names one such neighbour alone, or the same one as both, or an id of zeros, is damaged.
Result<void> Prober::check_part_ids(const PmemobjHeader& header) {
    const auto& ids = header.part_ids;
    const auto other = [&](size_t i) { return ids[i] != ids[0]; };
    if (!other(1) && !other(2) && !other(3) && !other(4)) return {};
    const bool has_zeros = std::ranges::count(ids, std::array<uint8_t, 16>{}) > 0;
    if (!has_zeros && other(1) == other(2) && other(3) == other(4) &&
        !(other(1) && ids[1] == ids[3]))
        return refuse(Errc::not_a_pool,
                      "is one part or replica of a pool set; a cinnabar pool is "
                      "a single file without replicas");
    const std::string says = "names parts of a pool set that cannot be";
    return refuse_head({offsetof(PmemobjHeader, part_ids), sizeof(header.part_ids)}, says,
                       Errc::not_a_pool,
                       says + ": " + kHalf + ", and no superblock verifies in it");
}

// Opening needs a head that is libpmemobj's, and of a pool of ours. Where it is not, the file may
// still be our pool: a superblock that verifies says so, and a salvage needs no more. `says` is
// said of the head then, `predicate` of the file where there is none.
Result<void> Prober::refuse_head(ByteRange range, const std::string& says, Errc code,
                                 const std::string& predicate) {
    const auto found = search();
    if (!found) return refuse(code, predicate);
    if (auto known = pool::check_versions(found->superblock, name_); !known) return known;
    Error error{Errc::corrupt,
                name_ + " is damaged: it holds the catalogue of a cinnabar pool (at byte " +
                    std::to_string(found->offset) + "), but its head " + says + " (bytes " +
                    std::to_string(range.offset_bytes) + " to " +
                    std::to_string(range.offset_bytes + range.length_bytes) +
                    "); only a salvage can read it (cinnabar salvage OLD NEW, or salvage_pool), "
                    "which needs no head",
                std::nullopt, range};
    return fail(std::move(error));
}

// What a salvage would find. What cannot be read holds nothing.
std::optional<FoundCatalogue> Prober::search() {
    std::vector<std::byte> start(std::min(found_.file_bytes, kCatalogueEndMax));
    for (uint64_t at = 0; at < start.size(); at += format::kPageBytes) {
        const uint64_t length = std::min<uint64_t>(format::kPageBytes, start.size() - at);
        if (!read(at, &start[at], length)) std::fill_n(&start[at], length, std::byte{0});
    }
    return find_catalogue(start);
}

// A salvage starts at a superblock: where none is left, it can save nothing.
tl::unexpected<Error> Prober::refuse_cut(const std::string& says) {
    return refuse(Errc::truncated, "has " + std::to_string(found_.file_bytes) + " bytes, and " +
                                       says +
                                       "; the end of the file is lost: restore it from a copy" +
                                       (search() ? ", or salvage what can be read" : ""));
}

// libpmemobj keeps no sum of the heap's size, and dies of a wrong one.
Result<void> Prober::check_heap(const PmemobjDescriptor& descriptor) {
    const uint64_t file_bytes = found_.file_bytes;
    const uint64_t end = descriptor.heap_offset + descriptor.heap_bytes;
    if (descriptor.heap_offset > end || end > file_bytes)
        return refuse_cut("its header says " + std::to_string(end));
    if (end != file_bytes / format::kPageBytes * format::kPageBytes)
        return corrupt(kDescriptorOffset + offsetof(PmemobjDescriptor, heap_bytes), 8,
                       "its header says " + std::to_string(end) + " bytes, and it has " +
                           std::to_string(file_bytes));
    return {};
}

Result<void> Prober::check_lanes(const PmemobjDescriptor& descriptor) {
    if (descriptor.lanes_offset != kLanesOffset || descriptor.lanes != kLanes ||
        descriptor.heap_offset < kLanesOffset + kLanes * kLaneBytes)
        return corrupt(kDescriptorOffset + offsetof(PmemobjDescriptor, lanes_offset), 24,
                       "the position of libpmemobj's own logs");
    using Lanes = std::array<std::byte, kLanes * kLaneBytes>;
    const auto lanes = std::make_unique<Lanes>();
    if (auto done = read(kLanesOffset, lanes->data(), lanes->size()); !done) return done;
    if (const auto damaged = find_damaged_log(*lanes, found_.catalogue_offset))
        return corrupt(damaged->offset_bytes, damaged->length_bytes,
                       "one of libpmemobj's own logs");
    return {};
}

Result<void> Prober::check_layout(const PmemobjDescriptor& descriptor) {
    std::string layout(descriptor.layout.data(),
                       ::strnlen(descriptor.layout.data(), descriptor.layout.size()));
    if (layout == kLayoutName) return {};
    for (char& c : layout)
        if (c < ' ' || c > '~') c = '?';
    return refuse_head(
        {kDescriptorOffset + offsetof(PmemobjDescriptor, layout), sizeof(descriptor.layout)},
        "names the layout '" + layout + "'", Errc::wrong_layout,
        "is a libpmemobj pool of the layout '" + layout + "', not of '" + kLayoutName +
            "', and no superblock verifies in it; check the path");
}

Result<void> Prober::check_root(const PmemobjDescriptor& descriptor) {
    constexpr uint64_t offset = kDescriptorOffset + offsetof(PmemobjDescriptor, root_offset);
    if (descriptor.root_offset == 0 || descriptor.root_bytes != sizeof(Root))
        return refuse_head({offset, 24}, "has no root object of cinnabar", Errc::wrong_layout,
                           "has no root object of cinnabar, and no superblock verifies in it");
    if (descriptor.root_offset >= found_.file_bytes)
        return corrupt(offset, 8, "the position of its root object");
    return {};
}

Result<void> Prober::locate_catalogue() {
    PmemobjDescriptor descriptor;
    if (auto done = read(kDescriptorOffset, &descriptor, sizeof(descriptor)); !done) return done;
    if (auto done = check_layout(descriptor); !done) return done;
    if (auto done = check_heap(descriptor); !done) return done;
    if (auto done = check_root(descriptor); !done) return done;
    heap_offset_ = descriptor.heap_offset;

    const uint64_t file_bytes = found_.file_bytes;
    ObjectId catalogue = {};
    if (auto done = read(descriptor.root_offset, &catalogue, sizeof(catalogue)); !done) return done;
    if (catalogue.offset < heap_offset_ || catalogue.offset >= file_bytes ||
        file_bytes - catalogue.offset < sizeof(format::Catalogue) + format::kPageBytes)
        return corrupt(descriptor.root_offset, sizeof(catalogue), "the position of its catalogue");
    found_.catalogue_offset =
        (catalogue.offset + format::kPageBytes - 1) / format::kPageBytes * format::kPageBytes;
    if (auto done = check_lanes(descriptor); !done) return done;
    const auto read_at = [this](auto... arguments) { return read(arguments...); };
    const auto damaged = find_damaged_chunk(read_at, heap_offset_, descriptor.heap_bytes);
    if (!damaged) return fail(damaged.error());
    if (*damaged)
        return corrupt((*damaged)->offset_bytes, (*damaged)->length_bytes, "libpmemobj's heap");
    return {};
}

Result<void> Prober::read_superblock() {
    const uint64_t offset_a = found_.catalogue_offset;
    const uint64_t offset_b = offset_a + kCopyBOffset;
    Superblock a, b;
    if (auto done = read(offset_a, &a, sizeof(a)); !done) return done;
    if (auto done = read(offset_b, &b, sizeof(b)); !done) return done;
    if (!is_intact(a) && !is_intact(b)) return refuse_both(a, b);
    found_.superblock = is_intact(a) ? a : b;
    found_.copy_a_damaged = !is_intact(a);
    found_.copy_b_damaged = !is_intact(b);
    for (const auto& [damaged, letter, offset] : {std::tuple(found_.copy_a_damaged, 'A', offset_a),
                                                  std::tuple(found_.copy_b_damaged, 'B', offset_b)})
        if (damaged)
            found_.notes.push_back(std::string("superblock copy ") + letter + " (bytes " +
                                   std::to_string(offset) + " to " +
                                   std::to_string(offset + sizeof(Superblock)) +
                                   ") is damaged; the other copy verifies and was used");
    return {};
}

// Neither copy verifies. Where both say the same of another format, that is the reason; else they
// are damaged.
Result<void> Prober::refuse_both(const Superblock& a, const Superblock& b) {
    const bool agree = a.magic == format::kSuperblockMagic &&
                       std::memcmp(&a, &b, offsetof(Superblock, compatible_features)) == 0;
    if (agree && a.endian_mark == __builtin_bswap64(format::kEndianMark))
        return refuse(Errc::unsupported_version,
                      "was written by a machine of the other byte order; use it there");
    found_.superblock = a;
    if (agree && a.endian_mark == format::kEndianMark)
        if (auto done = check_versions(); !done) return done;
    return corrupt(found_.catalogue_offset, kCopyBOffset + sizeof(Superblock),
                   "neither copy of its superblock verifies");
}

Result<void> Prober::check_versions() {
    return pool::check_versions(found_.superblock, name_);
}

// The sum verifies, so what is wrong here was written so.
Result<void> Prober::check_geometry() {
    const auto end = end_of_segments(found_.superblock, heap_offset_);
    if (!end)
        return corrupt(found_.catalogue_offset, sizeof(Superblock),
                       "its superblock states an impossible geometry");
    if (*end > found_.file_bytes) return refuse_cut("its segments end at " + std::to_string(*end));
    return {};
}

}  // namespace

Result<Probed> probe(const std::filesystem::path& path) {
    return Prober(path).run();
}

}  // namespace cinnabar::pool
