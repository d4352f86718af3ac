// Logs that fit on a page, for the tests of the search by what recovery reads: each is recovered
// from every image that the rules allow, and by the search.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.hpp"
#include "sim/crash_medium.hpp"
#include "sim/lazy_search.hpp"

namespace cinnabar::sim {

inline constexpr size_t kBytes = 4096;
inline constexpr size_t kSlotBytes = 4 * kLineBytes;
inline constexpr int kAppends = 3;

// Reads an image, and tells a search first where there is one.
class Reader {
  public:
    Reader(Image& image, LazySearch* search) : image_(image), search_(search) {}

    void tell(size_t offset, size_t length) const {
        if (search_ != nullptr) search_->before_load(at(offset), length);
    }
    uint64_t word(size_t offset) const {
        tell(offset, 8);
        return quiet_word(offset);
    }
    uint64_t quiet_word(size_t offset) const {
        uint64_t value = 0;
        std::memcpy(&value, at(offset), sizeof value);
        return value;
    }
    uint32_t sum(size_t offset, size_t length) const {
        if (search_ != nullptr) search_->before_checksum(at(offset), length);
        return crc32c(~0u, at(offset), length);
    }
    void store(size_t offset, uint64_t value) const {
        if (search_ != nullptr)
            search_->before_store(image_.bytes().data() + offset, 8);
        else
            image_.stored(offset, 8);
        std::memcpy(image_.bytes().data() + offset, &value, sizeof value);
    }

  private:
    const std::byte* at(size_t offset) const { return image_.bytes().data() + offset; }

    Image& image_;
    LazySearch* search_;
};

// A log of slots, written over a crash medium.
class ToyLog {
  public:
    ToyLog() : memory_(static_cast<std::byte*>(std::aligned_alloc(kBytes, kBytes))) {
        std::memset(memory_.get(), 0, kBytes);
    }
    virtual ~ToyLog() = default;

    virtual void append(CrashMedium& medium, int number) = 0;
    virtual std::string recover(const Reader& reader) const = 0;

    std::span<std::byte> memory() { return {memory_.get(), kBytes}; }

  protected:
    std::byte* at(size_t offset) { return memory_.get() + offset; }
    uint64_t* word_at(size_t offset) { return reinterpret_cast<uint64_t*>(at(offset)); }

  private:
    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

using Outcomes = std::set<std::string>;

struct Found {
    Outcomes searched;
    double images = 0;
    uint64_t runs = 0;
    uint64_t cuts = 0;
    bool exhausted = true;
    bool inconsistent = false;
};

// An image by its pending lines: what was stored to each, and what is left of that.
using LeftOfLines = std::vector<std::pair<const PendingLine*, Line>>;

// Every combination of the states of the pending lines that `keep` is true of.
inline Outcomes outcomes_of_all(
    const CrashMedium& medium, const ToyLog& log, double& images,
    const std::function<bool(const LeftOfLines&)>& keep = [](const LeftOfLines&) { return true; }) {
    std::vector<std::pair<uint64_t, std::vector<Line>>> lines;
    LeftOfLines left;
    for (const auto& [number, stores] : medium.pending()) {
        lines.emplace_back(number, stores.states());
        left.push_back({&stores, stores.durable});
    }
    Image image(kBytes);
    image.begin(medium.live(), medium.pending());
    Outcomes outcomes;
    std::vector<size_t> at(lines.size(), 0);
    for (size_t turned = 0; turned <= lines.size();) {
        for (size_t i = 0; i < lines.size(); ++i) {
            left[i].second = lines[i].second[at[i]];
            image.put(lines[i].first, left[i].second);
        }
        ++images;
        if (keep(left)) outcomes.insert(log.recover(Reader(image, nullptr)));
        image.undo();
        for (turned = 0; turned < lines.size(); ++turned) {
            if (++at[turned] < lines[turned].second.size()) break;
            at[turned] = 0;
        }
        if (turned == lines.size()) break;
    }
    return outcomes;
}

inline Outcomes outcomes_of_search(const CrashMedium& medium, const ToyLog& log,
                                   const LazySearch::Options& options, LazySearch::Result& result) {
    Outcomes outcomes;
    Image image(kBytes);
    LazySearch search(medium.live(), medium.pending(), image, options);
    result = search.run([&]() -> LazySearch::Outcome {
        const std::string outcome = log.recover(Reader(image, &search));
        outcomes.insert(outcome);
        return {.digest = std::hash<std::string>()(outcome)};
    });
    return outcomes;
}

// Searches at every crash point; with `brute_force`, what is found is what every image comes to.
template <class Log>
Found search_all(Log&& log, bool brute_force = true, const LazySearch::Options& options = {}) {
    Found found;
    CrashMedium medium(log.memory(), Domain::cache_line);
    medium.on_crash_point([&](Site) {
        LazySearch::Result result;
        Outcomes searched = outcomes_of_search(medium, log, options, result);
        if (brute_force) {
            Outcomes all = outcomes_of_all(medium, log, found.images);
            EXPECT_EQ(searched, all);
        }
        found.searched.merge(searched);
        found.runs += result.runs;
        found.cuts += result.sums_cut;
        found.exhausted = found.exhausted && result.exhausted;
        found.inconsistent = found.inconsistent || result.inconsistent;
    });
    for (int number = 0; number < kAppends; ++number) log.append(medium, number);
    return found;
}

}  // namespace cinnabar::sim
