"""Damages pools on purpose, in every class of byte that FORMAT.md section 9 names."""
from dataclasses import dataclass

import reader
from reader import FRAMES_AT, LINE


@dataclass
class Injury:
    """What was done, and the bytes to put into the file: (offset, bytes) each."""
    place: str      # the class of byte
    how: str
    patches: list
    shorten_to: int | None = None

    def __str__(self):
        patches = ", ".join(f"{len(data)} at {at}" for at, data in self.patches)
        cut = "" if self.shorten_to is None else f", cut to {self.shorten_to} bytes"
        return f"{self.place}, {self.how}: {patches}{cut}"


# §9: each function gives runs of bytes, (offset, length), of its class.


def superblocks(pool):
    return [(pool.catalogue + copy, reader.SUPERBLOCK_BYTES) for copy in (0, reader.COPY_B)]


def registers(pool):
    at = pool.catalogue
    marks = [(at + reader.MARKS_AT + LINE * service.row, 32) for service in pool.services]
    return [(at + reader.CEILING_AT, 32), (at + reader.LAST_STREAM_AT, 32), *marks]


def _rows(pool, table):
    at = pool.catalogue + table
    rows = [(at + reader.ROW_BYTES * row, reader.ROW_BYTES) for row in range(reader.ROWS)]
    used = [run for run in rows if any(pool.data[run[0]:sum(run)])]
    return used, [run for run in rows if run not in used]


def rows_in_use(pool):
    return _rows(pool, reader.STREAM_ROWS_AT)[0] + _rows(pool, reader.SERVICE_ROWS_AT)[0]


def free_rows(pool):
    return _rows(pool, reader.STREAM_ROWS_AT)[1] + _rows(pool, reader.SERVICE_ROWS_AT)[1]


def medium_row(pool):
    return [(pool.catalogue + reader.MEDIUM_AT, LINE)]


def _kept(pool):
    return [(stream, segment) for stream in pool.streams for segment in stream.kept]


def headers_kept(pool):
    return [(segment.at + copy, LINE) for _, segment in _kept(pool) for copy in reader.COPIES_AT]


def heads(pool):
    """Both header copies and the link frame: an earlier life, when put back."""
    return [(segment.at, FRAMES_AT + LINE) for _, segment in _kept(pool)]


def headers_not_kept(pool):
    kept = {segment.number for _, segment in _kept(pool)}
    return [(segment.at + copy, LINE) for segment in pool.segments
            if segment.number not in kept for copy in reader.COPIES_AT]


def headers_never_prepared(pool):
    known = {segment.number for segment in pool.segments}
    runs, number = [], 0
    for at, count in pool.superblock.extents:
        runs += [(at + i * pool.segment_bytes + copy, LINE) for i in range(count)
                 if number + i not in known for copy in reader.COPIES_AT][:200]
        number += count
    return runs


def links(pool):
    return [(segment.at + FRAMES_AT, LINE) for segment in pool.segments]


def _frames(pool, wanted):
    """The frames of all streams, up to their cuts, that are wanted."""
    runs = []
    for stream, segment in _kept(pool):
        for offset, _, frame in pool.walk(segment, FRAMES_AT, below=False):
            lsn = segment.base + offset - FRAMES_AT
            if frame and lsn < stream.cut and wanted(stream, frame):
                runs.append((frame.at, frame.bytes))
    return runs


def frames_below_testimony(pool):
    return _frames(pool, lambda stream, frame: frame.lsn + frame.bytes <= stream.testified)


def frames_of_a_segment(pool):
    """Of the newest segment of a stream that has several frames."""
    frames = _frames(pool, lambda stream, frame: True)
    for _, segment in reversed(_kept(pool)):
        own = [run for run in frames if segment.at <= run[0] < segment.at + pool.segment_bytes]
        if len(own) > 3:
            return own
    return []


def frame_heads(pool):
    return [(at, 32) for at, _ in _frames(pool, lambda stream, frame: True)]


def frames_beyond_testimony(pool):
    return _frames(pool, lambda stream, frame: frame.lsn >= stream.testified)


def pads(pool):
    return _frames(pool, lambda stream, frame: frame.type == reader.PAD)


def behind_the_cut(pool):
    runs = []
    for stream in pool.streams:
        if stream.begin <= stream.cut < stream.end:
            segment = stream.kept[(stream.cut - stream.begin) // pool.span]
            offset = FRAMES_AT + stream.cut - segment.base
            runs.append((segment.at + offset, pool.segment_bytes - offset))
    return runs


def frames_not_kept(pool):
    kept = {segment.number for _, segment in _kept(pool)}
    return [(segment.at + FRAMES_AT, pool.segment_bytes - FRAMES_AT)
            for segment in pool.segments if segment.number not in kept]


def free(pool):
    at = pool.catalogue
    runs = [(at + 704, 3392), (at + 4608, 3584), (at + reader.CEILING_AT + 32, 32)]
    for segment in pool.segments:
        runs += [(segment.at + 64, 192), (segment.at + 320, 192)]
    return runs


def _end_of_segments(pool):
    return max(at + count * pool.segment_bytes for at, count in pool.superblock.extents)


def libpmemobj(pool):
    end = _end_of_segments(pool)
    first = min(at for at, _ in pool.superblock.extents)
    behind = pool.catalogue + reader.CATALOGUE_BYTES
    return [(0, pool.catalogue), (behind, first - behind), (end, len(pool.data) - end)]


PLACES = {
    superblocks: 3, registers: 6, rows_in_use: 6, free_rows: 2, medium_row: 2, headers_kept: 8,
    heads: 6, headers_not_kept: 4, headers_never_prepared: 2, links: 8, frames_below_testimony: 16,
    frame_heads: 16, frames_of_a_segment: 6, frames_beyond_testimony: 8, pads: 4,
    behind_the_cut: 5, frames_not_kept: 4, free: 3, libpmemobj: 1,
}


def _line_of(random, run):
    """A line, or what there is of one, in a run."""
    at, length = run
    first = at + random.randrange((length + LINE - 1) // LINE) * LINE
    return first, min(LINE, at + length - first)


def _flip(pool, old, random, runs):
    patches = {}
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at, length = random.choice(runs)
        place = at + random.randrange(length)
        patches[place] = patches.get(place, pool.data[place]) ^ 1 << random.randrange(8)
    return [(at, bytes([byte])) for at, byte in patches.items()]


def _zero(pool, old, random, runs):
    at, length = random.choice(runs)
    if random.randrange(3):
        at, length = _line_of(random, (at, length))
    return [(at, bytes(length))]


def _scribble(pool, old, random, runs):
    at, length = _line_of(random, random.choice(runs))
    return [(at, random.randbytes(length))]


def _swap(pool, old, random, runs):
    one, two = (_line_of(random, random.choice(runs)) for _ in range(2))
    length = min(one[1], two[1])
    return [(to, pool.data[from_:from_ + length])
            for to, from_ in ((one[0], two[0]), (two[0], one[0]))]


def _copy(pool, old, random, runs):
    """A whole run over another one: a write that went astray."""
    one, two = random.choice(runs), random.choice(runs)
    length = min(one[1], two[1])
    return [(one[0], pool.data[two[0]:two[0] + length])]


def _put_back(pool, old, random, runs):
    """What stood there before the last life: one line, a run, a page or a segment."""
    changed = [run for run in runs if old[run[0]:sum(run)] != pool.data[run[0]:sum(run)]]
    if not changed:
        return _zero(pool, old, random, runs)
    at, length = random.choice(changed)
    size = random.choice((0, 0, LINE, reader.PAGE, pool.segment_bytes))
    if size:
        at, length = at // size * size, size
    return [(at, old[at:at + length])]


HOW = {_flip: 8, _zero: 3, _scribble: 2, _swap: 2, _copy: 2, _put_back: 5}


def injure(pool, old, random):
    """One injury of a sound pool. `old`: the file's bytes at an earlier time, or nothing."""
    if random.randrange(150) == 0:
        shorten_to = random.randrange(pool.catalogue, len(pool.data))
        own = shorten_to >= _end_of_segments(pool)
        return Injury("libpmemobj" if own else "file", "cut", [], shorten_to)
    while True:
        place = random.choices(list(PLACES), PLACES.values())[0]
        runs = place(pool)
        how = random.choices(list(HOW), HOW.values())[0]
        if runs and (old or how is not _put_back):
            break
    if place in (superblocks, libpmemobj):
        how = _flip
    return Injury(place.__name__, how.__name__[1:], how(pool, old, random, runs))
