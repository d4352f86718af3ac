#include "crash/foreign.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "crash/code_place.hpp"
#include "crash/file_before.hpp"

namespace cinnabar::crash {

namespace {

constexpr size_t kPageBytes = 4096;

bool is_same(const struct stat& one, const struct stat& other) {
    return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The caller, and where that is a library of PMDK's, who called it.
std::string text_of(std::vector<void*>::const_iterator frame,
                    std::vector<void*>::const_iterator end) {
    std::string text;
    for (; frame != end; ++frame) {
        const CodePlace one = code_place(*frame);
        const bool library = one.object.starts_with("libpmem");
        const std::string name =
            one.function.empty() ? one.text() : one.object + " (" + one.function + ")";
        if (text.empty() || !library) text += (text.empty() ? " by " : ", for ") + name;
        if (!library) break;
    }
    return text;
}

}  // namespace

Foreign::Foreign(const std::string& path, Run& run) : given_path_(path), run_(run) {
    std::error_code ignored, nameless;
    // Of a file that is not there yet weakly_canonical keeps a name without a folder as it is.
    path_ = std::filesystem::weakly_canonical(std::filesystem::absolute(path), ignored).string();
    is_folder_ = std::filesystem::is_directory(path_, ignored);
    // A file in memory, by its number: what the map of the process calls it leads nowhere.
    const auto link = std::filesystem::read_symlink(path, nameless);
    if (!nameless && link.native().starts_with("/memfd:")) {
        path_ = link;
        number_path_ = path;
    }
    if (std::filesystem::is_regular_file(openable(path_), ignored)) {
        before_ = bytes_of(openable(path_));
        (void)::stat(openable(path_).c_str(), &status_before_);
    }
    if (!is_folder_) return;
    // What nobody may look into is nothing that the workload maps.
    using Walk = std::filesystem::recursive_directory_iterator;
    constexpr auto skip = std::filesystem::directory_options::skip_permission_denied;
    for (Walk at(path_, skip, ignored); !ignored && at != Walk(); at.increment(ignored))
        were_there_.insert(at->path().string());
}

// Before anything is stored there. Once for each file, or what is stored and not forced counts as
// durable where it is mapped a second time. Called amidst whatever maps: it closes nothing, which
// would drop locks of the process, and takes no memory for files of others.
void Foreign::note_mapping(int file) {
    static thread_local bool is_noting = false;
    struct stat status = {};
    if (is_noting || ::getpid() != process_ || found() || ::fstat(file, &status) != 0) return;
    const std::lock_guard locked(noted_);
    is_noting = true;
    const FileNumber number(status.st_dev, status.st_ino);
    if (!is_named_so(file))
        mapped_elsewhere_[mapped_elsewhere_next_++ % mapped_elsewhere_.size()] = number;
    else if (!held_.contains(number))
        held_[number] = bytes_in(file, static_cast<size_t>(status.st_size));
    is_noting = false;
}

std::string Foreign::bytes_in(int file, size_t size) {
    std::string bytes(size, '\0');
    size_t done = 0;
    for (ssize_t part = 1; part > 0 && done < size; done += static_cast<size_t>(part))
        part = std::max<ssize_t>(
            ::pread(file, bytes.data() + done, size - done, static_cast<off_t>(done)), 0);
    return bytes;
}

bool Foreign::is_named_so(int file) const {
    char link[48], name[4096];
    std::snprintf(link, sizeof link, "/proc/thread-self/fd/%d", file);
    const ssize_t length = ::readlink(link, name, sizeof name);
    const std::string_view path(name, static_cast<size_t>(std::max<ssize_t>(length, 0)));
    if (!is_folder_) return path == path_;
    return path.starts_with(path_) && path.substr(path_.size()).starts_with('/');
}

// What it held when it was mapped first; of a mapping that was not seen, what it held before the
// workload, or zeros where it is another file. Nothing: it was mapped under another name, and what
// was forced there is not known.
std::optional<std::string> Foreign::held_at_first() {
    const std::lock_guard locked(noted_);
    const FileNumber number(status_.st_dev, status_.st_ino);
    if (held_.contains(number)) return std::move(held_.at(number));  // it is asked once
    if (std::ranges::count(mapped_elsewhere_, number) != 0) return std::nullopt;
    return before_ && is_same(status_, status_before_) ? *before_ : "";
}

Foreign::~Foreign() {
    if (!view_.empty()) ::munmap(view_.data(), view_.size());
    if (size_now()) ::close(file_);
}

std::optional<Foreign::Mapping> Foreign::mapping_of(const void* address) {
    const auto wanted = reinterpret_cast<uintptr_t>(address);
    std::ifstream maps("/proc/thread-self/maps");  // self's are gone with the main thread
    for (std::string line; std::getline(maps, line);) {
        Mapping mapping;
        char access[8] = {}, device[32] = {}, inode[32] = {};
        int path_at = 0;
        if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %7s %" SCNx64 " %31s %31s %n",
                        &mapping.begin, &mapping.end, access, &mapping.offset, device, inode,
                        &path_at) < 6 ||
            wanted < mapping.begin || wanted >= mapping.end)
            continue;
        if (access[3] != 's') return std::nullopt;  // private: its stores reach no file
        mapping.device_and_inode = std::string(device) + " " + inode;
        mapping.path = line.substr(static_cast<size_t>(path_at));
        return mapping;
    }
    return std::nullopt;
}

bool Foreign::is_ours(const Mapping& mapping) const {
    if (mapping_) return mapping.device_and_inode == mapping_->device_and_inode;
    return is_folder_ ? mapping.path.starts_with(path_ + "/") : mapping.path == path_;
}

bool Foreign::is_in_file(const void* address, bool is_touched) {
    if (::getpid() != process_) return note_child(address), false;
    if (given_up_) return false;
    if (found() && !(is_touched ? recorder_->is_owner() : recorder_->may_be_owner())) return false;
    // Asked anew each time: what was mapped here may be unmapped, and something else in its place.
    const auto mapping = mapping_of(address);
    if (!mapping) return false;
    if (!is_ours(*mapping)) {
        if (found() && mapping->path == mapped_path_) give_up(replaced());
        return false;
    }
    if (!found() && !attach(*mapping)) return false;
    mapping_ = mapping;
    if (!is_there() || (is_touched && !recorder_->is_owner())) return false;
    if (sim::hooked()) see_plain_stores();
    return true;
}

// What was stored to the file itself is known up to here.
std::string Foreign::replaced() const {
    return "another file has taken the place of '" + mapped_path_ +
           "' since that was mapped, and what is stored there is not seen: give each a run of its "
           "own";
}

void Foreign::adopt() {
    if (active()) recorder_->adopt();
}

// Where that was done behind the last call that is seen, or by write(2) alone.
void Foreign::end() {
    struct stat now = {};
    if (active() && number_path_.empty() && ::stat(mapped_path_.c_str(), &now) == 0 &&
        !is_same(now, status_))
        give_up(replaced());
}

// As far as the mapping holds the file.
void Foreign::see_plain_stores() {
    const auto* begin = reinterpret_cast<const std::byte*>(mapping_->begin);
    const std::span seen(begin, within(begin, mapping_->end - mapping_->begin));
    if (seen.data() == seen_plainly_.data() && seen.size() == seen_plainly_.size()) return;
    seen_plainly_ = seen;
    hooked_.reset();
    if (!seen.empty()) hooked_.emplace(seen, mapping_->offset, *recorder_);
}

void Foreign::note_child(const void* address) const {
    if (!found() || !child_call_) return;
    if (const auto mapping = mapping_of(address); mapping && is_ours(*mapping)) child_call_();
}

bool Foreign::attach(const Mapping& mapping) {
    if (claim_ && !claim_()) return give_up("another program maps the file meanwhile"), false;
    if (!refusal_.empty()) return give_up(refusal_), false;
    if (were_there_.contains(mapping.path)) {
        give_up("'" + mapping.path + "' was in the folder before the workload, and what it held " +
                "is not known: remove it, or name the file itself and not its folder");
        return false;
    }
    mapped_path_ = mapping.path;
    attached_path_ = openable(mapping.path);
    file_ = ::open(attached_path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0 || ::fstat(file_, &status_) != 0)
        return fail(
            {Errc::io, "'" + mapping.path + "' does not open: " + std::strerror(errno), {}, {}});
    auto held = held_at_first();
    if (!held) {
        give_up("'" + mapping.path +
                "' was mapped under another name before it had this one, and " +
                "what was made durable then is not known: let it be mapped anew");
        return false;
    }
    std::string& before = *held;
    began_with_ = FileBefore::mark_of(given_path_, before);
    const size_t bytes = static_cast<size_t>(status_.st_size);
    if (bytes == 0 || bytes % kPageBytes != 0) {
        give_up("'" + mapping.path + "' has " + std::to_string(bytes) +
                " bytes, which is no multiple of 4096");
        return false;
    }
    void* view = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file_, 0);
    if (view == MAP_FAILED)
        return fail(
            {Errc::io, "'" + mapping.path + "' cannot be mapped: " + std::strerror(errno), {}, {}});
    view_ = {static_cast<std::byte*>(view), bytes};
    before.resize(bytes);  // what was added since is zeros
    recorder_.emplace(view_, std::as_bytes(std::span(before)), Domain::cache_line);
    recorder_->if_nothing_forces(
        "no call of libpmem's, and no msync, was seen that makes anything durable, and so all that "
        "was stored counts as not forced; what a program flushes by instruction is not seen: have "
        "it call pmem_persist instead");
    recorder_->disown();
    recorder_->read_while([this] { return active() && usable(); });
    if (const auto watched = run_.watch(*recorder_); !watched) return fail(watched.error());
    return true;
}

// Not for another thread.
bool Foreign::usable() {
    return recorder_->is_owner() && is_there();
}

// Not where a part of the view has lost its file.
bool Foreign::is_there() {
    if (!size_now()) file_ = ::open(attached_path_.c_str(), O_RDONLY | O_CLOEXEC);
    const auto size = size_now();
    if (!size)
        give_up(
            "the file is gone or has another name, and the program has closed what it has not "
            "opened");
    else if (*size != view_.size())
        give_up("the file's size has changed under the workload, which is not modelled");
    return !given_up_;
}

// Nothing: the descriptor is not of the file. A program may close what it has not opened, and open
// a file of its own in that place.
std::optional<size_t> Foreign::size_now() const {
    struct stat now = {};
    if (::fstat(file_, &now) != 0 || !is_same(now, status_)) return std::nullopt;
    return static_cast<size_t>(now.st_size);
}

bool Foreign::fail(Error error) {
    given_up_ = true;
    failed_ = std::move(error);
    return false;
}

void Foreign::give_up(const std::string& why) {
    given_up_ = true;
    run_.add(ViolationKind::misuse, why);
}

Site Foreign::place(const Call& call) {
    constexpr int frames_max = 24;
    std::vector<void*> frames(frames_max);
    frames.resize(static_cast<size_t>(::backtrace(frames.data(), frames_max)));
    const auto [known, is_new] = callers_.try_emplace(frames);
    if (is_new)
        known->second = call.function +
                        text_of(std::find(frames.begin(), frames.end(), call.from), frames.end());
    return recorder_->place(known->second);
}

uint64_t Foreign::offset_of(const void* at) const {
    return reinterpret_cast<uintptr_t>(at) - mapping_->begin + mapping_->offset;
}

size_t Foreign::within(const void* at, size_t length) const {
    const uint64_t offset = offset_of(at);
    return offset >= view_.size() ? 0 : std::min<size_t>(length, view_.size() - offset);
}

void Foreign::flush(const Call& call, const void* at, size_t length) {
    run_.listen();
    recorder_->flush(offset_of(at), within(at, length), place(call));
}

void Foreign::fence(const Call& call) {
    // It may be for another file: of who has stored nothing here.
    if (!active() || !recorder_->is_owned() || !is_there()) return;
    run_.listen();
    recorder_->fence(place(call));
}

void Foreign::before_store(const Call& call) {
    run_.listen();
    recorder_->notice(place(call));
}

// What is not a whole line goes through the caches in any case.
void Foreign::after_store(const Call& call, const void* at, size_t length, bool past_caches,
                          bool flushed) {
    using Kind = Recorder::Kind;
    const uint64_t begin = offset_of(at), end = begin + within(at, length);
    const Site where = place(call);
    const uint64_t first = (begin + sim::kLineBytes - 1) / sim::kLineBytes * sim::kLineBytes;
    const uint64_t last = end / sim::kLineBytes * sim::kLineBytes;
    if (!past_caches || first >= last) return store_part(begin, end, Kind::bag, flushed, where);
    store_part(begin, first, Kind::bag, flushed, where);
    store_part(first, last, Kind::non_temporal, false, where);
    store_part(last, end, Kind::bag, flushed, where);
}

void Foreign::store_part(uint64_t offset, uint64_t end, Recorder::Kind kind, bool flushed,
                         Site place) {
    if (end <= offset) return;
    recorder_->stored(offset, end - offset, kind, place);
    if (flushed) recorder_->flush(offset, end - offset, place);
}

}  // namespace cinnabar::crash
