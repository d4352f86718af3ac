// The handler of bus errors. It calls only what a signal handler may call: places are plain words
// and characters that stand still, numbers are written digit by digit.
#include "pool/bus_error.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <string>
#include <string_view>

#include "cinnabar/bus_error.hpp"
#include "pool/system.hpp"

namespace cinnabar::pool {

namespace {

constexpr size_t kPlaces = 64;
constexpr size_t kNameBytes = 4000;

constinit thread_local const char* at_hand = nullptr;

// A sentence in a buffer of its own. What does not fit is left out.
class Sentence {
  public:
    Sentence& operator<<(std::string_view words) {
        for (const char c : words)
            if (length_ < text_.size()) text_[length_++] = c;
        return *this;
    }
    Sentence& operator<<(uint64_t number) {
        std::array<char, 20> digits;
        size_t at = digits.size();
        do {
            digits[--at] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        return *this << std::string_view(&digits[at], digits.size() - at);
    }
    void say() const {
        for (size_t written = 0; written < length_;) {
            const ssize_t n = ::write(STDERR_FILENO, &text_[written], length_ - written);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return;
            written += static_cast<size_t>(n);
        }
    }

  private:
    std::array<char, 2 * kNameBytes + 1000> text_;
    size_t length_ = 0;
};

}  // namespace

struct KnownMapping::Place {
    std::atomic<bool> taken{false};
    std::atomic<const std::byte*> base{nullptr};  // last of all: who sees it sees the others
    std::atomic<uint64_t> length{0};
    std::array<char, kNameBytes + 1> name = {};
};
constinit KnownMapping::Place KnownMapping::places[kPlaces];

struct BusErrorHandler {
    static inline std::atomic<int> exit_status{0};
    static inline struct sigaction before = {};

    struct Struck {
        const char* name = nullptr;
        uint64_t offset = 0;
        bool offset_known = false;
    };

    static Struck find(const std::byte* address) {
        for (const KnownMapping::Place& place : KnownMapping::places) {
            const std::byte* base = place.base.load(std::memory_order_acquire);
            if (base != nullptr && address >= base && address < base + place.length.load())
                return {place.name.data(), static_cast<uint64_t>(address - base), true};
        }
        return {at_hand, 0, false};
    }

    // A signal that somebody sent has no address.
    static bool is_fault(const siginfo_t& info) { return info.si_code > 0; }

    // Why, as far as the system says and the file's size shows.
    static void explain(const Struck& struck, const siginfo_t& info, Sentence& sentence) {
        struct stat status = {};
        const bool known = ::stat(struck.name, &status) == 0;
        if (info.si_code == BUS_MCEERR_AR || info.si_code == BUS_MCEERR_AO)
            sentence << "the medium lost the page";
        else if (known && struck.offset_known &&
                 static_cast<uint64_t>(status.st_size) <= struck.offset)
            sentence << "the file was made shorter and now has "
                     << static_cast<uint64_t>(status.st_size) << " bytes";
        else
            sentence << "the file was made shorter, its file system is full, or the medium lost "
                        "the page";
    }

    [[noreturn]] static void end(const Struck& struck, const siginfo_t& info) {
        const std::string_view name(struck.name);
        Sentence sentence;
        sentence << "cinnabar: '" << name << "' cannot be reached any more";
        if (struck.offset_known) sentence << " at file byte " << struck.offset;
        sentence << ": ";
        explain(struck, info, sentence);
        sentence << ". What was acknowledged before is kept as far as the file still holds it; "
                    "see what verifies with: cinnabar check '"
                 << name << "'\n";
        sentence.say();
        ::_exit(exit_status.load());
    }

    // As if this handler were not there.
    static void pass_on(int number, siginfo_t* info, void* context) {
        if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(number, info, context);
        if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
            return before.sa_handler(number);
        // Who ignores the signal ignores those that are sent; a fault ends the process even so.
        if (before.sa_handler == SIG_IGN && !is_fault(*info)) return;
        struct sigaction usual = {};
        usual.sa_handler = SIG_DFL;
        ::sigaction(number, &usual, nullptr);
        ::raise(number);  // comes when this handler returns
    }

    static void handle(int number, siginfo_t* info, void* context) {
        const Struck struck =
            is_fault(*info) ? find(static_cast<const std::byte*>(info->si_addr)) : Struck{};
        if (struck.name != nullptr) end(struck, *info);
        pass_on(number, info, context);
    }
};

FileAtHand::FileAtHand(const std::filesystem::path& path) : name_(path.native()) {
    at_hand = name_.c_str();
}
FileAtHand::~FileAtHand() {
    at_hand = nullptr;
}

void KnownMapping::know(const std::filesystem::path& path, const void* base, uint64_t length) {
    for (Place& place : places) {
        if (place.taken.exchange(true)) continue;
        const size_t length_kept = std::min(path.native().size(), kNameBytes);
        *std::copy_n(path.native().begin(), length_kept, place.name.begin()) = '\0';
        place.length.store(length);
        place.base.store(static_cast<const std::byte*>(base), std::memory_order_release);
        place_ = &place;
        return;
    }
}

void KnownMapping::forget() {
    if (place_ == nullptr) return;
    place_->base.store(nullptr);
    place_->taken.store(false);
    place_ = nullptr;
}

}  // namespace cinnabar::pool

namespace cinnabar {

Result<void> end_on_bus_error(int exit_status) {
    using Handler = pool::BusErrorHandler;
    if (exit_status < 1 || exit_status > 255)
        return fail(Errc::invalid_argument,
                    "an exit status of " + std::to_string(exit_status) +
                        " after a bus error is not possible; choose one from 1 to 255");
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    Handler::exit_status.store(exit_status);
    static bool installed = false;
    if (installed) return {};
    struct sigaction action = {};
    action.sa_sigaction = Handler::handle;
    action.sa_flags = SA_SIGINFO;
    if (::sigaction(SIGBUS, nullptr, &Handler::before) != 0 ||
        ::sigaction(SIGBUS, &action, nullptr) != 0)
        return fail(pool::system_error(errno, "install a handler of bus errors"));
    installed = true;
    return {};
}

}  // namespace cinnabar
