// cinnabar/copy.hpp: the two ways of reading an old pool, and one of making the new one.
#include "cinnabar/copy.hpp"

#include <algorithm>

#include "log/copy_pool.hpp"
#include "log/parallel.hpp"
#include "log/scan.hpp"
#include "log/survey.hpp"
#include "pool/pool.hpp"
#include "pool/raw_pool.hpp"
#include "pool/tables.hpp"

namespace cinnabar {

namespace {

Error damage_error(const Damage& damage) {
    return {
        Errc::corrupt,
        log::words_of(damage) + "; nothing was copied. Salvage the pool: that saves what verifies",
        damage.lsn, damage.range};
}

// Everything that an open for writing would refuse.
Result<void> check_sound(const pool::Space& space, const std::string& name,
                         std::vector<std::string>& notes) {
    if (auto sound = pool::check_tables(space, space.id, name); !sound) return sound;
    log::PoolScan scan = log::scan_pool(space, log::parallel_for);
    notes.insert(notes.end(), scan.notes.begin(), scan.notes.end());
    if (scan.damage.empty()) return {};
    return fail(damage_error(scan.damage.front()));
}

// What the open does not verify: frames below the testimony of the links.
Result<void> check_frames(const log::PoolSurvey& survey) {
    for (const log::StreamSurvey& stream : survey.streams) {
        if (stream.holes.empty()) continue;
        const log::Hole& hole = stream.holes.front();
        return fail(
            damage_error({pool::name_in(stream.entry), hole.verdict, Lsn{hole.begin}, hole.range}));
    }
    return {};
}

Result<CopyReport> make_copy(const pool::Space& old, const log::PoolSurvey& survey,
                             uint64_t old_file_bytes, const std::filesystem::path& to,
                             const CopyOptions& options, CopyReport report) {
    const uint32_t needed = std::max(survey.segments_needed(), pool::kSegmentsMin);
    pool::CreateOptions create;
    create.segment_bytes = old.segment_bytes;
    create.segments_min = needed;
    create.pool_bytes =
        options.pool_bytes != 0
            ? options.pool_bytes
            : std::max(old_file_bytes, pool::pool_bytes_min(old.segment_bytes, needed));
    report.pool_bytes = create.pool_bytes / format::kPageBytes * format::kPageBytes;
    report.notes.insert(report.notes.end(), survey.notes.begin(), survey.notes.end());
    auto made = pool::Pool::create(to, create, [&](const pool::Space& fresh) {
        return log::copy_pool_into(old, survey, fresh, report);
    });
    if (!made) return fail(std::move(made.error()));
    return report;
}

}  // namespace

Result<CopyReport> copy_pool(const std::filesystem::path& from, const std::filesystem::path& to,
                             const CopyOptions& options) {
    pool::OpenOptions open;
    open.read_only = true;
    open.lock_timeout = options.lock_timeout;
    auto old = pool::Pool::open(from, open);
    if (!old) return fail(std::move(old.error()));
    CopyReport report;
    report.notes = old->notes();
    if (auto sound = check_sound(old->space(), pool::quoted(from), report.notes); !sound)
        return fail(std::move(sound.error()));
    const log::PoolSurvey survey =
        log::survey_pool(old->space(), log::Condition::sound, log::parallel_for);
    if (auto sound = check_frames(survey); !sound) return fail(std::move(sound.error()));
    return make_copy(old->space(), survey, old->file_bytes(), to, options, std::move(report));
}

Result<CopyReport> salvage_pool(const std::filesystem::path& from, const std::filesystem::path& to,
                                const CopyOptions& options) {
    auto old = pool::RawPool::open(from, options.lock_timeout);
    if (!old) return fail(std::move(old.error()));
    CopyReport report;
    report.notes = old->notes();
    report.bytes_missing = old->bytes_missing();
    const log::PoolSurvey survey =
        log::survey_pool(old->space(), log::Condition::damaged, log::parallel_for);
    return make_copy(old->space(), survey, old->file_bytes(), to, options, std::move(report));
}

}  // namespace cinnabar
