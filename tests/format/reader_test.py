"""The independent reader by itself: the worked vectors of FORMAT.md, and what it refuses, which the
engine must refuse for the same reason."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

import agreement
import craft
import reader

# FORMAT.md, section 2.2.
POOL_ID = bytes(range(16))
SEGMENT, GENERATION = 3, 0x0000000100000002
RECORD = bytes.fromhex("""
    02 00 00 00 0d 00 00 30 11 e4 d1 63 01 00 00 00
    40 1c 00 00 00 00 00 00 01 00 02 00 00 00 00 00
    68 65 6c 6c 6f 2c 20 6d 65 64 69 75 6d 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00""")
LINK = bytes.fromhex("""
    02 00 00 00 20 00 00 50 40 05 0c 3e 00 00 00 00
    00 1c 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    05 00 00 00 09 00 00 00 01 00 00 00 01 00 00 00
    00 1c 00 00 00 00 00 00 00 00 00 00 00 00 00 00""")
PAD = bytes.fromhex("""
    02 00 00 00 60 00 00 70 b1 18 ec 76 00 00 00 00
    80 29 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00""")


class Vectors(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(reader.crc(0xFFFFFFFF, b"123456789"), 0x1CF96D7C)
        for cut in range(10):
            first = reader.crc(0xFFFFFFFF, b"123456789"[:cut])
            self.assertEqual(reader.crc(first, b"123456789"[cut:]), 0x1CF96D7C)

    def test_frames(self):
        pool_seed = reader.crc(0xFFFFFFFF, POOL_ID)
        self.assertEqual(pool_seed, 0x2636F714)
        seed = reader.crc(reader.crc(pool_seed, reader.u32(SEGMENT)), reader.u64(GENERATION))
        self.assertEqual(seed, 0xA2347D60)
        for frame in (RECORD, LINK, PAD):
            self.assertEqual(craft.sealed(seed, frame, reader.LINE), frame)

    def test_header_mark_and_row(self):
        pool_seed = reader.crc(0xFFFFFFFF, POOL_ID)
        header = reader.SEGMENT_MAGIC + struct.pack("<QI", GENERATION, SEGMENT) + bytes(40)
        self.assertEqual(reader.crc(pool_seed, header), 0x0F4B5894)
        line = struct.pack("<QQ", 7232, 0x7FAD263E) + bytes(48)
        self.assertEqual(reader.read_register(line, 0, pool_seed, reader.MARK_KEY + 5), 7232)
        self.assertIsNone(reader.read_register(line, 0, pool_seed, reader.MARK_KEY + 4))
        row = struct.pack("<II64sQ", 5, 1, b"orders", 0) + bytes(44)
        self.assertEqual(reader.crc(pool_seed, row), 0xF7A0B2C0)


class OnePool(unittest.TestCase):
    """Four streams and seven services, closed; to be changed."""

    words = "3 4096 cache_line 0 0 close"

    def setUp(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="cinnabar-format.", dir=memory)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.path = os.path.join(folder, "pool")
        maker = agreement.Helper(os.environ["CINNABAR_POOL_MAKER"])
        self.addCleanup(maker.close)
        self.teller = agreement.Helper(os.environ["CINNABAR_POOL_TELLER"])
        self.addCleanup(self.teller.close)
        self.assertEqual(maker.ask(f"{self.path} {self.words}"), "closed")
        with open(self.path, "rb") as file:
            self.sound = file.read()
        self.pool = reader.Pool(self.sound)
        self.catalogue = self.pool.catalogue

    def patched(self, *patches):
        data = bytearray(self.sound)
        for at, new in patches:
            data[at:at + len(new)] = new
        with open(self.path, "wb") as file:
            file.write(data)
        return bytes(data)

    def both(self, data):
        """What both say; it must be the same."""
        engine = agreement.engine_says(self.teller, self.path)
        _, read = agreement.reader_says(data)
        self.assertEqual(agreement.differences(engine, json.loads(json.dumps(read))), [])
        return read


class Refusals(OnePool):
    """A superblock that verifies and says something else, in both copies."""

    def write(self, field, value, copies=(0, reader.COPY_B), resum=True):
        """The pool with bytes of its superblock replaced."""
        data = bytearray(self.sound)
        for copy in copies:
            at = self.catalogue + copy
            data[at + field:at + field + len(value)] = value
            if resum:
                data[at + 508:at + 512] = reader.u32(reader.crc(0xFFFFFFFF, data[at:at + 508]))
        return self.patched((0, data))

    def refused(self, data):
        return self.both(data).get("refused")

    def test_newer_formats(self):
        reversed_mark = bytes(range(1, 9))
        for field, value in ((16, reader.u32(2)), (20, reader.u32(2)), (24, reader.u64(1)),
                             (24, reader.u64(1 << 63)), (8, reversed_mark)):
            for resum in (True, False):
                with self.subTest(field=field, resum=resum):
                    data = self.write(field, value, resum=resum)
                    self.assertEqual(self.refused(data), reader.UNSUPPORTED)

    def test_a_compatible_bit_is_no_reason(self):
        self.assertIsNone(self.refused(self.write(32, reader.u64(1 << 40))))

    def test_impossible_geometry(self):
        for field, value in ((56, reader.u64(1024)), (56, reader.u64(3000)),
                             (56, reader.u64(1 << 31)), (64, reader.u32(63)), (68, reader.u32(65)),
                             (72, reader.u32(0)), (72, reader.u32(17)), (88, reader.u32(0)),
                             (80, reader.u64(self.catalogue + (1 << 20) + 64))):
            with self.subTest(field=field, value=value):
                self.assertEqual(self.refused(self.write(field, value)), reader.CORRUPT)

    def test_segments_that_are_not_in_the_file(self):
        self.assertEqual(self.refused(self.write(88, reader.u32(100000))), reader.TRUNCATED)

    def test_a_newer_format_in_one_copy_only(self):
        data = self.write(16, reader.u32(2), copies=(reader.COPY_B,), resum=False)
        self.assertIsNone(self.refused(data))


class Tables(OnePool):
    """Rows and registers: each case with the damage that is to be found."""

    def stream_row(self, row):
        return self.catalogue + reader.STREAM_ROWS_AT + reader.ROW_BYTES * row

    def service_row(self, row):
        return self.catalogue + reader.SERVICE_ROWS_AT + reader.ROW_BYTES * row

    def row_bytes(self, at):
        return self.sound[at:at + reader.ROW_BYTES]

    def services_of(self, stream):
        return [one for one in self.pool.services if one.stream == self.pool.streams[stream].number]

    def register(self, key, *values):
        line = b"".join(reader.u64(value) + reader.u64(reader.crc(
            reader.crc(self.pool.pool_seed, reader.u32(key)), reader.u64(value)))
            for value in values)
        return line + bytes(reader.LINE - len(line))

    def expect_rows(self, data, *rows, length=reader.ROW_BYTES):
        read = self.both(data)
        self.assertEqual(read["damage"], [["", "corrupt_row", None, at, length] for at in rows])
        return read

    def test_the_sound_pool(self):
        self.assertEqual((len(self.pool.streams), len(self.pool.services)), (4, 7))
        self.expect_rows(self.sound)

    def test_a_service_row_in_the_place_of_another(self):
        one, two = self.service_row(0), self.service_row(1)
        self.expect_rows(self.patched((one, self.row_bytes(two))), one)

    def test_a_stream_row_in_the_place_of_a_service_row(self):
        one = self.service_row(1)
        self.expect_rows(self.patched((one, self.row_bytes(self.stream_row(0)))), one)

    def test_a_stream_whose_row_is_gone(self):
        services = [self.service_row(one.row) for one in self.services_of(0)]
        self.assertNotEqual(services, [])
        self.expect_rows(self.patched((self.stream_row(0), bytes(reader.ROW_BYTES))), *services)

    def test_a_stream_whose_row_does_not_verify(self):
        """Its services may be right: they are not judged."""
        at = self.stream_row(0)
        read = self.expect_rows(self.patched((at + 9, b"?")), at)
        self.assertEqual(len(read["streams"]), 3)

    def test_a_stream_above_the_last_number(self):
        at = self.catalogue + reader.LAST_STREAM_AT
        self.expect_rows(self.patched((at, self.register(reader.LAST_STREAM_KEY, 3, 2))),
                         self.stream_row(3))

    def test_a_free_row_that_is_not_zero(self):
        at = self.service_row(50)
        self.expect_rows(self.patched((at, b"\1")), at)

    def test_the_medium_row(self):
        at = self.catalogue + reader.MEDIUM_AT
        self.expect_rows(self.patched((at + 8, b"\1")), at, length=reader.LINE)

    def test_a_mark_above_the_end(self):
        """The log is lost, or the mark is wrong: corrupt either way, for the program too."""
        end = self.pool.streams[0].cut
        for above in (64, 10 * self.pool.span):
            patches = [(self.catalogue + reader.MARKS_AT + reader.LINE * one.row,
                        self.register(reader.MARK_KEY + one.row, end + above))
                       for one in self.services_of(0)]
            read = self.both(self.patched(*patches))["streams"][0]
            self.assertEqual((read["records"], len(read["losses"])), ([], 1))
            done = subprocess.run([os.environ["CINNABAR_PROGRAM"], "dump", self.path, "--stream",
                                   read["name"]], capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (reader.EXIT_CORRUPT, b""))

    def test_all_marks_of_a_stream_lost(self):
        """What is there is given out, from the oldest segment on."""
        patches = [(self.catalogue + reader.MARKS_AT + reader.LINE * one.row, bytes(reader.LINE))
                   for one in self.services_of(0)]
        read = self.both(self.patched(*patches))
        self.assertEqual({one[1] for one in read["damage"]}, {"corrupt_register"})
        self.assertEqual(len(read["damage"]), len(patches))
        self.assertEqual(read["streams"], self.both(self.patched())["streams"])


class RecycledTables(OnePool):
    """Some of the segments that were released are still linked, others are used again."""

    words = "11 2048 cache_line 1 0 close close close"

    def test_the_marks_lost(self):
        """Everything that is needed is still given out, and perhaps some of what is not."""
        stream, = self.pool.streams
        linked = {one.ordinal for one in self.pool.segments if one.stream == stream.number}
        self.assertLess(len(linked), max(linked) + 1 - min(linked), "there is a hole")
        self.assertLess(min(linked) * self.pool.span, stream.mark)
        sound = self.both(self.patched())["streams"][0]["records"]
        patches = [(self.catalogue + reader.MARKS_AT + reader.LINE * one.row, bytes(reader.LINE))
                   for one in self.pool.services]
        read = self.both(self.patched(*patches))
        self.assertEqual({one[1] for one in read["damage"]}, {"corrupt_register"})
        self.assertEqual(read["streams"][0]["records"][-len(sound):], sound)


if __name__ == "__main__":
    unittest.main()
