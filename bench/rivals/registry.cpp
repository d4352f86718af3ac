// Which engines there are, and which of them are in this build.
#include "rivals/registry.hpp"

#if CINNABAR_BENCH_LOG
#include "cinnabar/log.hpp"
#endif

namespace cinnabar::bench {

namespace {

constexpr const char* kLogAbsent = CINNABAR_BENCH_LOG ? nullptr : "this build has no log";
constexpr const char* kPmemlogAbsent =
    CINNABAR_BENCH_PMEMLOG ? nullptr : "libpmemlog was not found when this was built";
constexpr const char* kUringAbsent =
    CINNABAR_BENCH_URING ? nullptr : "liburing was not found when this was built";

}  // namespace

const std::vector<EngineInfo>& engines() {
    //   name, on_disk, ours, models, beside_mib, absent, what
    static const std::vector<EngineInfo> all = {
        {"floor", false, true, true, 0, nullptr,
         "what a force asks of the hardware: padded bytes past the caches, one fence; no log"},
        {"cinnabar", false, true, true, kLogBeside_mib, kLogAbsent,
         "this log, a stream for each thread; forced records are stored past the caches"},
        {"cinnabar_cached", false, true, true, kLogBeside_mib, kLogAbsent,
         "as cinnabar, but through the caches and flushed (the option forced_cached)"},
        {"cinnabar_shared", false, true, true, kLogBeside_mib, kLogAbsent,
         "this log, one stream that all threads append to"},
        {"libpmemlog", false, false, false, 0, kPmemlogAbsent,
         "PMDK's log, shared by all threads; it forces every record, whatever the group"},
        {"libpmemlog_appendv", false, false, false, 0, kPmemlogAbsent,
         "as libpmemlog, handed a group at once; no row where a force covers one record"},
        {"pmemobj_tx", false, false, false, kTxBeside_mib, nullptr,
         "a libpmemobj transaction for each force, over the tail of a preallocated area"},
        {"msync", false, false, false, 0, nullptr,
         "a mapped file, copied into; a force is msync of the pages written"},
        {"fdatasync", true, false, false, 0, nullptr,
         "a file on a disk; a force is a write and fdatasync"},
        {"o_dsync", true, false, false, 0, nullptr,
         "a file on a disk, opened with O_DSYNC; a force is a write"},
        {"io_uring", true, false, false, 0, kUringAbsent,
         "a file on a disk; a force is a write and an fdatasync linked to it, in one system call"},
    };
    return all;
}

std::string engine_names() {
    std::string names;
    for (const EngineInfo& engine : engines()) {
        names.append(names.empty() ? "" : ", ").append(engine.name);
    }
    return names;
}

// What is not in this build is not linked either.
std::unique_ptr<Engine> make_engine(std::string_view name) {
#if CINNABAR_BENCH_LOG
    if (name == "cinnabar") return make_cinnabar(Writers::one, false);
    if (name == "cinnabar_cached") return make_cinnabar(Writers::one, true);
    if (name == "cinnabar_shared") return make_cinnabar(Writers::many, false);
#endif
#if CINNABAR_BENCH_PMEMLOG
    if (name == "libpmemlog") return make_pmemlog(false);
    if (name == "libpmemlog_appendv") return make_pmemlog(true);
#endif
#if CINNABAR_BENCH_URING
    if (name == "io_uring") return make_io_uring();
#endif
    if (name == "floor") return make_floor();
    if (name == "pmemobj_tx") return make_pmemobj_tx();
    if (name == "msync") return make_msync();
    if (name == "fdatasync") return make_file(FileSync::fdatasync);
    if (name == "o_dsync") return make_file(FileSync::o_dsync);
    return nullptr;
}

bool measured_in(std::string_view engine, const Cell& cell) {
    return engine != "libpmemlog_appendv" || cell.records_per_force > 1;
}

namespace {

constexpr uint64_t Work::*kFields[] = {&Work::records,
                                       &Work::forces,
                                       &Work::bytes,
                                       &Work::fences,
                                       &Work::lines,
                                       &Work::medium_bytes,
                                       &Work::maintenance_fences};

}  // namespace

Work& Work::operator+=(const Work& other) {
    for (auto field : kFields) this->*field += other.*field;
    return *this;
}

Work& Work::operator-=(const Work& other) {
    for (auto field : kFields) this->*field -= other.*field;
    return *this;
}

}  // namespace cinnabar::bench
