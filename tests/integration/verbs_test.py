"""Every verb: its JSON, what is on which stream, and that the reading verbs change nothing."""
import ctypes
import errno
import json
import os
import signal
import struct
import subprocess
import time
import unittest

from program import IO, OK, PROGRAM, REFUSED, USAGE, ProgramTest


class Verbs(ProgramTest):
    def test_every_verb_speaks_json(self):
        made = self.ok_json("create", self.pool, "--size", "16M", "--segment-size", "64K")
        self.assertEqual((made["pool_bytes"], made["segment_bytes"]), (16 << 20, 64 << 10))
        self.assertEqual(self.ok_json("stream", "add", self.pool, "s")["stream"], "s")
        self.ok_json("stream", "add", self.pool, "t", "--writers", "many")
        self.assertEqual(self.ok_json("stream", "list", self.pool)["streams"],
                         [{"name": "s", "writers": "one", "reserve": False},
                          {"name": "t", "writers": "many", "reserve": False}])
        service = self.ok_json("service", "add", self.pool, "v", "--stream", "t")["service"]
        appended = self.ok_json("append", self.pool, "--stream", "t", "--service", "v",
                                stdin=b"ab\nc\n")
        self.assertEqual((appended["records"], appended["payload_bytes"]), (2, 5))

        first, second = self.json_lines("dump", self.pool, "--stream", "t")
        self.assertEqual(first["lsn"], appended["first_lsn"])
        self.assertEqual(second["lsn"], appended["last_lsn"])
        self.assertEqual((first["payload_bytes"], first["payload_base64"]), (3, "YWIK"))
        self.assertEqual(second["payload_base64"], "Ywo=")
        self.assertEqual(first["service"], service["number"])
        self.assertEqual(first["durability"], "forced")

        released = self.ok_json("release", self.pool, "--service", "v", "--to", second["lsn"])
        self.assertEqual(released["low_water_lsn"], second["lsn"])
        self.assertEqual(self.ok_json("service", "list", self.pool)["services"],
                         [{"name": "v", "number": service["number"], "stream": "t",
                           "low_water_lsn": second["lsn"]}])
        info = self.ok_json("info", self.pool)
        self.assertEqual(info["segment_bytes"], 64 << 10)
        self.assertEqual({stream["name"] for stream in info["streams"]}, {"s", "t"})
        self.assertEqual(info["services"][0]["low_water_lsn"], second["lsn"])
        self.assertIn("page", info["medium"]["sentence"])
        self.assertTrue(info["recovery"]["clean"])
        self.assertEqual(self.ok_json("check", self.pool)["damage"], [])
        self.ok_json("service", "remove", self.pool, "v")
        self.ok_json("stream", "remove", self.pool, "t")
        self.assertEqual(self.ok_json("stream", "list", self.pool)["streams"],
                         [{"name": "s", "writers": "one", "reserve": False}])
        self.assertEqual(self.ok_json("service", "list", self.pool)["services"], [])

    def test_a_stream_with_a_restart_reserve(self):
        self.create()
        self.ok("stream", "add", self.pool, "careful", "--reserve")
        self.assertEqual(self.ok_json("stream", "list", self.pool)["streams"][1],
                         {"name": "careful", "writers": "one", "reserve": True})
        info = self.ok_json("info", self.pool)
        self.assertEqual(info["segments_kept_back"], 3)
        self.assertTrue(info["streams"][1]["reserve"])
        self.assertIn(b"3 of them kept back", self.ok("info", self.pool))
        small = self.pool + ".small"
        self.ok("create", small, "--size", "15M", "--segment-size", "2M")
        done = self.expect(REFUSED, "stream", "add", small, "careful", "--reserve")
        self.assertIn(b"free segments", done.stderr)
        self.assertEqual(self.ok("stream", "list", small), b"")

    def json_lines(self, *words, **options):
        documents = [json.loads(line)
                     for line in self.ok(*words, "--json", **options).splitlines()]
        for document in documents:
            self.assertEqual(document["schema"], 1)
        return documents

    def test_acknowledgements_in_json(self):
        self.create()
        *acks, summary = self.json_lines("append", self.pool, "--stream", "s", "--ack",
                                         stdin=b"a\nb\n")
        self.assertEqual([ack["acknowledged_lsn"] for ack in acks],
                         [summary["first_lsn"], summary["last_lsn"]])

    def test_errors_in_json(self):
        done = self.expect(IO, "info", self.pool, "--json")
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "not_found")

    def test_data_on_stdout_talk_on_stderr(self):
        done = self.expect(OK, "create", self.pool, "--size", "16M")
        self.assertEqual(done.stdout, b"")
        self.assertIn(b"16 MiB", done.stderr)
        self.ok("stream", "add", self.pool, "s")
        done = self.expect(OK, "append", self.pool, "--stream", "s", stdin=b"a\n")
        self.assertEqual(done.stdout, b"")
        done = self.expect(OK, "dump", self.pool, "--stream", "s")
        self.assertEqual((done.stdout, done.stderr), (b"a\n", b""))

    def test_reading_verbs_change_nothing(self):
        self.create()
        self.ok("service", "add", self.pool, "v", "--stream", "s")
        self.append(b"a\nb\n")
        before = self.file_bytes()
        for words in (["info"], ["check"], ["stream", "list"], ["service", "list"],
                      ["dump", "--stream", "s"]):
            self.ok(*words, self.pool)
            self.assertEqual(self.file_bytes(), before, words)

    def test_fall_backs_are_named(self):
        """On a system without membarrier and without wiping on fork."""
        self.create()
        self.ok("append", self.pool, "--stream", "s", stdin=b"a\n",
                preexec_fn=refuse_membarrier_and_wipe_on_fork)
        notes = self.ok_json("info", self.pool,
                             preexec_fn=refuse_membarrier_and_wipe_on_fork)["recovery"]["notes"]
        for word in ("membarrier", "fork"):
            self.assertEqual(len([note for note in notes if word in note]), 1, notes)
        text = self.ok("info", self.pool, preexec_fn=refuse_membarrier_and_wipe_on_fork)
        self.assertRegex(text, rb"(?m)^note .*membarrier.*locked instruction")
        done = self.expect(OK, "check", self.pool, preexec_fn=refuse_membarrier_and_wipe_on_fork)
        self.assertIn(b"membarrier", done.stderr)

    def test_usage_errors(self):
        self.create()
        for words in ([], ["no-such-verb"], ["create"], ["create", self.pool, "--size", "many"],
                      ["create", self.pool, "--size", "1T"], ["info", self.pool, "--nonsense"],
                      ["create", self.pool + "2", "--segment-size", "3K"],
                      ["create", self.pool + "2", "--size", "99999999999G"],
                      ["stream"], ["stream", "add", self.pool, "x", "--writers", "some"],
                      ["stream", "add", self.pool, "a/b"], ["append", self.pool],
                      ["append", self.pool, "--stream", "s", "--force", "0"],
                      ["append", self.pool, "--stream", "s", "--force", "often"],
                      ["append", self.pool, "--stream", "s", "--emulate", "magic"],
                      ["append", self.pool, "--stream", "s", "--lock-timeout", "-1"],
                      ["release", self.pool, "--service", "v"], ["bench"],
                      ["bench", "force", "--record-bytes", "7"],
                      ["bench", "force", "--segments", "cold"]):
            with self.subTest(words):
                done = self.expect(USAGE, *words)
                self.assertEqual(done.stdout, b"")
                self.assertNotEqual(done.stderr, b"")
        self.assertEqual(os.listdir(self.folder), ["pool"])

    def test_a_word_that_is_no_verb_is_named_with_the_verbs(self):
        for words, wrong, verbs in ((["frob"], b"'cinnabar frob'", b"append, dump, check"),
                                    (["frob", "--json"], b"'cinnabar frob'", b"append, dump"),
                                    (["stream", "drop", self.pool], b"'cinnabar stream drop'",
                                     b"list, add, remove"),
                                    ([], b"a verb is missing", b"append, dump, check"),
                                    (["service"], b"behind 'cinnabar service'", b"list, add"),
                                    (["--frob"], b"no option '--frob'", b"")):
            with self.subTest(words):
                done = self.expect(USAGE, *words)
                self.assertIn(wrong, done.stderr)
                self.assertIn(verbs, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_a_name_that_is_not_there_is_answered_with_those_that_are(self):
        self.create()
        self.ok("stream", "add", self.pool, "t")
        self.ok("service", "add", self.pool, "v", "--stream", "t")
        for words in (["append", "--stream", "x"], ["dump", "--stream", "x"],
                      ["stream", "remove", "x"], ["service", "add", "y", "--stream", "x"]):
            with self.subTest(words):
                at = 2 if words[0] in ("stream", "service") else 1
                done = self.expect(IO, *words[:at], self.pool, *words[at:])
                self.assertIn(b"streams of this pool: 's', 't'", done.stderr)
        for words in (["release", self.pool, "--service", "x", "--to", "0"],
                      ["service", "remove", self.pool, "x"]):
            done = self.expect(IO, *words)
            self.assertIn(b"services of this pool: 'v'", done.stderr)

    def test_a_record_of_a_service_of_another_stream_is_refused(self):
        self.create()
        self.ok("stream", "add", self.pool, "t")
        self.ok("service", "add", self.pool, "v", "--stream", "t")
        self.ok("service", "add", self.pool, "w", "--stream", "s")
        for name in ("v", "1", "x"):
            with self.subTest(name):
                done = self.expect(IO, "append", self.pool, "--stream", "s", "--service", name,
                                   stdin=b"a\n")
                self.assertIn(b"services of this stream: 'w'\n", done.stderr)
        self.assertEqual(self.dump(), b"")
        self.append(b"a\n", "--service", "w")

    def test_sizes_have_one_form_in_text(self):
        made = self.expect(OK, "create", self.pool, "--size", "16M", "--segment-size", "64K")
        self.ok("stream", "add", self.pool, "s")
        appended = self.expect(OK, "append", self.pool, "--stream", "s", stdin=b"x" * 1023 + b"\n")
        copied = self.expect(OK, "copy", self.pool, self.pool + ".copy")
        info = self.ok("info", self.pool)
        for text, size in ((made.stderr, b"16 MiB in segments of 64 KiB"),
                           (appended.stderr, b"1 record, 1 KiB,"), (copied.stderr, b"16 MiB"),
                           (info, b"16 MiB\n")):
            self.assertIn(size, text)
            self.assertNotRegex(text, rb"\d bytes")

    def test_help_and_version(self):
        self.assertIn(b"append", self.ok("--help"))
        self.assertIn(b"--length-prefixed", self.ok("append", "--help"))
        self.assertRegex(b" ".join(self.ok("stream", "add", "--help").split()),
                         rb"reservations.* This command line makes none")
        self.assertIn(b"cinnabar check", self.ok("info", "--help"))
        self.assertRegex(self.ok("--version"), rb"^cinnabar \d+\.\d+\.\d+\n$")

    def test_names_that_are_not_there_or_are_already(self):
        self.create()
        self.ok("service", "add", self.pool, "v", "--stream", "s")
        for words in (["append", "--stream", "x"], ["dump", "--stream", "x"],
                      ["append", "--stream", "s", "--service", "x"],
                      ["append", "--stream", "s", self.folder + "/no-file"],
                      ["release", "--service", "x", "--to", "0"],
                      ["stream", "remove", self.pool, "x"], ["service", "remove", self.pool, "x"],
                      ["service", "add", self.pool, "y", "--stream", "x"]):
            with self.subTest(words):
                if self.pool not in words:
                    words.insert(1, self.pool)
                self.expect(IO, *words)
        for words in (["create", self.pool], ["stream", "add", self.pool, "s"],
                      ["service", "add", self.pool, "v", "--stream", "s"]):
            with self.subTest(words):
                self.expect(REFUSED, *words)
        done = self.run_program("stream", "remove", self.pool, "s")
        self.assertIn(done.returncode, (USAGE, REFUSED))
        self.assertIn(b"'v'", done.stderr)

    def test_output_that_cannot_be_written(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        self.create()
        self.append(b"a\n" * 1000)
        for words in (["dump", self.pool, "--stream", "s"], ["info", self.pool],
                      ["check", self.pool, "--json"]):
            with self.subTest(words), open("/dev/full", "wb") as full:
                done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE,
                                      timeout=60)
                self.assertEqual(done.returncode, IO)
                self.assertIn(b"standard output", done.stderr)

    def test_bench_force(self):
        bench = ["bench", "force", "--quick", "--rounds", "1", "--slice-ms", "2",
                 "--record-bytes", "256", "--only", "cinnabar", "--area", "16M"]
        if b"bench" not in self.ok("--help"):
            self.skipTest("built without the benchmark")
        path = os.path.join(self.folder, "results.json")
        done = self.expect(OK, *bench, "--json", path)
        with open(path, "rb") as file:
            results = json.load(file)
        self.assertEqual(results["schema"], 1)
        self.assertIn("cinnabar", {row["engine"] for row in results["results"]})
        self.assertIn(b"cinnabar", done.stdout)
        self.assertEqual(json.loads(self.ok(*bench, "--json"))["schema"], 1)

    def test_bench_that_is_stopped_leaves_no_file(self):
        """By the terminal, which signals the workers too, and by whoever ends the program alone."""
        if b"bench" not in self.ok("--help"):
            self.skipTest("built without the benchmark")
        for bench in (["force", "--rounds", "99999", "--record-bytes", "256", "--only",
                       "cinnabar,msync,fdatasync", "--area", "8M", "--disk-directory", self.folder],
                      ["recovery", "--rounds", "100", "--scan", "64M", "--log", "64M"]):
            for number, everybody in ((signal.SIGINT, True), (signal.SIGTERM, False)):
                with self.subTest(bench=bench[0], signal=number):
                    process = subprocess.Popen(
                        [PROGRAM, "bench", *bench, "--directory", self.folder],
                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
                    self.addCleanup(process.kill)
                    while not os.listdir(self.folder):
                        self.assertIsNone(process.poll())
                        time.sleep(0.01)
                    time.sleep(0.3)
                    (os.killpg if everybody else os.kill)(process.pid, number)
                    _, talk = process.communicate(timeout=30)   # minutes otherwise
                    self.assertEqual(process.returncode, IO, talk)
                    self.assertIn(f"stopped by signal {number.value}".encode(), talk)
                    self.assertEqual(os.listdir(self.folder), [])


def refuse_membarrier_and_wipe_on_fork():
    """A seccomp filter of this process and those it becomes; x86-64."""
    membarrier, madvise, wipe_on_fork = 324, 28, 18
    load, equal, answer, allow, refuse = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
    program = b"".join(struct.pack("<HBBI", *step) for step in (
        (load, 0, 0, 0),                                # the number of the call
        (equal, 0, 1, membarrier), (answer, 0, 0, refuse | errno.ENOSYS),
        (equal, 0, 3, madvise), (load, 0, 0, 16 + 2 * 8),
        (equal, 0, 1, wipe_on_fork), (answer, 0, 0, refuse | errno.EINVAL),
        (answer, 0, 0, allow)))
    steps = ctypes.create_string_buffer(program, len(program))
    filter_of_steps = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, filter_of_steps) != 0:
        raise OSError(ctypes.get_errno(), "no seccomp filter here")


if __name__ == "__main__":
    unittest.main()
