// A file that code of others maps and stores to, as a region: which addresses are its, what was
// stored there since the last such call, and from where such a call came.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crash/hooked_stores.hpp"
#include "crash/recorder.hpp"
#include "crash/run.hpp"

namespace cinnabar::crash {

// A call of one of libpmem's functions, or of msync.
struct Call {
    const char* function;
    const void* from;  // where it returns to
};

class Foreign {
  public:
    // Before the workload. What the file holds when it is mapped first is durable. A folder stands
    // for the first file in it that is found in a mapping; one that was there before is refused.
    Foreign(const std::string& path, Run& run);
    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;
    ~Foreign();

    // The one that this process watches; nullptr: none. (In interpose.cpp, so that who watches one
    // has libpmem's functions, msync and mmap replaced.)
    static Foreign* watched();
    static void watch(Foreign* foreign);

    // From now on a mapping of the file is misuse, for that reason.
    void refuse(std::string why) { refusal_ = std::move(why); }
    // Asked once the file is found, before anything of it is recorded: false, and the mapping is
    // misuse, since another process records it.
    void claim_by(std::function<bool()> claim) { claim_ = std::move(claim); }
    // Called in a process that this one forks later, where that makes something of the file
    // durable.
    void on_child(std::function<void()> call) { child_call_ = std::move(call); }
    // Is the address in a shared mapping of the file? The first that is begins the recording, of
    // the first thread that makes durable what lies there, or stores it.
    bool holds(const void* address) { return is_in_file(address, true); }
    // The same of a call that does neither.
    bool maps(const void* address) { return is_in_file(address, false); }
    // A shared mapping was made that may be stored to, of whatever file.
    void note_mapping(int file);
    // The workload ends in this thread, whichever it was that stored; and it has ended.
    void adopt();
    void end();
    bool found() const { return recorder_.has_value(); }
    // FileBefore's mark of what the file held when it was mapped first; nothing: it was not.
    const std::string& began_with() const { return began_with_; }
    bool active() const { return found() && !given_up_; }
    // Said by misuse, or by failed().
    bool has_given_up() const { return given_up_; }
    // Why the file cannot be recorded, where the system has failed a call for that.
    const std::optional<Error>& failed() const { return failed_; }

    // `at`, here and below, was found by holds(). For a range behind the file's end nothing is
    // done.
    void flush(const Call& call, const void* at, size_t length);
    void fence(const Call& call);
    // Notes what was stored before, calls `store`, which does what the caller wanted, and notes
    // that: lines past the caches, or all of it through them, and then flushed or not.
    template <class Store>
    void store(const Call& call, void* at, size_t length, bool past_caches, bool flushed,
               const Store& store) {
        before_store(call);
        store();
        after_store(call, at, length, past_caches, flushed);
    }

  private:
    struct Mapping {
        uintptr_t begin = 0;
        uintptr_t end = 0;
        uint64_t offset = 0;
        std::string device_and_inode;
        std::string path;
    };

    using FileNumber = std::pair<dev_t, ino_t>;

    static std::optional<Mapping> mapping_of(const void* address);
    bool is_ours(const Mapping& mapping) const;
    const std::string& openable(const std::string& path) const {
        return number_path_.empty() ? path : number_path_;
    }
    void note_child(const void* address) const;
    bool attach(const Mapping& mapping);
    static std::string bytes_in(int file, size_t size);
    bool is_named_so(int file) const;
    std::optional<std::string> held_at_first();
    bool is_in_file(const void* address, bool is_touched);
    std::string replaced() const;
    bool usable();
    bool is_there();
    void see_plain_stores();
    std::optional<size_t> size_now() const;
    void give_up(const std::string& why);
    bool fail(Error error);
    Site place(const Call& call);
    uint64_t offset_of(const void* at) const;
    size_t within(const void* at, size_t length) const;
    void before_store(const Call& call);
    void after_store(const Call& call, const void* at, size_t length, bool past_caches,
                     bool flushed);
    void store_part(uint64_t offset, uint64_t end, Recorder::Kind kind, bool flushed, Site place);

    const pid_t process_ = ::getpid();  // children are other workloads
    const std::string given_path_;
    std::string path_;         // without links
    std::string number_path_;  // of a file in memory, which opens by its number alone
    bool is_folder_ = false;
    std::optional<std::string> before_;  // what the file held; nothing where there was none
    struct stat status_before_ = {};
    std::mutex noted_;                        // holds these
    std::map<FileNumber, std::string> held_;  // when it was mapped first, of each that is ours
    std::array<FileNumber, 256> mapped_elsewhere_ = {};  // under other names, the last ones
    size_t mapped_elsewhere_next_ = 0;
    std::string began_with_;
    std::set<std::string> were_there_;  // in the folder
    std::string refusal_;
    std::function<bool()> claim_;
    std::function<void()> child_call_;
    Run& run_;
    std::optional<Recorder> recorder_;
    std::optional<Mapping> mapping_;      // where the file was last seen
    std::optional<HookedStores> hooked_;  // stores to it there, of hooked code
    std::span<const std::byte> seen_plainly_;
    std::span<std::byte> view_;  // our own mapping of it, whatever the workload unmaps
    int file_ = -1;
    struct stat status_ = {};  // as it was attached
    std::string mapped_path_;  // as the map of the process has it
    std::string attached_path_;
    bool given_up_ = false;
    std::optional<Error> failed_;
    std::map<std::vector<void*>, std::string> callers_;
};

}  // namespace cinnabar::crash
