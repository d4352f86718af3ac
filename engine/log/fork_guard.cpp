#include "log/fork_guard.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace cinnabar::log {

namespace {

constinit std::atomic<uint32_t> plain_word{0};

std::atomic<uint32_t>* make_word() {
    constexpr size_t page_bytes = 4096;
    void* page =
        mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, page_bytes, MADV_WIPEONFORK) == 0)
        return new (page) std::atomic<uint32_t>(0);
    pthread_atfork(nullptr, nullptr, [] { plain_word.store(0); });
    return &plain_word;
}

std::atomic<uint32_t>& word_of_process() {
    static std::atomic<uint32_t>* const word = make_word();
    return *word;
}

}  // namespace

bool wiped_on_fork() {
    return &word_of_process() != &plain_word;
}

const std::atomic<uint32_t>& alive_word() {
    return word_of_process();
}

uint32_t begin_life() {
    std::atomic<uint32_t>& word = word_of_process();
    if (word.load() == 0) word.store(static_cast<uint32_t>(getpid()));
    return word.load();
}

}  // namespace cinnabar::log
