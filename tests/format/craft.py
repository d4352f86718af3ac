"""Frames that the engine seldom writes, made by hand from records of a pool: gaps and carried
copies. The bytes are FORMAT.md's, the sums our own."""
import struct

import reader
from reader import CARRIED, CARRIED_PREFIX, FRAME, FRAMES_AT, GAP, LINE, RECORD


def sealed(seed, frame, summed):
    """The frame with its checksum (section 2.1) over its first `summed` bytes."""
    unsummed = frame[:8] + bytes(4) + frame[12:]
    checksum = reader.crc(seed, unsummed[:summed])
    return frame[:8] + reader.u32(checksum) + frame[12:]


def records(pool, stream):
    """(segment, frame) of every record up to the cut, old and new."""
    for segment in stream.kept:
        for offset, _, frame in pool.walk(segment, FRAMES_AT, below=False):
            if segment.base + offset - FRAMES_AT >= stream.cut:
                return
            if frame and frame.type == RECORD:
                yield segment, frame


def with_header(pool, frame, kind, length, back):
    word, bits, stated, distance, lsn, service, own, _ = FRAME.unpack_from(pool.data, frame.at)
    bits = kind << 29 | bits & 1 << 28 | length
    return FRAME.pack(word, bits, stated, distance, lsn, service, own, back)


def gap(pool, segment, frame):
    """A gap in the place of a record. Only its first line counts; the rest may be anything."""
    head = with_header(pool, frame, GAP, frame.bytes - 32, back=0)
    body = pool.data[frame.at + 32:frame.at + frame.bytes]
    return frame.at, sealed(segment.frame_seed, head + body, LINE)


def carried(pool, segment, frame, origin, copied, previous):
    """A carried copy in the place of a record. What it carries is the rest of that payload."""
    head = with_header(pool, frame, CARRIED, frame.length, back=0)
    body = pool.data[frame.at + 32 + CARRIED_PREFIX:frame.at + frame.bytes]
    prefix = struct.pack("<QQQ", origin, copied, previous)
    return frame.at, sealed(segment.frame_seed, head + prefix + body, frame.bytes)


def aged(pool, segment):
    """Headers and link of the generation before: all behind them is of a later life, and whole."""
    generation = segment.generation - 1
    header = reader.SEGMENT_MAGIC + struct.pack("<QI", generation, segment.number) + bytes(40)
    header += reader.u32(reader.crc(pool.pool_seed, header))
    seed = reader.crc(reader.crc(pool.pool_seed, reader.u32(segment.number)),
                      reader.u64(generation))
    at = segment.at + FRAMES_AT
    link = reader.u32(generation & 0xFFFFFFFF) + pool.data[at + 4:at + LINE]
    return [*((segment.at + copy, header) for copy in reader.COPIES_AT),
            (at, sealed(seed, link, LINE))]


def gaps_and_copies(pool, random):
    """Patches that make a few of each in every stream."""
    patches = []
    for stream in pool.streams:
        there = list(records(pool, stream))
        for i in sorted(random.sample(range(len(there)), min(4, len(there)))):
            segment, frame = there[i]
            if frame.length <= CARRIED_PREFIX or random.randrange(3) == 0:
                patches.append(gap(pool, segment, frame))
                continue
            _, earlier = there[random.randrange(i + 1)]
            origin = random.choice((earlier.lsn, earlier.lsn // 2 // LINE * LINE))
            copied = random.choice((0, origin, earlier.lsn, stream.mark))
            previous = random.choice((0, origin // 2 // LINE * LINE))
            patches.append(carried(pool, segment, frame, origin, copied, previous))
    return patches


def some(pool, random):
    """The same, and sometimes the newest segment of a stream aged."""
    patches = gaps_and_copies(pool, random)
    streams = [stream for stream in pool.streams if stream.kept]
    if streams and random.randrange(2) == 0:
        patches += aged(pool, random.choice(streams).kept[-1])
    return patches
