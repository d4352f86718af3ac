// Where a life is killed, and what its last store has left there.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sim/crash_medium.hpp"
#include "sim/scheduler.hpp"

namespace cinnabar::trials {

using sim::CrashMedium;

// Calls back wherever a life is killed: before each of its fences (or msyncs), and amidst one store
// of `stride`, whose words are there in part. No thread of the life moves meanwhile.
class KillPoints {
  public:
    struct Kill {
        std::string where;
        // Of the last store, which was cut short: what it was to store, and which words it did.
        uint64_t offset = 0;
        Bytes value = {};
        std::vector<bool> words = {};

        // The next life, over `memory`, a copy of what the killed one used.
        void put(CrashMedium& next, std::span<std::byte> memory) const {
            if (!words.empty()) next.copy_some(memory.data() + offset, value, words);
        }
    };
    using Call = std::function<void(const Kill&)>;

    KillPoints(CrashMedium& medium, uint64_t stride, uint64_t seed, Call call) : medium_(medium) {
        medium.on_crash_point(
            [call](Site site) { call({"kill at " + std::string(name_of(site))}); });
        medium.on_store(
            [=, random = std::mt19937_64(seed), turn = seed](uint64_t offset, Bytes value) mutable {
                if (++turn % stride != 0) return;
                const sim::Standstill standstill;
                call({"kill amidst a store at " + std::to_string(offset), offset, value,
                      some_words(random, value.size() / sizeof(uint64_t))});
            });
    }
    KillPoints(const KillPoints&) = delete;
    KillPoints& operator=(const KillPoints&) = delete;
    ~KillPoints() {
        medium_.on_crash_point(nullptr);
        medium_.on_store(nullptr);
    }

  private:
    // Any of them: a copy goes in any order. One word is there or not.
    static std::vector<bool> some_words(std::mt19937_64& random, size_t count) {
        std::vector<bool> words(count);
        for (size_t i = 0; i < count; ++i) words[i] = random() % 2 != 0;
        return words;
    }

    CrashMedium& medium_;
};

}  // namespace cinnabar::trials
