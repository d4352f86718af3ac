"""The sum of FORMAT.md, section 2."""
import struct


def _crc_tables():
    """Four tables for 16 bits each: a step of the loop takes 8 bytes. Their last one is that of a
    plain CRC over 16 bits; each other one goes on through 16 zero bits from the one behind it."""
    byte = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        byte.append(value)
    steps = (byte[word & 0xFF] ^ word >> 8 for word in range(65536))
    last = [step >> 8 ^ byte[step & 0xFF] for step in steps]
    tables = [last]
    for _ in range(3):
        tables.insert(0, [(one >> 16) ^ last[one & 0xFFFF] for one in tables[0]])
    return byte, tables


_BYTE, (_T0, _T1, _T2, _T3) = _crc_tables()


def crc(seed, data):
    """§2: CRC32C, raw: not inverted at either end."""
    whole = len(data) & ~7
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        word ^= seed
        seed = (_T0[word & 0xFFFF] ^ _T1[word >> 16 & 0xFFFF] ^ _T2[word >> 32 & 0xFFFF]
                ^ _T3[word >> 48])
    for byte in data[whole:]:
        seed = seed >> 8 ^ _BYTE[(seed ^ byte) & 0xFF]
    return seed
