#include "trials/mutants.hpp"

#include <algorithm>
#include <array>

namespace cinnabar::trials {

namespace {

constexpr Site kSites[] = {
#define CNB_SITE(name) Site::name,
    CNB_SITES(CNB_SITE)
#undef CNB_SITE
};

constexpr Mutant kMutants[] = {
#define CNB_MUTANT(name) Mutant::name,
    CNB_MUTANTS(CNB_MUTANT)
#undef CNB_MUTANT
};

// Those that a store_frame call names.
constexpr Site kFrames[] = {Site::forced_frame_store,  Site::lazy_frame_store,
                            Site::carried_frame_store, Site::close_store,
                            Site::pad_store,           Site::link_store};

// Fences that are an msync in the page domain. The others are not reached there.
constexpr Site kSynced[] = {Site::ceiling_fence, Site::header_a_fence, Site::header_b_fence,
                            Site::mark_fence,    Site::accept_fence,   Site::erase_fence};

// Nothing of them is reached in another domain than that of pages.
constexpr Site kPageOnly[] = {Site::accept_store, Site::page_sync, Site::pad_sync, Site::link_sync};

// In the page domain too.
constexpr Mutant kPageMutants[] = {Mutant::nothing_accepted, Mutant::first_page_accepted,
                                   Mutant::failure_forgotten, Mutant::failure_flagged_late};
// There alone.
constexpr Mutant kPageOnlyMutants[] = {Mutant::first_page_accepted, Mutant::failure_forgotten,
                                       Mutant::failure_flagged_late};

bool holds(std::span<const Site> sites, Site site) {
    return std::ranges::find(sites, site) != sites.end();
}

std::string in(Domain domain) {
    switch (domain) {
        case Domain::byte: return "_byte";
        case Domain::page: return "_page";
        case Domain::cache_line: break;
    }
    return "";
}

Broken without(Site site, Domain domain) {
    Broken broken;
    broken.name = std::string(name_of(site)) + in(domain);
    broken.dropped = site;
    broken.domain = domain;
    broken.forced_cached = site == Site::forced_frame_flush;
    return broken;
}

Broken other_way(Site site, Domain domain) {
    Broken broken;
    broken.name = std::string(name_of(site)) + "_swapped" + in(domain);
    broken.swapped = site;
    broken.domain = domain;
    return broken;
}

void add_site(std::vector<Broken>& all, Site site) {
    const std::string_view name = name_of(site);
    if (holds(kPageOnly, site)) {
        all.push_back(without(site, Domain::page));
        return;
    }
    all.push_back(without(site, Domain::cache_line));
    if (name.ends_with("_fence")) {
        all.push_back(without(site, Domain::byte));
        if (holds(kSynced, site)) all.push_back(without(site, Domain::page));
    }
    if (!holds(kFrames, site)) return;
    all.push_back(other_way(site, Domain::cache_line));
    all.push_back(other_way(site, Domain::byte));
}

void add_mutant(std::vector<Broken>& all, Mutant mutant) {
    Broken broken;
    broken.name = name_of(mutant);
    broken.mutant = mutant;
    if (std::ranges::find(kPageOnlyMutants, mutant) == std::end(kPageOnlyMutants))
        all.push_back(broken);
    if (std::ranges::find(kPageMutants, mutant) == std::end(kPageMutants)) return;
    broken.domain = Domain::page;
    broken.name += in(Domain::page);
    all.push_back(broken);
}

constexpr Known kKnown[] = {
    {"forced_frame_store", "appending"},
    {"forced_frame_store_swapped", "appending"},
    {"forced_frame_store_swapped_byte", "two_threads",
     "in the byte domain a fence is all that either kind needs, and its own thread fences it"},
    {"lazy_frame_store", "appending"},
    {"lazy_frame_store_swapped", "crossing_threads"},
    {"lazy_frame_store_swapped_byte", "three_threads"},
    {"forced_frame_flush", "appending"},
    {"forcer_flush", "two_threads"},
    {"forced_fence", "appending"},
    {"forced_fence_byte", "appending"},
    {"second_flush", "appending"},
    {"second_fence", "appending"},
    {"second_fence_byte", "appending"},
    {"page_sync_page", "appending"},
    {"carried_frame_store", "carrying_forward"},
    {"carried_frame_store_swapped", "carrying"},
    {"carried_frame_store_swapped_byte", "carrying"},
    {"close_store", "closing"},
    {"close_store_swapped", "closing",
     "its own thread stores, flushes and fences it: either kind is durable then"},
    {"close_store_swapped_byte", "closing",
     "its own thread stores, flushes and fences it: either kind is durable then"},
    {"ceiling_store", "appending"},
    {"ceiling_flush", "appending"},
    {"ceiling_fence", "new_space"},
    {"ceiling_fence_byte", "new_space"},
    {"ceiling_fence_page", "new_space"},
    {"header_a_store", "appending"},
    {"header_a_flush", "appending"},
    {"header_a_fence", "preparing_twice"},
    {"header_a_fence_byte", "appending"},
    {"header_a_fence_page", "appending"},
    {"header_b_store", "appending"},
    {"header_b_flush", "large_segments"},
    {"header_b_fence", "preparing_twice"},
    {"header_b_fence_byte", "appending"},
    {"header_b_fence_page", "appending"},
    {"pad_store", "appending"},
    {"pad_store_swapped", "crossing_threads",
     "its own thread stores, flushes and fences it: either kind is durable then"},
    {"pad_store_swapped_byte", "crossing_threads",
     "its own thread stores, flushes and fences it: either kind is durable then"},
    {"link_store", "appending"},
    {"link_store_swapped", "crossing_threads",
     "its own thread stores, flushes and fences it: either kind is durable then"},
    {"link_store_swapped_byte", "crossing_threads",
     "its own thread stores, flushes and fences it: either kind is durable then"},
    {"pad_flush", "appending"},
    {"link_flush", "appending"},
    {"attach_fence", "appending"},
    {"attach_fence_byte", "appending"},
    {"pad_sync_page", "appending"},
    {"link_sync_page", "appending"},
    {"mark_store", "many_lives"},
    {"mark_flush", "recycling"},
    {"mark_fence", "recycling"},
    {"mark_fence_byte", "recycling"},
    {"mark_fence_page", "recycling"},
    {"accept_store_page", "failing"},
    {"accept_flush", "killed_threads"},
    {"accept_fence", "killing"},
    {"accept_fence_byte", "killing"},
    {"accept_fence_page", "failing"},
    {"erase_store", "reviving"},
    {"erase_flush", "reviving"},
    {"erase_fence", "reviving"},
    {"erase_fence_byte", "reviving"},
    {"erase_fence_page", "reviving"},
    {"published_before_stored", "overtaken"},
    {"durable_before_fence", "three_threads"},
    {"early_acknowledgement", "two_threads"},
    {"second_look_left_out", "two_threads"},
    {"predecessors_not_forced", "appending"},
    {"slots_counted_apart", "overtaken"},
    {"space_without_exchange", "two_threads"},
    {"slots_not_stepped_over", "three_threads"},
    {"copies_not_forced", "carrying_forward"},
    {"previous_forgotten", "appending"},
    {"copy_without_previous", "carrying_forward"},
    {"testimony_too_great", "appending"},
    {"failure_forgotten_page", "failing_and_going_on"},
    {"failure_flagged_late_page", "failing_threads"},
    {"ceiling_after_header", "new_space"},
    {"headers_under_one_fence", "preparing_twice"},
    {"holding_header_first", "preparing_twice"},
    {"holding_header_not_accepted", "killed_opening"},
    {"spare_before_fence", "appending"},
    {"tail_left_open", "group_forcing"},
    {"link_place_given_away", "appending"},
    {"reuse_before_mark", "recycling"},
    {"mark_above_durable", "releasing_too_far"},
    {"register_in_place", "appending"},
    {"pins_not_asked", "reading_what_is_released"},
    {"own_mark_releases", "two_services"},
    {"promise_not_counted", "in_doubt"},
    {"reserve_given_away", "full_log"},
    {"checkpoint_again", "reserving"},
    {"ceiling_not_accepted", "on_a_weaker_medium"},
    {"marks_not_accepted", "killed_releasing"},
    {"first_mark_accepted", "killed_releasing"},
    {"first_stream_recovered", "two_streams"},
    {"ceiling_not_heeded", "damaging"},
    {"renewed_headers_not_accepted", "killed_renewing"},
    {"kept_headers_not_accepted", "on_a_weaker_medium"},
    {"frames_not_accepted", "killing"},
    {"nothing_accepted", "killed_appending"},
    {"nothing_accepted_page", "killing"},
    {"first_page_accepted_page", "failing"},
    {"weak_testimony_believed", "on_a_weaker_medium"},
    {"cut_not_erased", "reviving_threads"},
    {"tail_erased_in_part", "appending"},
    {"tail_erased_line_by_line", "appending"},
    {"own_generation_erased", "reviving"},
    {"zeros_not_accepted", "killed_erasing"},
    {"dead_segments_kept", "killed_renewing"},
    {"dead_renewed_oldest_first", "recovering"},
    {"seed_without_pool", "in_space_of_another_pool"},
    {"seed_without_segment", "in_space_of_another_pool",
     "no two segments have one generation, so the generation says which it is; the number is for "
     "bytes of a pool that others copied about"},
    {"seed_without_generation", "over_old_bytes"},
    {"seed_without_high_generation", "in_space_of_long_ago"},
    {"register_sum_not_verified", "damaging"},
    {"header_sum_not_verified", "damaging"},
    {"frame_sum_not_verified", "damaging"},
    {"foreign_lsn_believed", "damaging"},
    {"testimony_not_heeded", "damaging"},
};

}  // namespace

std::vector<Broken> all_broken() {
    std::vector<Broken> all;
    for (const Site site : all_sites()) add_site(all, site);
    for (const Mutant mutant : all_mutants()) add_mutant(all, mutant);
    return all;
}

std::span<const Site> all_sites() {
    return std::span(kSites).subspan(1);  // without "none"
}

std::span<const Mutant> all_mutants() {
    return std::span(kMutants).subspan(1);  // without "none"
}

std::span<const Known> all_known() {
    return kKnown;
}

const Known* find_known(std::string_view name) {
    const auto at = std::ranges::find(kKnown, name, &Known::name);
    return at == std::end(kKnown) ? nullptr : at;
}

void run_broken(const ScenarioRun& run, Outcome& outcome,
                const std::function<void(Trial&)>& prepare) {
    sim::CrashMedium::switch_on(run.broken.mutant);
    Trial trial({.domain = run.broken.domain,
                 .forced_cached = run.broken.forced_cached,
                 .dropped = run.broken.dropped,
                 .swapped = run.broken.swapped,
                 .fenced = run.fenced,
                 .traced = run.traced},
                run.seed, run.levels);
    trial.at = &outcome.at;
    if (run.earlier) {
        trial.more_before = run.earlier->before;
        trial.show_more = [&run](const auto& pending, auto& image, const auto& visit) {
            explain::show_earlier(run.earlier->lines, pending, image, visit);
        };
    }
    if (prepare) prepare(trial);
    const std::string wrong = run.scenario->run(trial);
    outcome.set_wrong(wrong);
    // What is wrong may be something else than an image that failed before.
    if (!wrong.ends_with(trial.failed)) outcome.at = {};
    outcome.explored = trial.explored;
    outcome.images_distinct = trial.seen.size();
    outcome.appends = trial.appends;
}

std::string notice(const Broken& broken, const Scenario& scenario) {
    const auto outcomes = run_forked(1, {}, [&](size_t, Outcome& outcome) {
        run_broken({.broken = broken, .scenario = &scenario}, outcome);
    });
    return outcomes[0].wrong;
}

}  // namespace cinnabar::trials
