// What a workload did to its region, told to the crash medium call by call. The workload's memory
// is its own and it stores there as it likes; the recorder keeps a copy of it as last seen, and
// what differs at the next call was stored in between, in an order that nobody knows: one bag for
// each line.
//
// Beside that it notices what needs no image to be odd: flushes and fences for nothing, stores of
// both kinds on one line, acknowledgements of what was not flushed.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cinnabar/crash.hpp"
#include "cinnabar/types.hpp"
#include "explain/finding.hpp"
#include "sim/crash_medium.hpp"
#include "sim/trace.hpp"

namespace cinnabar::crash {

class Recorder {
  public:
    using Kind = sim::Unit::Kind;

    // `memory` is the workload's, or another view of it; `before` what it held at the start.
    Recorder(std::span<const std::byte> memory, std::span<const std::byte> before, Domain domain);

    // The number of a call's place, which the crash medium keeps with what was stored there.
    Site place(const std::string& text);
    const std::string& text_of(Site place) const { return places_[static_cast<size_t>(place)]; }

    // What was stored since the last call is from "before" this one. Every call below begins with
    // it; whoever is about to store, and then tells of it with stored(), calls it before.
    void notice(Site place);
    // Is called first by that: what is known of single stores since the last call.
    void before_notice(std::function<void()> tell) { before_notice_ = std::move(tell); }
    // The range was stored to by an instruction: what of it differs.
    void stored_plainly(uint64_t offset, size_t length, Site place);
    // The range was just stored to by one call. A word is 8 bytes or fewer, which no line divides.
    void stored(uint64_t offset, size_t length, Kind kind, Site place);
    void flush(uint64_t offset, size_t length, Site place);
    void fence(Site place);
    void sync(uint64_t offset, size_t length, Site place);
    void begun(Site place);
    void acknowledged(Site place);
    // For the trace alone: a workload of the same shape may print when it likes.
    void printed(const std::string& text);

    // What is remarked of a workload that forces nothing, where not all that forces is seen.
    void if_nothing_forces(std::string remark) { nothing_forces_ = std::move(remark); }
    void insert(explain::Fix fix) { fix_ = std::move(fix); }
    // The call of the fix was made.
    bool fix_was_made() const { return fix_was_made_; }
    // Its flush and fence take place now.
    bool is_inserting() const { return is_inserting_; }
    // Tells it of every call from now on; it outlives the recorder.
    void trace(sim::Trace& trace) { trace_ = &trace; }
    // A number for all that was called so far, from where, and with which ranges; and for what the
    // memory held at the start. Not for the values that were stored.
    uint32_t shape() const { return shape_; }
    // Numbers for what the workload has stored so far, whatever a fix does beside it: by which
    // calls to which lines, and which values.
    uint32_t lines_stored() const { return lines_stored_; }
    uint32_t values_stored() const { return values_stored_; }

    // The memory is looked at only where this says so.
    void read_while(std::function<bool()> readable) { readable_ = std::move(readable); }
    // Called before each fence and sync takes effect.
    void on_fence(std::function<void(Site)> call);
    // The calling thread may go on: the one that made the recorder, or after disown() the first one
    // that asks. That another one asked is misuse, and then nothing is seen any more.
    bool is_owner();
    void disown() { owner_ = 0; }
    // Before that: may it be this one? And is it?
    bool may_be_owner() const { return owner_ == 0 || is_owned(); }
    bool is_owned() const { return owner_ == this_thread(); }
    // The one that had it has ended: it is the calling one now.
    void adopt() { owner_ = this_thread(); }
    // What the workload does is seen still.
    bool is_seeing() const { return !other_thread_ && (!readable_ || readable_()); }

    const sim::CrashMedium& medium() const { return medium_; }
    size_t size() const { return memory_.size(); }
    // While it stays the same, a crash can leave no image that it could not leave before.
    uint64_t stores() const { return medium_.counts().stores; }
    std::vector<Remark> remarks() const;
    // What the workload asked of its region and may not.
    void misuse(std::string what) { misuses_.push_back(std::move(what)); }
    std::vector<std::string> misuses() const;

  private:
    struct Free {
        void operator()(std::byte* memory) const;
    };

    // From 1 on, and unlike the system's given to one thread alone.
    static uint64_t this_thread();
    void remark(const char* rule, Site place) { ++remarks_[{rule, place}]; }
    struct Range {
        uint64_t offset;
        size_t length;
    };
    void find_changes(Range range, std::vector<Range>& changes) const;
    void noticed(std::vector<Range> changes, Site place);
    void note_stored(const std::vector<Range>& ranges, Site place);
    void store(const std::vector<Range>& ranges, Kind kind, Site place);
    void store_to_medium(Range words, Kind kind, Site place);
    bool is_fixed(Site place) const { return fix_ && text_of(place) == fix_->where; }
    void force_inserted(const std::vector<Range>& ranges, Site place);
    // For the shape and the trace.
    void tell(sim::Trace::Kind kind, const std::vector<Range>& ranges, Site place);

    const std::span<const std::byte> memory_;
    const std::unique_ptr<std::byte, Free> seen_;
    sim::CrashMedium medium_;
    std::function<bool()> readable_;
    std::function<void()> before_notice_;
    std::atomic<uint64_t> owner_{this_thread()};
    const pid_t process_ = ::getpid();
    std::vector<std::string> places_{""};
    std::map<std::string, Site, std::less<>> place_of_;
    std::map<std::pair<std::string_view, Site>, uint64_t> remarks_;
    std::vector<std::string> misuses_;
    std::atomic<bool> other_thread_{false};
    std::string nothing_forces_ = "the workload never forces anything: no fence and no sync";
    std::optional<explain::Fix> fix_;
    bool fix_was_made_ = false;
    bool is_inserting_ = false;
    sim::Trace* trace_ = nullptr;
    uint32_t shape_ = 0;
    uint32_t lines_stored_ = 0;
    uint32_t values_stored_ = 0;
};

}  // namespace cinnabar::crash
