#!/usr/bin/env python3
"""A second reader of cinnabar pools, written from engine/doc/FORMAT.md alone.

It shares no line with the engine, so where both say the same, the text is right and complete. The
numbers behind the sign § are the sections of FORMAT.md. Nothing here writes.

    reader.py check POOL                 what `cinnabar check --json` says
    reader.py dump POOL --stream NAME    the payloads, as `cinnabar dump`; --json: one per line
"""
import argparse
import base64
import json
import mmap
import struct
import sys
from dataclasses import dataclass, field

from crc32c import crc

LINE = 64
PAGE = 4096

u32 = struct.Struct("<I").pack
u64 = struct.Struct("<Q").pack

# ------------------------------------------------------------------------- damage and refusal

CORRUPT, TRUNCATED, UNSUPPORTED = "corrupt", "truncated", "unsupported_version"


class Refused(Exception):
    """The pool cannot be read at all. `code` is one of the three above."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Damage:
    """§8: what does not verify, and where in the file."""
    stream: str | None
    verdict: str
    lsn: int | None
    offset_bytes: int
    length_bytes: int


# §3.2 ---------------------------------------------------------------------------- superblock

MAGIC = b"CINNABAR"
ENDIAN_MARK = 0x0102030405060708
CATALOGUE_BYTES = 28672
COPY_B = 4096           # copy B of the superblock behind copy A
SUPERBLOCK_BYTES = 512
CEILING_AT, LAST_STREAM_AT, MEDIUM_AT = 512, 576, 640
STREAM_ROWS_AT, SERVICE_ROWS_AT, MARKS_AT = 8192, 16384, 24576
ROWS, ROW_BYTES = 64, 128
EXTENTS_MAX = 16


@dataclass
class Superblock:
    format_version: int
    checksum_algorithm: int
    incompatible_features: int
    pool_id: bytes
    segment_bytes: int
    stream_rows: int
    service_rows: int
    extent_count: int
    extents: list       # of (file offset, segment count)

    @staticmethod
    def parse(data, at):
        (version, algorithm, incompatible, _compatible, pool_id, segment_bytes, stream_rows,
         service_rows, extent_count) = struct.unpack_from("<IIQQ16sQIII", data, at + 16)
        extents = [struct.unpack_from("<QI", data, at + 80 + 16 * i)
                   for i in range(min(extent_count, EXTENTS_MAX))]
        return Superblock(version, algorithm, incompatible, pool_id, segment_bytes, stream_rows,
                          service_rows, extent_count, extents)

    def refuse(self, file_bytes):
        """§3.2: the reasons not to read on, in their order."""
        if self.format_version != 1:
            raise Refused(UNSUPPORTED, f"format version {self.format_version}")
        if self.checksum_algorithm != 1:
            raise Refused(UNSUPPORTED, f"checksum algorithm {self.checksum_algorithm}")
        if self.incompatible_features:
            raise Refused(UNSUPPORTED, f"feature bits {self.incompatible_features:#x}")
        size = self.segment_bytes
        if size & (size - 1) or not 2048 <= size <= 1 << 30:
            raise Refused(CORRUPT, f"segments of {size} bytes")
        if self.stream_rows != ROWS or self.service_rows != ROWS:
            raise Refused(CORRUPT, f"{self.stream_rows} and {self.service_rows} rows")
        if not 1 <= self.extent_count <= EXTENTS_MAX:
            raise Refused(CORRUPT, f"{self.extent_count} extents")
        for offset, count in self.extents:
            if offset % PAGE or count == 0:
                raise Refused(CORRUPT, f"an extent of {count} segments at {offset}")
            if offset + count * size > file_bytes:
                raise Refused(TRUNCATED, f"an extent ends at {offset + count * size}")


def has_superblock(data, at):
    """§3.1: the page at `at` has a superblock, by magic, endian mark and sum."""
    if at < 0 or at + SUPERBLOCK_BYTES > len(data) or data[at:at + 8] != MAGIC:
        return False
    (mark,) = struct.unpack_from("<Q", data, at + 8)
    (stated,) = struct.unpack_from("<I", data, at + 508)
    return mark == ENDIAN_MARK and crc(0xFFFFFFFF, data[at:at + 508]) == stated


def find_catalogue(data):
    """§3.1: the catalogue's offset and which of its superblock copies verify."""
    at = data.find(MAGIC)
    while at >= 0:
        if at % PAGE == 0 and has_superblock(data, at):
            superblock = Superblock.parse(data, at)
            catalogue, copies = _which_copy(data, at, superblock)
            behind = catalogue + CATALOGUE_BYTES
            if catalogue >= 0 and all(offset >= behind for offset, _ in superblock.extents):
                return catalogue, superblock, copies
        at = data.find(MAGIC, at + 1)
    raise _why_no_superblock(data)


def _which_copy(data, at, superblock):
    if has_superblock(data, at + COPY_B):
        return at, (True, True)
    seed = crc(0xFFFFFFFF, superblock.pool_id)
    if (read_register(data, at + CEILING_AT, seed, CEILING_KEY) is not None
            or read_register(data, at + LAST_STREAM_AT, seed, LAST_STREAM_KEY) is not None):
        return at, (True, False)
    return at - COPY_B, (False, True)


def _why_no_superblock(data):
    """§3.2, its end: a newer format or a foreign byte order is no damage."""
    for at in range(0, len(data) - COPY_B - SUPERBLOCK_BYTES, PAGE):
        if data[at:at + 8] == MAGIC and data[at:at + 32] == data[at + COPY_B:at + COPY_B + 32]:
            mark, version, algorithm, incompatible = struct.unpack_from("<QIIQ", data, at + 8)
            if mark == int.from_bytes(u64(ENDIAN_MARK), "big"):
                return Refused(UNSUPPORTED, "a pool of the other byte order")
            if mark == ENDIAN_MARK and (version, algorithm, incompatible) != (1, 1, 0):
                return Refused(UNSUPPORTED, "a newer format")
    return Refused(CORRUPT, "no superblock verifies")


# §3.3 ----------------------------------------------------------------------------- registers

CEILING_KEY, LAST_STREAM_KEY, MARK_KEY = 0x00010000, 0x00020000, 0x00030000


def read_register(data, at, pool_seed, key):
    """The greater value of the slots that verify; None: corrupt_register."""
    if at + LINE > len(data):
        return None
    seed = crc(pool_seed, u32(key))
    values = [value for value, stated in struct.iter_unpack("<QQ", data[at:at + 32])
              if crc(seed, u64(value)) == stated]
    return max(values, default=None)


# §3.4, §3.5 ----------------------------------------------------------------------------- rows


@dataclass
class StreamRow:
    number: int
    name: str
    kept_from: int


@dataclass
class ServiceRow:
    row: int
    service: int
    stream: int
    name: str


CORRUPT_ROW = "corrupt_row"     # stands where a row does that does not verify


def parse_name(raw):
    """1 to 63 bytes of UTF-8 without control characters and '/', then zeros; else None."""
    text, _, rest = raw.partition(b"\0")
    if not text or len(text) > 63 or any(rest):
        return None
    try:
        name = text.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if any(byte < 0x20 or byte in b"\x7f/" for byte in text) else name


# §5 --------------------------------------------------------------------------------- segments

SEGMENT_MAGIC = b"CSEGMENT"
FRAMES_AT = 512         # frame 0 in its segment
COPIES_AT = 0, 256      # the two header copies
ZERO_LINE = bytes(LINE)
NO_SEGMENT = 0xFFFFFFFF


@dataclass
class Segment:
    number: int
    at: int             # offset in the file
    generation: int     # of the header that holds
    one_copy: bool
    frame_seed: int
    sums: dict = field(default_factory=dict)    # offset → the sum that fits there, to sum once
    # of a linked one:
    stream: int | None = None
    ordinal: int = 0
    base: int = 0
    predecessor: tuple = (NO_SEGMENT, 0)
    link: "Frame | None" = None


# §6 ----------------------------------------------------------------------------------- frames

RECORD, LINK, PAD, CLOSE, CARRIED, GAP = 1, 2, 3, 4, 5, 6
NO_TESTIMONY = 0xFFFFFFFF
CARRIED_PREFIX = 24
FRAME = struct.Struct("<IIIIQHHI")


@dataclass
class Frame:
    at: int             # offset in the file
    type: int
    forced: bool
    length: int         # of the payload
    bytes: int          # that it takes
    distance: int
    lsn: int
    service: int
    kind: int
    back: int

    @property
    def testimony(self):
        """§6.4: everything below this LSN was durable when the frame was written."""
        if self.distance == NO_TESTIMONY:
            return 0
        return max(0, self.lsn - LINE * self.distance)


def padded(length):
    return (32 + length + LINE - 1) // LINE * LINE


def frame_bytes(kind, length, offset, segment_bytes):
    """§6.2: what such a frame takes at this offset; 0: it is not possible there."""
    room = segment_bytes - offset
    payload_max = (segment_bytes - FRAMES_AT) // 4 // LINE * LINE - 32
    first = offset == FRAMES_AT
    if kind == LINK:
        return LINE if first and length == 32 else 0
    if kind == PAD:
        return room if length == room - 32 else 0
    if kind == CLOSE:
        return LINE if length == 0 and not first else 0
    if first or padded(length) > room:
        return 0
    possible = {RECORD: 1 <= length <= payload_max,
                CARRIED: CARRIED_PREFIX + 1 <= length <= payload_max + CARRIED_PREFIX,
                GAP: length == padded(length) - 32 and length <= payload_max}
    return padded(length) if possible.get(kind) else 0


# §7 ---------------------------------------------------------------------------------- streams

END_OF_SEGMENT = "end of segment"


@dataclass
class Stream:
    number: int
    name: str
    mark: int | None
    kept_from: int
    kept: list = field(default_factory=list)    # segments, oldest first
    broken: bool = False
    begin: int = 0
    end: int = 0
    verified_from: int = 0
    testified: int = 0
    cut: int = 0
    end_verdict: str = END_OF_SEGMENT
    damage: Damage | None = None                # §7.3, at most one


@dataclass
class Record:
    """What §7.4 gives out. A gap has no payload."""
    lsn: int
    origin: int
    forced: bool
    service: int
    kind: int
    previous: int | None
    known_durable: bool
    payload: bytes


@dataclass
class Loss:
    """A gap, or the damage that ends a delivery."""
    verdict: str
    lsn: int
    range: tuple | None     # offset and length in the file


def _fits(before, segment):
    """§7.1 step 4"""
    return segment.predecessor == (before.number, before.generation)


class Pool:
    """One pool file, read in the ten steps of §1. Raises Refused."""

    def __init__(self, data):
        self.data = data
        self.damage = []        # of the pool as a whole: found on opening, §8
        # Steps 1 and 2.
        self.catalogue, self.superblock, self.copies = find_catalogue(data)
        self.superblock.refuse(len(data))
        self.pool_seed = crc(0xFFFFFFFF, self.superblock.pool_id)
        self.segment_bytes = self.superblock.segment_bytes
        self.span = self.segment_bytes - FRAMES_AT
        self._read_tables()     # step 3
        self._read_segments()   # steps 4 and 5
        for stream in self.streams:
            self._find_chain(stream)    # step 6
            self._scan(stream)          # step 7
            self._judge_end(stream)     # step 8

    def damage_at_open(self):
        """§8: the damage of no stream that every open looks for, also one that only dumps."""
        beside = self.catalogue + LAST_STREAM_AT, self.catalogue + MEDIUM_AT
        return [one for one in self.damage if one.offset_bytes not in beside]

    def _note(self, verdict, at, length):
        self.damage.append(Damage(None, verdict, None, at, length))

    # Step 3 -------------------------------------------------------------------- §3.3 to §3.6

    def _read_tables(self):
        at = self.catalogue
        self.ceiling = self._register(at + CEILING_AT, CEILING_KEY)
        self.last_stream = self._register(at + LAST_STREAM_AT, LAST_STREAM_KEY)
        self._medium_row()
        stream_rows = [self._stream_row(row) for row in range(ROWS)]
        self.stream_rows = [row for row in stream_rows if isinstance(row, StreamRow)]
        self.all_streams_known = CORRUPT_ROW not in stream_rows
        service_rows = [self._service_row(row) for row in range(ROWS)]
        self.services = [row for row in service_rows if isinstance(row, ServiceRow)]
        self.marks = {row.service: self._register(at + MARKS_AT + LINE * row.row,
                                                  MARK_KEY + row.row) for row in self.services}
        self.all_marks_known = (CORRUPT_ROW not in service_rows
                                and None not in self.marks.values())
        self.streams = [Stream(row.number, row.name, self._mark(row), row.kept_from)
                        for row in self.stream_rows]

    def _register(self, at, key):
        value = read_register(self.data, at, self.pool_seed, key)
        if value is None:
            self._note("corrupt_register", at, LINE)
        return value

    def _row(self, at):
        """A row's bytes, or None where it is free; whether its sum is right."""
        row = self.data[at:at + ROW_BYTES]
        if not any(row):
            return None, True
        return row, crc(self.pool_seed, row[:124]) == struct.unpack_from("<I", row, 124)[0]

    def _corrupt_row(self, at):
        self._note("corrupt_row", at, ROW_BYTES)
        return CORRUPT_ROW

    def _medium_row(self):
        """§3.7"""
        at = self.catalogue + MEDIUM_AT
        row = self.data[at:at + LINE]
        if any(row) and crc(self.pool_seed, row[:60]) != struct.unpack_from("<I", row, 60)[0]:
            self._note("corrupt_row", at, LINE)

    def _stream_row(self, number):
        """§3.4"""
        at = self.catalogue + STREAM_ROWS_AT + ROW_BYTES * number
        row, right = self._row(at)
        if row is None:
            return None
        stream, _flags, raw_name, kept_from = struct.unpack_from("<II64sQ", row)
        name = parse_name(raw_name)
        last = self.last_stream
        if not right or name is None or stream == 0 or (last is not None and stream > last):
            return self._corrupt_row(at)
        return StreamRow(stream, name, kept_from)

    def _service_row(self, number):
        """§3.5"""
        at = self.catalogue + SERVICE_ROWS_AT + ROW_BYTES * number
        row, right = self._row(at)
        if row is None:
            return None
        stream, service, _zero, raw_name = struct.unpack_from("<IHH64s", row)
        name = parse_name(raw_name)
        known = any(one.number == stream for one in self.stream_rows)
        if (not right or name is None or service != number + 1
                or (self.all_streams_known and not known)):
            return self._corrupt_row(at)
        return ServiceRow(number, service, stream, name)

    def _mark(self, row):
        """§3.6: the lowest that verifies; None: there is none."""
        return min((self.marks[one.service] for one in self.services
                    if one.stream == row.number and self.marks[one.service] is not None),
                   default=None)

    # Steps 4 and 5 -------------------------------------------------------------- §5.1 to §5.3

    def _read_segments(self):
        self.segments = []      # those with a valid header
        number = 0
        for offset, count in self.superblock.extents:
            for i in range(count):
                segment = self._read_headers(number, offset + i * self.segment_bytes)
                if segment:
                    self._read_link(segment)
                    self.segments.append(segment)
                number += 1

    def _read_headers(self, number, at):
        """§5.2: the segment if its header is valid."""
        generations = [self._header_copy(number, at + copy) for copy in COPIES_AT]
        generation = max(generations)
        if generation == 0:
            copy_1 = at + COPIES_AT[1]
            if (self.data[copy_1:copy_1 + LINE] != ZERO_LINE
                    or self._has_link_of_any_generation(number, at)):
                self._note("corrupt_segment_header", at, FRAMES_AT)
            return None
        seed = crc(crc(self.pool_seed, u32(number)), u64(generation))
        return Segment(number, at, generation, generations[0] != generations[1], seed)

    def _has_link_of_any_generation(self, number, at):
        low, _, _, _, lsn, *_ = FRAME.unpack_from(self.data, at + FRAMES_AT)
        high = (self.ceiling or 0) >> 32
        for generation in {half << 32 | low for half in (high, max(high - 1, 0)) if low}:
            seed = crc(crc(self.pool_seed, u32(number)), u64(generation))
            segment = Segment(number, at, generation, False, seed)
            verdict, frame = self._look(segment, FRAMES_AT, lsn, below=False)
            if verdict == "valid" and frame.type == LINK:
                return True
        return False

    def _header_copy(self, number, at):
        """The generation that a copy states, or 0."""
        header = self.data[at:at + LINE]
        if header[:8] != SEGMENT_MAGIC:
            return 0
        generation, stated = struct.unpack_from("<QI", header, 8)
        right = crc(self.pool_seed, header[:60]) == struct.unpack_from("<I", header, 60)[0]
        return generation if right and stated == number else 0

    def _read_link(self, segment):
        """§5.3"""
        at = segment.at + FRAMES_AT
        (lsn,) = struct.unpack_from("<Q", self.data, at + 16)
        verdict, frame = self._look(segment, FRAMES_AT, lsn, below=False)
        if verdict == "valid" and frame.type == LINK and lsn % self.span == 0:
            segment.stream, *before = struct.unpack_from("<IIQ", self.data, at + 32)
            segment.predecessor = tuple(before)
            segment.ordinal, segment.base, segment.link = lsn // self.span, lsn, frame
            return
        low = segment.generation & 0xFFFFFFFF
        for offset in range(FRAMES_AT, self.segment_bytes, LINE):
            word, _, _, _, lsn, *_ = FRAME.unpack_from(self.data, segment.at + offset)
            base = lsn - (offset - FRAMES_AT) & 0xFFFFFFFFFFFFFFFF
            if word == low and self._look(segment, offset, base, below=False)[0] == "valid":
                self._note("corrupt_link", at, LINE)
                return

    # §6.3 ------------------------------------------------------------------------- the verdict

    def _look(self, segment, offset, base, below):
        """What stands at a position: the verdict, and the frame if it is valid."""
        at = segment.at + offset
        word, bits, stated, distance, lsn, service, kind, back = FRAME.unpack_from(self.data, at)
        if word == 0:
            return ("corrupt_unwritten" if below else "unwritten"), None
        low = segment.generation & 0xFFFFFFFF
        same = word == low
        type_, length = bits >> 29, bits & 0x0FFFFFFF
        size = frame_bytes(type_, length, offset, self.segment_bytes)
        if size:
            seed = segment.frame_seed
            if not same:
                later = segment.generation + (word - low & 0xFFFFFFFF)
                seed = crc(crc(self.pool_seed, u32(segment.number)), u64(later))
            summed = LINE if type_ in (PAD, GAP) else size
            if self._frame_sum(segment, offset, summed, seed) == stated:
                if not same:
                    return "corrupt_future", None
                if lsn != base + offset - FRAMES_AT & 0xFFFFFFFFFFFFFFFF:
                    return "corrupt_foreign", None
                forced = bool(bits >> 28 & 1)
                return "valid", Frame(at, type_, forced, length, size, distance, lsn, service,
                                      kind, back)
        if not same:
            return ("corrupt_stale" if below else "stale"), None
        if below:
            return ("corrupt_sum" if size else "corrupt_length"), None
        return "torn", None

    def _frame_sum(self, segment, offset, length, seed):
        """§2.1: the checksum's own place taken as zero."""
        key = offset, length, seed
        if key not in segment.sums:
            frame = self.data[segment.at + offset:segment.at + offset + length]
            segment.sums[key] = crc(seed, frame[:8] + bytes(4) + frame[12:])
        return segment.sums[key]

    def _life_frame(self, segment, offset):
        """The frame of this life that verifies at its place on this line, or None."""
        word, _, _, _, lsn, *_ = FRAME.unpack_from(self.data, segment.at + offset)
        if (word != segment.generation & 0xFFFFFFFF
                or lsn != segment.base + offset - FRAMES_AT):
            return None
        return self._look(segment, offset, segment.base, below=False)[1]

    def _next_life_frame(self, segment, offset):
        """The offset of the next line, behind this one, where such a frame stands, or S."""
        for line in range(offset + LINE, self.segment_bytes, LINE):
            if self._life_frame(segment, line):
                return line
        return self.segment_bytes

    def walk(self, segment, offset, below):
        """Frame after frame: (offset, verdict, frame), the last one of a verdict not valid."""
        while offset < self.segment_bytes:
            verdict, frame = self._look(segment, offset, segment.base, below)
            yield offset, verdict, frame
            if frame is None:
                return
            offset += frame.bytes

    # Step 6 -------------------------------------------------------------------------- §7.1

    def _find_chain(self, stream):
        collected = {}
        for segment in self.segments:
            if segment.stream != stream.number:
                continue
            known = collected.get(segment.ordinal)
            if known is None or segment.generation > known.generation:
                collected[segment.ordinal] = segment
        if stream.mark is None:     # §3.6
            stream.mark = stream.kept_from
            if collected and not self.all_marks_known:
                first = max(collected)
                while first - 1 in collected and _fits(collected[first - 1], collected[first]):
                    first -= 1
                stream.mark = first * self.span
        greatest = max(collected, default=-1)
        first = stream.mark // self.span
        if collected and (greatest + 1) * self.span == stream.mark:
            first = greatest
        ordinal = first
        while ordinal in collected:
            if stream.kept and not _fits(stream.kept[-1], collected[ordinal]):
                break
            stream.kept.append(collected[ordinal])
            ordinal += 1
        stream.broken = bool(collected) and greatest >= ordinal
        stream.begin = first * self.span
        stream.end = stream.begin + len(stream.kept) * self.span

    # Step 7 -------------------------------------------------------------------------- §7.2

    def _scan(self, stream):
        testified = max((segment.link.testimony for segment in stream.kept), default=0)
        stream.verified_from = max(stream.begin, min(testified, stream.end))
        cut = None
        for segment in stream.kept:
            if segment.base + self.span <= stream.verified_from:
                continue
            offset = FRAMES_AT + max(stream.verified_from, segment.base) - segment.base
            for offset, verdict, frame in self.walk(segment, offset, below=False):
                if frame:
                    testified = max(testified, frame.testimony)
                    continue
                if cut is None:
                    cut, stream.end_verdict = segment.base + offset - FRAMES_AT, verdict
                for line in range(offset + LINE, self.segment_bytes, LINE):
                    dead = self._life_frame(segment, line)
                    if dead:
                        testified = max(testified, dead.testimony)
        stream.testified = max(testified, stream.mark)
        stream.cut = stream.end if cut is None else cut

    # Step 8 -------------------------------------------------------------------------- §7.3

    def _judge_end(self, stream):
        below = stream.cut < stream.testified
        if stream.cut < stream.end:
            segment = stream.kept[(stream.cut - stream.begin) // self.span]
            offset = FRAMES_AT + stream.cut - segment.base
            verdict, _ = self._look(segment, offset, segment.base, below)
            if verdict.startswith("corrupt_"):
                stream.damage = self._frame_damage(stream, segment, offset, verdict)
                return
        if stream.broken or below:
            stream.damage = Damage(stream.name, "missing_segment", stream.cut, 0, 0)

    def _frame_damage(self, stream, segment, offset, verdict):
        next_ = self._next_life_frame(segment, offset)
        return Damage(stream.name, verdict, segment.base + offset - FRAMES_AT,
                      segment.at + offset, next_ - offset)

    # Step 9 -------------------------------------------------------------------------- §7.4

    def deliver(self, stream):
        """Records and losses in their order. A loss that is no gap is the last."""
        if stream.mark >= stream.cut:
            if stream.mark > stream.cut:    # damage, §7.3
                yield Loss("low-water mark", stream.cut, None)
            return
        start = None
        for segment in stream.kept:
            if segment.base >= stream.cut:
                return
            for offset, verdict, frame in self.walk(segment, FRAMES_AT, below=True):
                if segment.base + offset - FRAMES_AT >= stream.cut:
                    return
                if frame is None:
                    yield Loss(verdict, segment.base + offset - FRAMES_AT,
                               (segment.at + offset, LINE))
                    return
                if frame.lsn < stream.mark:
                    continue
                start = frame.lsn if start is None else start
                if frame.type == GAP:
                    yield Loss("gap", frame.lsn, (frame.at, frame.bytes))
                elif frame.type in (RECORD, CARRIED):
                    record = self._record(stream, frame, start)
                    if record:
                        yield record

    def _record(self, stream, frame, start):
        known = frame.lsn < min(stream.testified, stream.cut)
        payload = self.data[frame.at + 32:frame.at + 32 + frame.length]
        origin = frame.lsn
        previous = frame.lsn - LINE * frame.back if frame.back else None
        if frame.type == CARRIED:
            origin, copied, previous = struct.unpack_from("<QQQ", payload)
            if copied != 0 and copied >= start:
                return None     # given out already
            payload, previous = payload[CARRIED_PREFIX:], previous or None
        return Record(frame.lsn, origin, frame.forced, frame.service, frame.kind, previous, known,
                      payload)

    # Step 10 --------------------------------------------------------------------------- §8

    def check(self):
        """All damage, and the gaps."""
        found = list(self.damage)
        for stream in self.streams:
            if stream.damage:
                found.append(stream.damage)
            for segment in stream.kept:
                if segment.one_copy:
                    found.append(Damage(None, "one_header_copy", None, segment.at, FRAMES_AT))
                found += self._check_frames(stream, segment)
        for at, right in zip((self.catalogue, self.catalogue + COPY_B), self.copies):
            if not right:
                found.append(Damage(None, "corrupt_superblock_copy", None, at, SUPERBLOCK_BYTES))
        return sorted(set(found), key=lambda one: (one.offset_bytes, one.verdict, str(one.stream)))

    def _check_frames(self, stream, segment):
        offset = FRAMES_AT
        while offset < self.segment_bytes and segment.base + offset - FRAMES_AT < stream.cut:
            verdict, frame = self._look(segment, offset, segment.base, below=True)
            if frame is None:
                damage = self._frame_damage(stream, segment, offset, verdict)
                yield damage
                offset += damage.length_bytes
                continue
            if frame.type == GAP:
                yield Damage(stream.name, "gap", frame.lsn, frame.at, frame.bytes)
            offset += frame.bytes


# ------------------------------------------------------------------------- the command line

EXIT_OK, EXIT_NOT_FOUND, EXIT_CORRUPT, EXIT_GAPS, EXIT_UNSUPPORTED = 0, 2, 3, 4, 6


def exit_code(refused):
    return EXIT_UNSUPPORTED if refused.code == UNSUPPORTED else EXIT_CORRUPT


def stream_json(stream):
    return {"name": stream.name, "begin_lsn": stream.begin, "low_water_lsn": stream.mark,
            "testified_lsn": stream.testified, "end_lsn": stream.cut,
            "end_verdict": stream.end_verdict}


def record_json(stream, record):
    return {"schema": 1, "stream": stream.name, "lsn": record.lsn, "origin_lsn": record.origin,
            "durability": "forced" if record.forced else "lazy",
            "service": record.service or None, "kind": record.kind,
            "previous_lsn": record.previous, "known_durable": record.known_durable,
            "payload_bytes": len(record.payload),
            "payload_base64": base64.b64encode(record.payload).decode()}


def check_json(pool):
    """The document and the exit code of `cinnabar check --json`."""
    damage = [vars(one) for one in pool.check()]
    document = {"schema": 1, "streams": [stream_json(one) for one in pool.streams],
                "damage": damage}
    if any(one["verdict"] != "gap" for one in damage):
        return document, EXIT_CORRUPT
    return document, EXIT_GAPS if damage else EXIT_OK


def dump(pool, name):
    """The stream, its records and the exit code of `cinnabar dump`. §8, its end."""
    stream = next((one for one in pool.streams if one.name == name), None)
    if stream is None:
        return None, [], EXIT_NOT_FOUND
    delivered = list(pool.deliver(stream))
    records = [one for one in delivered if isinstance(one, Record)]
    losses = {one.verdict for one in delivered if isinstance(one, Loss)}
    if losses - {"gap"} or stream.damage or pool.damage_at_open():
        return stream, records, EXIT_CORRUPT
    return stream, records, EXIT_GAPS if losses else EXIT_OK


def open_pool(path):
    with open(path, "rb") as file:
        return Pool(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def main():
    parser = argparse.ArgumentParser(description="Reads a cinnabar pool by FORMAT.md alone.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("check").add_argument("pool")
    dumper = verbs.add_parser("dump")
    dumper.add_argument("pool")
    dumper.add_argument("--stream", required=True)
    dumper.add_argument("--json", action="store_true")
    words = parser.parse_args()
    try:
        pool = open_pool(words.pool)
    except Refused as refused:
        print(f"reader: {words.pool}: {refused.code}: {refused}", file=sys.stderr)
        return exit_code(refused)
    if words.verb == "check":
        document, code = check_json(pool)
        print(json.dumps(document))
        return code
    stream, records, code = dump(pool, words.stream)
    for record in records:
        if words.json:
            print(json.dumps(record_json(stream, record)))
        else:
            sys.stdout.buffer.write(record.payload)
    return code


if __name__ == "__main__":
    sys.exit(main())
