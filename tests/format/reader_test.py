"""The independent reader by itself: the worked vectors of FORMAT.md, and what it refuses, which the
engine must refuse for the same reason."""
import json
import os
import shutil
import struct
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


class Refusals(unittest.TestCase):
    """A superblock that verifies and says something else, in both copies."""

    def setUp(self):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="cinnabar-format.", dir=memory)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.path = os.path.join(folder, "pool")
        maker = agreement.Helper(os.environ["CINNABAR_POOL_MAKER"])
        self.addCleanup(maker.close)
        self.teller = agreement.Helper(os.environ["CINNABAR_POOL_TELLER"])
        self.addCleanup(self.teller.close)
        self.assertEqual(maker.ask(f"{self.path} 1 4096 cache_line 0 0 close"), "closed")
        with open(self.path, "rb") as file:
            self.sound = file.read()
        self.catalogue = reader.Pool(self.sound).catalogue

    def write(self, field, value, copies=(0, reader.COPY_B), resum=True):
        """The pool with bytes of its superblock replaced."""
        data = bytearray(self.sound)
        for copy in copies:
            at = self.catalogue + copy
            data[at + field:at + field + len(value)] = value
            if resum:
                data[at + 508:at + 512] = reader.u32(reader.crc(0xFFFFFFFF, data[at:at + 508]))
        with open(self.path, "wb") as file:
            file.write(data)
        return bytes(data)

    def both(self, data):
        """What both say; it must be the same."""
        engine = agreement.engine_says(self.teller, self.path)
        _, read = agreement.reader_says(data)
        self.assertEqual(agreement.differences(engine, json.loads(json.dumps(read))), [])
        return read.get("refused")

    def test_newer_formats(self):
        reversed_mark = bytes(range(1, 9))
        for field, value in ((16, reader.u32(2)), (20, reader.u32(2)), (24, reader.u64(1)),
                             (24, reader.u64(1 << 63)), (8, reversed_mark)):
            for resum in (True, False):
                with self.subTest(field=field, resum=resum):
                    data = self.write(field, value, resum=resum)
                    self.assertEqual(self.both(data), reader.UNSUPPORTED)

    def test_a_compatible_bit_is_no_reason(self):
        self.assertIsNone(self.both(self.write(32, reader.u64(1 << 40))))

    def test_impossible_geometry(self):
        for field, value in ((56, reader.u64(1024)), (56, reader.u64(3000)),
                             (56, reader.u64(1 << 31)), (64, reader.u32(63)), (68, reader.u32(65)),
                             (72, reader.u32(0)), (72, reader.u32(17)), (88, reader.u32(0)),
                             (80, reader.u64(self.catalogue + (1 << 20) + 64))):
            with self.subTest(field=field, value=value):
                self.assertEqual(self.both(self.write(field, value)), reader.CORRUPT)

    def test_segments_that_are_not_in_the_file(self):
        self.assertEqual(self.both(self.write(88, reader.u32(100000))), reader.TRUNCATED)

    def test_a_newer_format_in_one_copy_only(self):
        data = self.write(16, reader.u32(2), copies=(reader.COPY_B,), resum=False)
        self.assertIsNone(self.both(data))


if __name__ == "__main__":
    unittest.main()
