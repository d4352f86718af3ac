#include "crash/mutants.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace cinnabar::crash_test {

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
constexpr Site kFrames[] = {Site::forced_frame_store, Site::lazy_frame_store,
                            Site::carried_frame_store, Site::close_store,
                            Site::pad_store,           Site::link_store};

// Fences that are an msync in the page domain. The others are not reached there.
constexpr Site kSynced[] = {Site::ceiling_fence, Site::header_a_fence, Site::header_b_fence,
                            Site::attach_fence,  Site::mark_fence,     Site::accept_fence,
                            Site::erase_fence};

constexpr unsigned kSecondsMax = 60;

// In the page domain too.
constexpr Mutant kPageMutants[] = {Mutant::nothing_accepted, Mutant::failure_forgotten};

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
    if (site == Site::accept_store || site == Site::page_sync) {
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
    if (mutant != Mutant::failure_forgotten) all.push_back(broken);
    if (std::ranges::find(kPageMutants, mutant) == std::end(kPageMutants)) return;
    broken.domain = Domain::page;
    broken.name += in(Domain::page);
    all.push_back(broken);
}

constexpr Known kKnown[] = {
    {"none", ""},
};

}  // namespace

std::vector<Broken> all_broken() {
    std::vector<Broken> all;
    for (const Site site : kSites)
        if (site != Site::none) add_site(all, site);
    for (const Mutant mutant : kMutants)
        if (mutant != Mutant::none) add_mutant(all, mutant);
    return all;
}

std::span<const Known> all_known() {
    return kKnown;
}

const Known* known(std::string_view name) {
    const auto at = std::ranges::find(kKnown, name, &Known::name);
    return at == std::end(kKnown) ? nullptr : at;
}

std::string notice(const Broken& broken, const Workload& workload, uint64_t seed) {
    int ends[2];
    CNB_CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    CNB_CHECK(child >= 0);
    if (child == 0) {
        alarm(kSecondsMax);
        sim::CrashMedium::switch_on(broken.mutant);
        const std::string wrong = workload.run({.life = {.domain = broken.domain,
                                                         .forced_cached = broken.forced_cached,
                                                         .dropped = broken.dropped,
                                                         .swapped = broken.swapped},
                                                .seed = seed});
        const ssize_t written = write(ends[1], wrong.data(), wrong.size());
        _exit(written == static_cast<ssize_t>(wrong.size()) ? 0 : 1);
    }
    close(ends[1]);
    std::string wrong;
    char bytes[512];
    for (ssize_t got; (got = read(ends[0], bytes, sizeof bytes)) > 0;)
        wrong.append(bytes, static_cast<size_t>(got));
    close(ends[0]);
    int status = 0;
    CNB_CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return wrong;
    if (!WIFSIGNALED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
    if (WTERMSIG(status) == SIGALRM) return "does not end";
    return std::string("ended by ") + strsignal(WTERMSIG(status));
}

}  // namespace cinnabar::crash_test
