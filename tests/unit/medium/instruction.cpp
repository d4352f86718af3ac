#include "instruction.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <array>
#include <cstring>

namespace cinnabar::medium {
namespace {

using Kind = Executed::Kind;

constexpr uintptr_t kLine = 64;

enum class Encoding : uint8_t { legacy, vex, evex };

// An instruction of the opcode map 0F, where all that matters here is.
struct Opcode {
    Encoding encoding = Encoding::legacy;
    uint8_t prefix = 0;  // as VEX numbers it: none, 66, F3, F2
    uint8_t code = 0;
    const uint8_t* operand = nullptr;  // ModRM and what follows
    bool wide = false;
    unsigned index_high = 0;  // 8: the index is one of r8 to r15
    unsigned base_high = 0;
    size_t vector_bytes = 16;

    unsigned mod() const { return *operand >> 6; }
    unsigned reg() const { return (*operand >> 3) & 7u; }
    bool in_memory() const { return mod() != 3; }
};

unsigned high(uint8_t byte, unsigned bit) {
    return ((byte >> bit) & 1u) * 8;
}

std::optional<Opcode> read_vex(const uint8_t* at) {
    Opcode opcode = {.encoding = Encoding::vex};
    uint8_t last = at[1];
    if (*at == 0xC4) {
        if ((at[1] & 0x1F) != 1) return {};  // another map
        opcode.index_high = high(static_cast<uint8_t>(~at[1]), 6);
        opcode.base_high = high(static_cast<uint8_t>(~at[1]), 5);
        last = *(++at + 1);
    }
    opcode.prefix = last & 3;
    opcode.vector_bytes = (last & 4) != 0 ? 32 : 16;
    opcode.code = at[2];
    opcode.operand = at + 3;
    return opcode;
}

std::optional<Opcode> read_evex(const uint8_t* at) {
    if ((at[1] & 7) != 1) return {};  // another map
    Opcode opcode = {.encoding = Encoding::evex};
    opcode.index_high = high(static_cast<uint8_t>(~at[1]), 6);
    opcode.base_high = high(static_cast<uint8_t>(~at[1]), 5);
    opcode.prefix = at[2] & 3;
    opcode.vector_bytes = size_t{16} << ((at[3] >> 5) & 3);
    opcode.code = at[4];
    opcode.operand = at + 5;
    return opcode;
}

std::optional<Opcode> read_legacy(const uint8_t* at) {
    Opcode opcode;
    for (;; ++at) {
        if (*at == 0x66 && opcode.prefix == 0)
            opcode.prefix = 1;
        else if (*at == 0xF3)
            opcode.prefix = 2;
        else if (*at == 0xF2)
            opcode.prefix = 3;
        else if (*at != 0x66 && *at != 0x2E && *at != 0x3E)  // the last two mean nothing
            break;
    }
    if ((*at & 0xF0) == 0x40) {  // REX
        opcode.wide = (*at & 8) != 0;
        opcode.index_high = high(*at, 1);
        opcode.base_high = high(*at, 0);
        ++at;
    }
    if (at[0] != 0x0F) return {};
    opcode.code = at[1];
    opcode.operand = at + 2;
    return opcode;
}

std::optional<Opcode> read_opcode(const uint8_t* at) {
    switch (*at) {
        case 0xC4:
        case 0xC5: return read_vex(at);
        case 0x62: return read_evex(at);
        default: return read_legacy(at);
    }
}

uintptr_t value_of(const gregset_t& registers, unsigned number) {
    constexpr std::array by_number = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                      REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                      REG_R12, REG_R13, REG_R14, REG_R15};
    return static_cast<uintptr_t>(registers[by_number.at(number)]);
}

template <class T>
uintptr_t displacement(const uint8_t* at) {
    T value = 0;
    std::memcpy(&value, at, sizeof value);
    return static_cast<uintptr_t>(intptr_t{value});
}

// Of the operand in memory.
uintptr_t address(const Opcode& opcode, const gregset_t& registers) {
    const uint8_t* at = opcode.operand;
    const unsigned mod = opcode.mod();
    unsigned base = *at++ & 7u;
    uintptr_t sum = 0;
    const bool has_index_byte = base == 4;
    if (has_index_byte) {
        const uint8_t scaled = *at++;
        const unsigned index = ((scaled >> 3) & 7u) + opcode.index_high;
        if (index != 4) sum = value_of(registers, index) << (scaled >> 6);
        base = scaled & 7u;
    }
    if (mod == 0 && base == 5) {  // no base; without an index byte, what follows is it
        if (!has_index_byte) sum = reinterpret_cast<uintptr_t>(at) + 4;
        return sum + displacement<int32_t>(at);
    }
    sum += value_of(registers, base + opcode.base_high);
    if (mod == 2) return sum + displacement<int32_t>(at);
    if (mod == 0) return sum;
    const size_t unit = opcode.encoding == Encoding::evex ? opcode.vector_bytes : 1;
    return sum + displacement<int8_t>(at) * unit;
}

std::optional<Executed> non_temporal(const Opcode& opcode, const gregset_t& registers,
                                     size_t bytes) {
    if (!opcode.in_memory()) return {};
    return Executed{Kind::non_temporal_store, address(opcode, registers), bytes};
}

// Flushes and fences share an opcode.
std::optional<Executed> of_group_15(const Opcode& opcode, const gregset_t& registers) {
    if (opcode.encoding != Encoding::legacy || opcode.reg() < 6) return {};
    const bool seventh = opcode.reg() == 7;
    if (!opcode.in_memory()) {
        if (seventh && opcode.prefix == 0) return Executed{Kind::sfence};
        return {};
    }
    const uintptr_t line = address(opcode, registers) / kLine * kLine;
    if (seventh && opcode.prefix == 0) return Executed{Kind::clflush, line, kLine};
    if (seventh && opcode.prefix == 1) return Executed{Kind::clflushopt, line, kLine};
    if (!seventh && opcode.prefix == 1) return Executed{Kind::clwb, line, kLine};
    return {};
}

Executed system_call(const gregset_t& registers) {
    if (registers[REG_RAX] == SYS_msync && registers[REG_RDX] == MS_SYNC)
        return {Kind::msync, static_cast<uintptr_t>(registers[REG_RDI]),
                static_cast<size_t>(registers[REG_RSI])};
    return {Kind::system_call, static_cast<uintptr_t>(registers[REG_RAX])};
}

}  // namespace

std::optional<Executed> about_to_execute(const gregset_t& registers) {
    const auto opcode = read_opcode(reinterpret_cast<const uint8_t*>(registers[REG_RIP]));
    if (!opcode) return {};
    switch (opcode->code) {
        case 0x05:
            if (opcode->encoding == Encoding::legacy) return system_call(registers);
            return {};
        case 0xC3:  // movnti
            if (opcode->encoding != Encoding::legacy || opcode->prefix != 0) return {};
            return non_temporal(*opcode, registers, opcode->wide ? 8 : 4);
        case 0xE7:  // movntdq
            if (opcode->prefix != 1) return {};
            return non_temporal(*opcode, registers, opcode->vector_bytes);
        case 0x2B:  // movntps, movntpd
            if (opcode->prefix > 1) return {};
            return non_temporal(*opcode, registers, opcode->vector_bytes);
        case 0xAE: return of_group_15(*opcode, registers);
        default: return {};
    }
}

}  // namespace cinnabar::medium
