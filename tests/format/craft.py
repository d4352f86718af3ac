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


def header(pool, number, generation):
    head = reader.SEGMENT_MAGIC + struct.pack("<QI", generation, number) + bytes(40)
    return head + reader.u32(reader.crc(pool.pool_seed, head))


def link(pool, segment, number, generation, before=None):
    """The segment's link as it would stand in another segment or life; `before`: what precedes."""
    seed = reader.crc(reader.crc(pool.pool_seed, reader.u32(number)), reader.u64(generation))
    at = segment.at + FRAMES_AT
    frame = reader.u32(generation & 0xFFFFFFFF) + pool.data[at + 4:at + LINE]
    if before:
        frame = frame[:36] + struct.pack("<IQ", *before) + frame[48:]
    return sealed(seed, frame, LINE)


def aged(pool, segment):
    """Headers and link of the generation before: all behind them is of a later life, and whole."""
    generation = segment.generation - 1
    head = header(pool, segment.number, generation)
    return [*((segment.at + copy, head) for copy in reader.COPIES_AT),
            (segment.at + FRAMES_AT, link(pool, segment, segment.number, generation))]


def twin(pool, segment, generation):
    """The last segment of the first extent, which was never used, with the same place in the
    stream."""
    at, count = pool.superblock.extents[0]
    at += (count - 1) * pool.segment_bytes
    head = header(pool, count - 1, generation)
    return [*((at + copy, head) for copy in reader.COPIES_AT),
            (at + FRAMES_AT, link(pool, segment, count - 1, generation, segment.predecessor))]


def unfitting(pool, segment):
    """A link that names another life of the segment before it."""
    number, generation = segment.predecessor
    return [(segment.at + FRAMES_AT,
             link(pool, segment, segment.number, segment.generation, (number, generation ^ 1)))]


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
    """The same, and sometimes a stream whose segments do not fit together."""
    patches = gaps_and_copies(pool, random)
    streams = [stream for stream in pool.streams if stream.kept]
    if not streams or random.randrange(3) == 0:
        return patches
    segments = random.choice(streams).kept
    segment = random.choice(segments[1:] or segments)
    generation = segment.generation + random.choice((-1, 1))
    return patches + random.choice((lambda: aged(pool, segments[-1]),
                                    lambda: twin(pool, segment, generation),
                                    lambda: unfitting(pool, segment)))()
