#include "base/fork_guard.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <new>

namespace cinnabar {

namespace {

constinit std::atomic<uint32_t> plain_word{0};

// Counts on through forks: no child gets the number of a process that it descends from. Process
// numbers would not do, since a child may have its parent's (each the first of a namespace of its
// own), or that of one further back which has ended.
constinit std::atomic<uint32_t> lives{0};

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

// Before any thread can fork beside it.
[[maybe_unused]] const std::atomic<uint32_t>& made_at_load = word_of_process();

}  // namespace

bool wiped_on_fork() {
    return &word_of_process() != &plain_word;
}

const std::atomic<uint32_t>& alive_word() {
    return word_of_process();
}

uint32_t begin_life() {
    std::atomic<uint32_t>& word = word_of_process();
    uint32_t present = word.load();
    if (present != 0) return present;
    const uint32_t fresh = lives.fetch_add(1) + 1;
    return word.compare_exchange_strong(present, fresh) ? fresh : present;
}

}  // namespace cinnabar
