// A medium that remembers what the processor may still owe. It records every store, copy, flush
// and fence with its site, keeps what is proven durable apart from what is merely visible, and
// builds the images that a power failure at this moment could leave.
//
// Fault model (x86; engine/doc/CRASH.md has the rules by number):
//   - An aligned store of 8 bytes is atomic; wider ones are torn into such words.
//   - Per line, what survives is the last durable state plus a prefix of the units stored since;
//     lines are independent of each other.
//   - A unit is one 8-byte store, or a *bag*: the words of one bulk copy, in any subset.
//   - The words of non-temporal stores survive in any subset, in no order, until the storing
//     thread fences.
//   - A flush covers what its line held at that moment, whoever stored it, and is done at the
//     flushing thread's next fence. A line may also survive at any time without a flush.
//   - Page domain: every page may be written back at any time, and is at sync().
//
// Driven by one thread, or by those of sim/scheduler.hpp; each call is a switch point. Memory grows
// with what is pending, not with the length of the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cinnabar/types.hpp"
#include "seam/medium.hpp"
#include "seam/site.hpp"
#include "sim/pending_line.hpp"
#include "sim/trace.hpp"

namespace cinnabar::sim {

class CrashMedium {
  public:
    // `live` is the memory that the engine uses; all of it counts as durable at the start.
    CrashMedium(std::span<std::byte> live, Domain domain);
    // After kill -9 of whoever used `killed`, over a copy of its memory: the caches still hold what
    // is pending, and no flush that was not fenced counts.
    CrashMedium(std::span<std::byte> live, const CrashMedium& killed);
    // kill -9 of whoever stores here; the next process goes on with this very medium.
    void kill();
    // Power fails: the live memory holds an image that is drawn from `random`, each line in any
    // state that the rules allow. The next process goes on with this very medium.
    void lose_power(std::mt19937_64& random);
    // What it would hold if power failed now.
    std::vector<std::byte> image_of_power_loss(std::mt19937_64& random) const;
    // Power failed at an earlier moment, and left this.
    void go_back_to(std::span<const std::byte> image);

    // --- the Medium concept ---------------------------------------------------------------------
    Domain domain() const { return domain_; }
    void store8(Site site, uint64_t* word, uint64_t value);
    void copy(Site site, std::byte* to, const std::byte* from, size_t length);
    void zero(Site site, std::byte* to, size_t length);
    void store_frame(Site site, std::byte* to, const FrameWords& header,
                     std::span<const Bytes> parts, uint32_t seed, StoreKind kind);
    void flush(Site site, const std::byte* from, size_t length);
    void fence(Site site);
    Result<void> sync(Site site, const std::byte* from, size_t length);
    static bool mutant(Mutant mutant) { return mutant == switched_on_; }
    // Beside the concept: non-temporal stores of anything.
    void copy_nt(Site site, std::byte* to, const std::byte* from, size_t length);
    // ... and a copy of which these words (of 8 bytes, in order) alone were made: a kill cut it
    // short. What is there is a bag, whichever way it was stored.
    void copy_some(std::byte* to, Bytes from, const std::vector<bool>& words);

    // --- crashing -------------------------------------------------------------------------------
    // What the live memory holds now was there, durable, before the test began.
    void begin_here();

    // Called just before each fence (or sync) takes effect: every image that could be left earlier
    // can be left here too, and at least as much is acknowledged.
    void on_crash_point(std::function<void(Site)> call) { on_crash_point_ = std::move(call); }

    // Mutants. This site's flush, fence, sync or store does nothing ...
    void drop(Site site) { dropped_ = site; }
    // ... or its frames go the other way: non-temporal instead of cached, or the reverse.
    void swap_kind(Site site) { swapped_ = site; }
    // This site's flush, fence or sync is called twice: the rules are to notice it.
    void call_twice(Site site) { doubled_ = site; }
    // What else the engine does wrong from now on, over every medium of this process.
    static void switch_on(Mutant mutant) { switched_on_ = mutant; }
    // A mend that is tried: behind each store of this site a flush and a fence, or a sync. None of
    // them is counted.
    void force_behind(Site site) { forced_ = site; }
    // The next sync reports an error, whatever range it asks for, and, as on Linux, the pages that
    // could not be written count as clean until they are stored to again: a second sync succeeds
    // and writes nothing. Here these are all pages that are dirty then.
    void fail_next_sync() { fail_sync_ = true; }
    // The system drops these pages and reads the file again, which holds of each line what `random`
    // draws: the live bytes change under whoever uses them.
    void drop_unwritten_pages(std::mt19937_64& random);

    // Called before each store, with the offset in the live memory and what will stand there: who
    // runs over an image (sim/image.hpp) takes it back; others kill the process here.
    using OnStore = std::function<void(uint64_t offset, Bytes value)>;
    void on_store(OnStore call) { on_store_ = std::move(call); }

    // Tells it of every call from now on that had an effect; it outlives the medium.
    void trace(Trace& trace) { trace_ = &trace; }

    // A line that is not pending is durable as it stands.
    std::span<const std::byte> live() const { return live_; }
    const PendingLines& pending() const { return pending_; }
    std::vector<std::byte> durable_image() const;

    struct Counts {
        uint64_t stores = 0;
        uint64_t flushes = 0;
        uint64_t fences = 0;
        // Calls that did nothing: a flush of lines that hold nothing new, a fence (or sync) of a
        // thread that has nothing on its way.
        std::map<Site, uint64_t> idle_flushes = {};
        std::map<Site, uint64_t> idle_fences = {};
        // A mistake: stores to lines that others, past the caches or not, are pending on otherwise.
        std::map<Site, uint64_t> mixed = {};
    };
    // What is stored from now on has this number or a higher one (Unit::sequence).
    uint64_t next_sequence() const { return sequence_; }
    const Counts& counts() const { return counts_; }

    // --- rules, which need no image -------------------------------------------------------------
    // From now on these bytes are promised: nothing of them may be pending, and nobody may store to
    // them until they are unsealed, or the process ends.
    void seal(const std::byte* from, size_t length);
    void unseal(const std::byte* from, size_t length);
    // From now on each flush, fence and sync has something to do, and no line is stored to in both
    // ways; not of a mutant, nor with a mend that is tried, and not among threads, of which one may
    // do what another was about to. Calls of `finders` are for lines that others may have left
    // unflushed, or made durable: they have something to do also where a line is durable, unless
    // this process has asked for that before, and nobody has stored to it since.
    void hold_to_all_rules(std::set<Site> finders) { finders_ = std::move(finders); }
    bool is_sealed(uint64_t line) const { return sealed_.contains(line); }
    // The first rule that was broken, in words, or nothing.
    const std::string& broken_rule() const { return broken_rule_; }

    // Shows the images of a crash now (sim/explore.hpp: the default levels) until `visit` returns
    // false. Returns how many were shown.
    uint64_t visit_images(const std::function<bool(std::span<const std::byte>)>& visit) const;

  private:
    bool is_dropped(Site site) const { return dropped_ && *dropped_ == site; }
    void store_words(Site site, Unit::Kind kind, std::byte* to, const std::byte* from,
                     size_t length, const std::vector<bool>* words = nullptr);
    void dirty_page(uint64_t line);
    void force(Site site, const std::byte* from, size_t length);
    void tell(Trace::Kind kind, Site site, const std::byte* from, size_t length) const;
    struct Lines {
        uint64_t first, last;
    };
    Lines lines_of(const std::byte* from, size_t length) const;
    bool has_on_its_way(size_t thread) const;
    void crash_point(Site site);
    template <class Call>
    void repeat(Site site, Call&& call);
    bool ask_for(Lines lines);
    void note_idle(std::map<Site, uint64_t>& counts, Site site, const char* what, bool is_first);
    void forget_process();
    void break_rule(const std::string& words);
    void break_rule_of_the_whole(const std::string& words);
    static void settle(PendingLine& pending, size_t units, size_t thread);
    Result<void> report_write_back_error();

    const std::span<std::byte> live_;
    const Domain domain_;
    PendingLines pending_;
    uint64_t sequence_ = 0;  // of the next unit
    std::function<void(Site)> on_crash_point_;
    OnStore on_store_;
    std::optional<Site> dropped_;
    std::optional<Site> swapped_;
    std::optional<Site> doubled_;
    std::optional<Site> forced_;
    Trace* trace_ = nullptr;
    inline static Mutant switched_on_ = Mutant::none;
    bool fail_sync_ = false;
    bool in_crash_point_ = false;
    Counts counts_;
    std::set<uint64_t> sealed_;  // line numbers
    std::optional<std::set<Site>> finders_;
    // By line: this process has flushed or synced it, and nobody has stored to it since.
    std::vector<bool> asked_for_;
    bool asked_for_more_ = false;  // such a line came to be since the last fence
    std::string broken_rule_;
};
static_assert(Medium<CrashMedium>);

}  // namespace cinnabar::sim
