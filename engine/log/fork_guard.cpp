#include "log/fork_guard.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace cinnabar::log {

namespace {

struct Guard {
    std::atomic<uint32_t>* word = nullptr;
    bool wiped = false;
};

constinit std::atomic<uint32_t> plain_word{0};

Guard make() {
    constexpr size_t page_bytes = 4096;
    Guard guard;
    void* page =
        mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, page_bytes, MADV_WIPEONFORK) == 0) {
        guard.word = new (page) std::atomic<uint32_t>(0);
        guard.wiped = true;
    } else {
        guard.word = &plain_word;
        pthread_atfork(nullptr, nullptr, [] { plain_word.store(0); });
    }
    guard.word->store(0);
    return guard;
}

const Guard& guard() {
    static const Guard made = make();
    return made;
}

}  // namespace

const std::atomic<uint32_t>& alive_word() {
    return *guard().word;
}

uint32_t begin_life() {
    std::atomic<uint32_t>& word = *guard().word;
    if (word.load() == 0) word.store(static_cast<uint32_t>(getpid()));
    return word.load();
}

std::string_view fork_guard_kind() {
    return guard().wiped ? "wipe-on-fork" : "fork handler";
}

}  // namespace cinnabar::log
