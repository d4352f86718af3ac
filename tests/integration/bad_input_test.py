"""What people do wrong and what the machine refuses: a clear sentence, the right exit code, and
nothing lost."""
import os
import re
import resource
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

from program import (CORRUPT, IO, LOCKED, OK, PROGRAM, REFUSED, TIMEOUT_S, USAGE, VERSION,
                     ProgramTest, length_prefixed)

NOBODY = 65534
TEXT = b"just some text\n" * 10000


class BadInput(ProgramTest):
    def test_not_a_pool(self):
        path = os.path.join(self.folder, "text")
        with open(path, "wb") as file:
            file.write(TEXT)
        for words in (["info"], ["check"], ["append", "--stream", "s"], ["stream", "list"]):
            done = self.expect(IO, *words, path)
            self.assertIn(b"'" + path.encode() + b"'", done.stderr)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), TEXT)
        for other in (self.folder, os.path.join(self.folder, "no", "such"), "/dev/null",
                      "/proc/self/mem"):
            self.expect(IO, "info", other)

    def test_a_pool_of_another_layout(self):
        """A libpmemobj pool that is not ours: made of our own, without superblock and layout."""
        self.create()
        self.append(b"a\n")
        place = self.file_bytes().find(b"cinnabar")
        self.assertTrue(0 < place < 8192, "the layout name is in the pool's header")
        self.patch(place, b"somebody")
        superblock = self.file_bytes().find(b"CINNABAR")
        for copy in (superblock, superblock + 4096):
            self.patch(copy, b"SOMEBODY")
        before = self.file_bytes()
        for words in (["info"], ["check"], ["dump", "--stream", "s"], ["append", "--stream", "s"]):
            done = self.expect(IO, *words, self.pool, stdin=b"b\n")
            self.assertIn(f"'{self.pool}' is a libpmemobj pool of the layout 'somebody-1'".encode(),
                          done.stderr)
        self.assertEqual(self.file_bytes(), before)

    def test_create_where_it_cannot_be(self):
        for path in (os.path.join(self.folder, "no", "pool"), "/proc/cinnabar-pool",
                     "/sys/cinnabar-pool"):
            done = self.expect(IO, "create", path)
            self.assertIn(path.encode(), done.stderr)
            self.assertRegex(done.stderr, rb"check the path|can be mapped; choose")
        for words in (["--size", "1K"], ["--size", "16M", "--segment-size", "1K"],
                      ["--segment-size", "2G"], ["--size", "8M", "--segment-size", "64M"]):
            self.expect(USAGE, "create", self.pool, *words)
        self.assertEqual(os.listdir(self.folder), [])

    def test_never_over_a_file(self):
        with open(self.pool, "wb") as file:
            file.write(b"mine")
        self.expect(REFUSED, "create", self.pool)
        self.assertEqual(self.file_bytes(), b"mine")

    def unprivileged(self, *words):
        """As somebody who owns nothing of it, from a place where he may run the program; where
        this is not root's test, as ourselves."""
        there = tempfile.mkdtemp(prefix="cinnabar-test.")
        self.addCleanup(shutil.rmtree, there)
        os.chmod(there, 0o755)
        program = shutil.copy(PROGRAM, there)
        os.chmod(program, 0o755)
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        return subprocess.run([program, *words], input=b"b\n", capture_output=True,
                              timeout=TIMEOUT_S, **user)

    def test_no_permission(self):
        self.create()
        os.chmod(self.pool, 0o600 if os.getuid() == 0 else 0)
        os.chmod(self.folder, 0o755 if os.getuid() == 0 else 0o555)
        self.addCleanup(os.chmod, self.folder, 0o755)
        for words in (["info", self.pool], ["append", self.pool, "--stream", "s"],
                      ["create", os.path.join(self.folder, "other")]):
            with self.subTest(words):
                done = self.unprivileged(*words)
                self.assertEqual(done.returncode, IO, done.stderr)
                self.assertRegex(done.stderr,
                                 rb"ermi.*; use a place, or a user, that has the right")
                self.assertIn(words[1].encode(), done.stderr)
        self.assertEqual(os.listdir(self.folder), ["pool"])

    def test_a_file_that_may_only_be_read(self):
        """What of a read-only open the command line can meet: the system's own refusal."""
        self.create()
        self.append(b"a\n")
        os.chmod(self.folder, 0o755)
        os.chmod(self.pool, 0o444)
        for words, advice in ((["append", "--stream", "s"], b"has the right"),
                              (["dump", "--stream", "s"], b"copy the file to a place")):
            done = self.unprivileged(*words, self.pool)
            self.assertEqual((done.returncode, done.stdout), (IO, b""), done.stderr)
            self.assertIn(self.pool.encode(), done.stderr)
            self.assertIn(advice, done.stderr)
        os.chmod(self.pool, 0o600)
        self.assertEqual(self.dump(), b"a\n")

    def test_libpmem_is_told_to_pretend(self):
        """libpmemobj would never write the pages of the tables back."""
        self.create()
        self.append(b"a\n")
        pretend = {"env": dict(os.environ, PMEM_IS_PMEM_FORCE="1")}
        before = self.file_bytes()
        for words in (["stream", "add", self.pool, "t"], ["append", self.pool, "--stream", "s"]):
            done = self.expect(USAGE, *words, stdin=b"b\n", **pretend)
            self.assertIn(b"PMEM_IS_PMEM_FORCE", done.stderr)
        self.assertEqual(self.ok("dump", self.pool, "--stream", "s", **pretend), b"a\n")
        self.assertEqual(self.file_bytes()[8192:], before[8192:], "but for libpmemobj's own header")
        self.ok("append", self.pool, "--stream", "s", "--emulate", "cache_line", stdin=b"b\n",
                **pretend)

    def test_an_lsn_that_was_never_appended(self):
        self.create()
        self.ok("service", "add", self.pool, "v", "--stream", "s")
        self.append(b"a\n")
        end = self.ok_json("info", self.pool)["streams"][0]["end_lsn"]
        for lsn in (end + 64, 2**63, 2**64 - 64):
            done = self.expect(IO, "dump", self.pool, "--stream", "s", "--from", lsn)
            self.assertIn(f"LSN {lsn} of stream 's' is above the frontier {end}".encode(),
                          done.stderr)
            done = self.expect(USAGE, "release", self.pool, "--service", "v", "--to", lsn)
            self.assertRegex(done.stderr, rb"between the present mark 0 and the durable frontier")
        self.assertEqual(self.dump(), b"a\n")

    def test_a_second_writer(self):
        """Two threads cannot meet here, two processes can: the second never gets the pool."""
        self.create()
        process = self.holder()
        self.expect(LOCKED, "append", self.pool, "--stream", "s", stdin=b"second\n")
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT_S), OK)
        self.assertEqual(self.dump(), b"held\n")

    def test_disk_full_while_creating(self):
        """On a small tmpfs where one can be mounted, else under a limit of the file's size."""
        place = self.small_tmpfs("12m")
        limit = {}
        if not place:
            place = os.path.join(self.folder, "small")
            limit = {"restore_signals": False, "preexec_fn": lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (12 << 20, 12 << 20))}
        done = self.expect(IO, "create", os.path.join(place, "pool"), "--size", "64M", **limit)
        self.assertRegex(done.stderr, rb"free some space|smaller")
        self.assertEqual(os.listdir(place), [], "no half pool stays behind")

    def test_a_limit_of_the_file_size(self):
        """The system's signal for it must not end the program. Python itself ignores it, but gives
        it back to its children."""
        self.create()
        self.append(b"a\n")
        before = sorted(os.listdir(self.folder))
        limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                          (1 << 20, 1 << 20))}
        new = os.path.join(self.folder, "new")
        for words in (["create", new], ["copy", self.pool, new], ["salvage", self.pool, new]):
            with self.subTest(words):
                done = self.expect(IO, *words, **limit)
                self.assertRegex(done.stderr, rb"free some space|smaller")
                self.assertEqual(sorted(os.listdir(self.folder)), before, "no half pool")
        self.append(b"b\n" * 100_000, "--force", "end")     # the pool has its size already
        self.ok("append", self.pool, "--stream", "s", stdin=b"c\n", **limit)
        out = os.path.join(self.folder, "out")
        with open(out, "wb") as file:
            file.truncate(1 << 20)
            file.seek(1 << 20)
            done = subprocess.run([PROGRAM, "dump", self.pool, "--stream", "s"], stdout=file,
                                  stderr=subprocess.PIPE, timeout=TIMEOUT_S, **limit)
        self.assertEqual(done.returncode, IO, done.stderr)
        self.assertIn(b"standard output", done.stderr)

    def fill(self):
        """Appends until the log is full; what was said."""
        return self.expect(REFUSED, "append", self.pool, "--stream", "s", "--force", "end",
                           stdin=b"x" * 15_000 + b"\n" + (b"x" * 15_000 + b"\n") * 2000)

    def hinted(self, done, service):
        """The commands of the last line, with the name that the reader has to choose."""
        hint = done.stderr.decode().splitlines()[-1]
        self.assertRegex(hint, "^cinnabar: to make room: ")
        return [command.replace("NAME", service).split()
                for command in re.findall(r"cinnabar ((?:release|service) [^;,]*)", hint)]

    def test_a_full_log_names_the_commands_that_make_room(self):
        self.create()
        done = self.fill()
        commands = self.hinted(done, "fresh")
        self.assertEqual([command[0] for command in commands], ["service", "release"])
        for command in commands:
            self.ok(*command)
        self.append(b"again\n")
        done = self.fill()
        commands = self.hinted(done, "nobody")
        self.assertEqual([command[0] for command in commands], ["release"])
        self.assertIn("fresh", commands[0])
        self.ok(*commands[0])
        self.append(b"again\n")

    def test_no_room_for_a_stream_names_the_commands_too(self):
        self.create()
        for number in range(100):
            done = self.run_program("stream", "add", self.pool, f"s{number}")
            if done.returncode != OK:
                break
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertRegex(done.stderr.decode().splitlines()[-1], "cinnabar stream remove")

    def holder(self):
        """A process that has the pool open until its input ends."""
        process = subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        process.stdin.write(b"held\n")
        process.stdin.flush()
        process.stdout.readline()
        return process

    def test_open_in_another_process(self):
        self.create()
        process = self.holder()
        for words in (["append", "--stream", "s"], ["info"], ["check"]):
            done = self.expect(LOCKED, *words, self.pool, stdin=b"a\n")
            command = os.path.basename(PROGRAM)[:15]    # as much of it as the system keeps
            self.assertIn(f"process {process.pid} ({command})".encode(), done.stderr)
        begin = time.monotonic()
        self.expect(LOCKED, "info", self.pool, "--lock-timeout", 300)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        waiting = subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s",
                                    "--lock-timeout", str(TIMEOUT_S * 1000)],
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.2)
        self.assertIsNone(waiting.poll())
        process.stdin.close()
        self.assertEqual(process.wait(TIMEOUT_S), OK)
        waiting.communicate(b"waited\n", timeout=TIMEOUT_S)
        self.assertEqual(waiting.returncode, OK)
        self.assertEqual(self.dump(), b"held\nwaited\n")

    def test_record_over_the_limit(self):
        self.create()
        line = b"x" * (64 << 10) + b"\n"
        for words, data in (([], b"before\n" + line + b"after\n"),
                            (["--length-prefixed"], length_prefixed([b"before\n", line])),
                            (["--length-prefixed"], length_prefixed([b"before\n"]) +
                             b"\xff\xff\xff\xff")):
            with self.subTest(words):
                done = self.expect(REFUSED, "append", self.pool, "--stream", "s", *words,
                                   stdin=data)
                self.assertIn(b"record 2 of the standard input", done.stderr)
        self.assertEqual(self.dump(), b"before\n" * 3)

    def test_the_longest_record(self):
        self.create()
        low, high = 1, 64 << 10
        while low + 1 < high:
            middle = (low + high) // 2
            done = self.run_program("append", self.pool, "--stream", "s", "--length-prefixed",
                                    stdin=length_prefixed([b"x" * middle]))
            self.assertIn(done.returncode, (OK, REFUSED))
            low, high = (middle, high) if done.returncode == OK else (low, middle)
        self.assertTrue((15 << 10) < low < (16 << 10), low)
        self.assertIn(b"x" * low, self.dump())

    def test_an_empty_record(self):
        self.create()
        done = self.expect(USAGE, "append", self.pool, "--stream", "s", "--length-prefixed",
                           stdin=length_prefixed([b"a", b"", b"b"]))
        self.assertIn(b"record 2 of the standard input", done.stderr)
        self.assertEqual(self.dump("--length-prefixed"), length_prefixed([b"a"]))

    def test_input_that_is_cut_off(self):
        self.create()
        for tail in (b"\x05", struct.pack("<I", 5) + b"abcd"):
            done = self.expect(USAGE, "append", self.pool, "--stream", "s", "--length-prefixed",
                               stdin=length_prefixed([b"whole"]) + tail)
            self.assertIn(b"cut off", done.stderr)
        self.assertEqual(self.dump(), b"wholewhole")

    def test_a_newer_format(self):
        """Version 2 in both copies, with sums that fit: only the version is refused."""
        self.create()
        data = self.file_bytes()
        place = data.find(b"CINNABAR")
        while place >= 0:
            block = bytearray(data[place:place + 512])
            struct.pack_into("<I", block, 16, 2)
            struct.pack_into("<I", block, 508, crc32c(bytes(block[:508])))
            self.patch(place, bytes(block))
            place = data.find(b"CINNABAR", place + 1)
        for words in (["info"], ["check"], ["append", "--stream", "s"]):
            done = self.expect(VERSION, *words, self.pool)
            self.assertIn(f"'{self.pool}' is of format version 2".encode(), done.stderr)
            self.assertIn(b"use a newer", done.stderr)

    def test_a_file_that_shrinks_while_it_is_open(self):
        self.create()
        for emulate in ([], ["--emulate", "cache_line"]):
            with self.subTest(emulate):
                with subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack",
                                       *emulate], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE) as process:
                    process.stdin.write(b"before\n")
                    process.stdin.flush()
                    process.stdout.readline()
                    sound = self.file_bytes()
                    os.truncate(self.pool, 4096)
                    _, talk = process.communicate(b"after\n" * 10, timeout=TIMEOUT_S)
                self.assertEqual(process.returncode, CORRUPT, talk)
                self.assertRegex(talk, rb"^cinnabar: '" + self.pool.encode() +
                                 rb"' cannot be reached any more at file byte \d+: the file was "
                                 rb"made shorter and now has 4096 bytes\. .*cinnabar check")
                self.expect(CORRUPT, "check", self.pool)
                with open(self.pool, "wb") as file:
                    file.write(sound)


def crc32c(data):
    """Seed and bit order as the superblock has them: 0xFFFFFFFF, not inverted at the end."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


if __name__ == "__main__":
    unittest.main()
