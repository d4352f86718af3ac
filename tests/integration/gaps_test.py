"""Gaps that a salvage left: check, copy and salvage count them alike and name them in the same
words, whatever number of gap frames a gap takes."""
import json
import os
import re
import unittest

from program import CORRUPT, GAPS, ProgramTest

SEGMENT = 64 << 10


class Gaps(ProgramTest):
    """Segments of 64 KiB: a gap frame holds 16 KiB at most."""

    def setUp(self):
        super().setUp()
        self.create()
        self.ok("service", "add", self.pool, "reader", "--stream", "s")
        self.lines = [b"record number %06d\n" % i for i in range(4000)]
        self.append(b"".join(self.lines), "--force", "end", "--emulate", "cache_line")
        self.sound = self.file_bytes()
        self.lsns = [record["lsn"] for record in self.records()]
        self.saved = os.path.join(self.folder, "saved")

    def lose(self, first, last):
        """Flips a bit of each record from `first` to `last`."""
        for line in self.lines[first:last + 1]:
            place = self.sound.find(line)
            self.patch(place, bytes([self.sound[place] ^ 1]))

    def told(self, verb, *pools):
        """The gaps as (stream, begin, end, offset, length) and their number, from the JSON; the
        same must stand in the text."""
        out = json.loads(self.expect(GAPS, verb, *pools, "--json").stdout)
        prefix = "" if verb == "check" else "old_"
        gaps = [(stream["name"], gap["begin_lsn"], gap["end_lsn"], gap[prefix + "offset_bytes"],
                 gap[prefix + "length_bytes"])
                for stream in out["streams"] for gap in stream["gaps"]]
        self.assertEqual(out["gaps"], len(gaps))
        for pool in pools[1:]:
            os.remove(pool)
        done = self.expect(GAPS, verb, *pools)
        lines = [line.strip() for line in done.stdout.decode().splitlines()
                 if line.strip().startswith("gap ")]
        self.assertEqual(lines, [
            f"gap in stream '{name}' from LSN {begin} to {end}, bytes {offset} to "
            f"{offset + length} of '{pools[0]}'" for name, begin, end, offset, length in gaps])
        number = len(gaps)
        self.assertIn(f"{number} gap{'s' if number != 1 else ''}: what stood there is lost",
                      done.stderr.decode())
        return gaps

    def test_check_copy_and_salvage_agree(self):
        for name, runs in (("one record", [(700, 700)]), ("two places", [(10, 11), (1500, 1500)]),
                           ("more than a gap frame holds", [(100, 800)]),
                           ("beyond the end of a segment", [(900, 1100)])):
            with self.subTest(name):
                with open(self.pool, "r+b") as file:
                    file.write(self.sound)
                for first, last in runs:
                    self.lose(first, last)
                made = self.told("salvage", self.pool, self.saved)
                at = [(self.lsns[first], self.lsns[last + 1]) for first, last in runs]
                if name != "beyond the end of a segment":   # a link frame stands between
                    self.assertEqual([gap[1:3] for gap in made], at)
                else:
                    self.assertEqual((made[0][1], made[-1][2]), at[0])
                    self.assertEqual(len(made), 2)
                checked = self.told("check", self.saved)
                copied = self.told("copy", self.saved, self.saved + ".copy")
                again = self.told("salvage", self.saved, self.saved + ".again")
                self.assertEqual([gap[:3] for gap in checked], [gap[:3] for gap in made])
                self.assertEqual(checked, copied)
                self.assertEqual(checked, again)
                for file in os.listdir(self.folder):
                    if file != "pool":
                        os.remove(os.path.join(self.folder, file))

    def test_a_gap_takes_several_frames(self):
        """Else the test above would show nothing."""
        self.lose(100, 800)
        self.expect(GAPS, "salvage", self.pool, self.saved)
        out = json.loads(self.expect(GAPS, "check", self.saved, "--json").stdout)
        self.assertGreater(len([one for one in out["damage"] if one["verdict"] == "gap"]), 1)
        self.assertEqual(out["gaps"], 1)

    def test_what_a_refused_open_for_writing_changes_is_said(self):
        """Two copies of a segment's header are damaged, and one of the superblock."""
        ours = self.sound.find(b"CINNABAR")
        header = self.sound.find(b"CSEGMENT")
        for place in (header + 8, self.sound.find(b"CSEGMENT", header + 1) + 8, ours + 100):
            self.patch(place, bytes([self.sound[place] ^ 1]))
        damaged = self.file_bytes()
        for words in (["check"], ["dump", "--stream", "s"]):
            self.expect(CORRUPT, *words, self.pool)
            self.assertEqual(self.file_bytes(), damaged)
        done = self.expect(CORRUPT, "append", self.pool, "--stream", "s", stdin=b"x\n")
        self.assertIn(b"may change libpmemobj's own bytes ahead of the log, and mends a damaged "
                      b"superblock copy", done.stderr)
        now = self.file_bytes()
        self.assertNotEqual(now[:ours], damaged[:ours], "libpmemobj notes the open")
        self.assertEqual(now[ours:ours + 512], self.sound[ours:ours + 512], "mended")
        self.assertEqual(now[ours + 512:], damaged[ours + 512:])

    def test_a_missing_segment_stands_at_no_bytes(self):
        """All of one segment's frames and both copies of its header are zeros."""
        place = self.sound.find(self.lines[1500])
        header = self.sound.rfind(b"CSEGMENT", 0, place)
        header = self.sound.rfind(b"CSEGMENT", 0, header)    # its first copy
        self.patch(header, bytes(SEGMENT))
        done = self.expect(CORRUPT, "check", self.pool)
        line, = [line for line in done.stdout.decode().splitlines() if "missing_segment" in line]
        self.assertRegex(line, r"^missing_segment in stream 's' at LSN \d+$")
        out = json.loads(self.expect(CORRUPT, "check", self.pool, "--json").stdout)
        one, = [one for one in out["damage"] if one["verdict"] == "missing_segment"]
        self.assertEqual((one["offset_bytes"], one["length_bytes"]), (None, None))
        done = self.expect(GAPS, "salvage", self.pool, self.saved)
        gap, = re.findall(rb"gap in stream .*", done.stdout)
        self.assertTrue(gap.endswith(b"in a segment that is missing in '" + self.pool.encode() +
                                     b"'"), gap)
        self.assertIn(b"1 gap: what stood there is lost", done.stderr)
        os.remove(self.saved)
        out = json.loads(self.expect(GAPS, "salvage", self.pool, self.saved, "--json").stdout)
        gap, = out["streams"][0]["gaps"]
        self.assertEqual((gap["old_offset_bytes"], gap["old_length_bytes"]), (None, None))
        self.assertEqual(out["gaps"], 1)


if __name__ == "__main__":
    unittest.main()
