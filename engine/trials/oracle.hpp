// What must hold of a recovered image. For each stream: the low-water mark is the one that was
// acknowledged last, or the one that was asked for then; from there on what is recovered is an
// exact prefix of what was appended, each at its LSN, with nothing acknowledged missing and nothing
// else.
// Each answer is empty, or says what is wrong.
#pragma once

#include <span>
#include <string>

#include "trials/life.hpp"

namespace cinnabar::trials {

// Of a life that has recovered.
std::string compare(Life& life, const History& history);

// Of a life that recovered after the crash of another one: the same; and what it delivers, which is
// acknowledged by that, is what the history goes on from.
std::string deliver(Life& life, History& history);

// Of the segments of every image, whatever was appended.
std::string check_structure(const SimPool& pool);

// Of a pool, and what recovery did to it: more than any crash calls for is wrong. Of each stream
// one tail is erased, each segment is accepted or renewed once, and in the page domain each page is
// stored to once.
std::string check_work(const pool::Space& space, const Life::Work& work,
                       std::span<const StreamReport> streams);

// Recovers `crashed`, what a crash left, by `life`.
std::string recover(const SimPool& crashed, Life& life);

// ... and compares.
std::string recover_and_compare(const SimPool& crashed, Life& life, const History& history);

// Of an image of `pool`, in memory of its own.
std::string recover_and_compare(const SimPool& pool, std::span<const std::byte> image,
                                const History& history, const Life::Options& options);

// An image of a crash of `origin`, where it stands, and the life that recovers it.
struct Crashed {
    Crashed(const SimPool& origin, sim::Image& image, const Life::Options& options)
        : pool(SimPool::in_place(origin, image.bytes())), life(pool, options, image) {}

    std::string recover() { return trials::recover(pool, life); }

    SimPool pool;
    Life life;
};

std::string recover_and_compare(const SimPool& pool, sim::Image& image, const History& history,
                                const Life::Options& options);

}  // namespace cinnabar::trials
