// Mutants of the format. Its functions know no medium that could be asked, and writer and reader
// must be wrong in the same way: so the linker (--wrap, CMakeLists.txt) sends all calls of a
// function from other files here. A name below that no longer fits makes its mutants survive, which
// a test notices.
#include <array>
#include <cstring>
#include <optional>

#include "format/codec.hpp"
#include "format/verdict.hpp"
#include "sim/crash_medium.hpp"

namespace cinnabar::format {

uint32_t real_frame_seed(const PoolId&, uint32_t, uint64_t)  //
    asm("__real__ZN8cinnabar6format10frame_seedERKSt5arrayIhLm16EEjm");
uint32_t wrap_frame_seed(const PoolId&, uint32_t, uint64_t)  //
    asm("__wrap__ZN8cinnabar6format10frame_seedERKSt5arrayIhLm16EEjm");
uint32_t real_frame_sum(uint32_t, const std::byte*, uint64_t)  //
    asm("__real__ZN8cinnabar6format9frame_sumEjPKSt4bytem");
uint32_t wrap_frame_sum(uint32_t, const std::byte*, uint64_t)  //
    asm("__wrap__ZN8cinnabar6format9frame_sumEjPKSt4bytem");
using ReadRegister = std::optional<RegisterValue>(const PoolId&, uint32_t, const RegisterLine&);
ReadRegister real_read_register asm(
    "__real__ZN8cinnabar6format13read_registerERKSt5arrayIhLm16EEjRKNS0_12RegisterLineE");
ReadRegister wrap_read_register asm(
    "__wrap__ZN8cinnabar6format13read_registerERKSt5arrayIhLm16EEjRKNS0_12RegisterLineE");
HeaderReading real_read_segment_header(const PoolId&, uint32_t, const std::byte*)  //
    asm("__real__ZN8cinnabar6format19read_segment_headerERKSt5arrayIhLm16EEjPKSt4byte");
HeaderReading wrap_read_segment_header(const PoolId&, uint32_t, const std::byte*)  //
    asm("__wrap__ZN8cinnabar6format19read_segment_headerERKSt5arrayIhLm16EEjPKSt4byte");
Seen real_look(const SegmentLife&, uint64_t, bool)  //
    asm("__real__ZN8cinnabar6format4lookERKNS0_11SegmentLifeEmb");
Seen wrap_look(const SegmentLife&, uint64_t, bool)  //
    asm("__wrap__ZN8cinnabar6format4lookERKNS0_11SegmentLifeEmb");

namespace {

bool is_on(Mutant mutant) {
    return sim::CrashMedium::mutant(mutant);
}

}  // namespace

uint32_t wrap_frame_seed(const PoolId& pool, uint32_t segment, uint64_t generation) {
    if (is_on(Mutant::seed_without_generation)) generation = 0;
    if (is_on(Mutant::seed_without_high_generation)) generation = static_cast<uint32_t>(generation);
    if (is_on(Mutant::seed_without_segment)) segment = 0;
    return real_frame_seed(is_on(Mutant::seed_without_pool) ? PoolId{} : pool, segment, generation);
}

uint32_t wrap_frame_sum(uint32_t seed, const std::byte* frame, uint64_t summed_bytes) {
    if (is_on(Mutant::frame_sum_not_verified)) return read_frame_header(frame).checksum;
    return real_frame_sum(seed, frame, summed_bytes);
}

std::optional<RegisterValue> wrap_read_register(const PoolId& pool, uint32_t key,
                                                const RegisterLine& line) {
    if (!is_on(Mutant::register_sum_not_verified)) return real_read_register(pool, key, line);
    const uint32_t greater = line.slot[1].value > line.slot[0].value ? 1 : 0;
    return RegisterValue{line.slot[greater].value, greater};
}

HeaderReading wrap_read_segment_header(const PoolId& pool, uint32_t segment,
                                       const std::byte* base) {
    if (!is_on(Mutant::header_sum_not_verified))
        return real_read_segment_header(pool, segment, base);
    std::array<std::byte, kFramesOffset> block;
    std::memcpy(block.data(), base, block.size());
    for (const size_t offset : kHeaderOffset) {
        SegmentHeader copy;
        std::memcpy(&copy, base + offset, sizeof copy);
        if (copy.magic != kSegmentMagic) continue;
        copy.sum = segment_header(pool, copy.segment, copy.generation).sum;
        std::memcpy(block.data() + offset, &copy, sizeof copy);
    }
    return real_read_segment_header(pool, segment, block.data());
}

Seen wrap_look(const SegmentLife& life, uint64_t offset, bool below_testimony) {
    Seen seen = real_look(life, offset, below_testimony && !is_on(Mutant::testimony_not_heeded));
    if (is_on(Mutant::foreign_lsn_believed) && seen.verdict == Verdict::corrupt_foreign)
        seen.verdict = Verdict::valid;
    return seen;
}

}  // namespace cinnabar::format
