"""What the program says: in one form, true, and with the command that helps. Under --json every run
ends with one document, an error included."""
import json
import os
import re
import signal
import subprocess
import unittest

from program import (CORRUPT, GAPS, IO, LOCKED, OK, PROGRAM, REFUSED, TIMEOUT_S, USAGE,
                     ProgramTest)

THREE = b"a\nbb\nccc\n"


class Sentences(ProgramTest):
    def said(self, code, *words, **options):
        return self.expect(code, *words, **options).stderr.decode()

    def document(self, code, *words, **options):
        """The only one on the standard output."""
        return json.loads(self.expect(code, *words, **options).stdout)

    def onto_a_full_device(self, *words, stdin=b""):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, *words], input=stdin, stdout=full,
                                  stderr=subprocess.PIPE, timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, IO, done.stderr)
        return done.stderr.decode()

    def test_a_full_log_names_the_lsn_that_frees_the_oldest_segment(self):
        self.create()
        for name in ("v", "w"):
            self.ok("service", "add", self.pool, name, "--stream", "s")
        data = b"".join(b"%015000d\n" % number for number in range(2000))
        full = self.expect(REFUSED, "append", self.pool, "--stream", "s", "--force", "end",
                           stdin=data)
        hint = full.stderr.decode().splitlines()[-1]
        self.assertIn("frees the oldest segment of stream 's', if 'v' and 'w' need nothing before",
                      hint)
        commands = hint.partition("make room: ")[2].partition(";")[0].split(", and ")
        self.assertEqual(len(commands), 2, hint)
        oldest_end = int(commands[0].split()[-1])
        named = re.findall(r"LSN (\d+)", "".join(full.stderr.decode().splitlines()[1:]))
        self.assertEqual(max(map(int, named)), oldest_end, "the log's end is no place for --to")
        before = len(self.dump().splitlines())
        for command in commands:
            program, *words = command.split()
            self.assertEqual(program, "cinnabar")
            self.ok(*words)
        self.assertEqual(self.ok_json("info", self.pool)["segments_free"], 1)
        self.assertEqual(before - len(self.dump().splitlines()), 4, "one segment's records")
        self.append(b"again\n")

    def test_a_record_whose_msync_failed(self):
        """It may have reached the file or not; nobody is told that it did not."""
        self.create()
        environment = dict(os.environ, LD_PRELOAD=os.environ["FAILING_MSYNC"], FAIL_MSYNC="60")
        done = subprocess.run([PROGRAM, "append", self.pool, "--stream", "s"],
                              input=b"".join(b"%d\n" % number for number in range(1, 101)),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT_S,
                              env=environment)
        self.assertEqual(done.returncode, IO, done.stderr)
        said = re.search(rb"record (\d+) of .*, may or may not be in the log: msync", done.stderr)
        self.assertTrue(said, done.stderr)
        number = int(said.group(1))
        self.assertIn(len(self.dump().splitlines()), (number - 1, number))
        self.append(b"again\n")

    def test_a_last_force_that_failed(self):
        """Which msync that is depends on libpmemobj: each in turn fails, until one is it."""
        self.create()
        sound = self.file_bytes()
        for failing in range(1, 60):
            with open(self.pool, "wb") as file:
                file.write(sound)
            environment = dict(os.environ, LD_PRELOAD=os.environ["FAILING_MSYNC"],
                               FAIL_MSYNC=str(failing))
            done = subprocess.run([PROGRAM, "append", self.pool, "--stream", "s", "--force",
                                   "end"], input=THREE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=TIMEOUT_S, env=environment)
            if b"since the last force may not survive" in done.stderr:
                self.assertEqual(done.returncode, IO)
                return
        self.fail("no msync was that of the force")

    def test_a_full_log_whose_space_another_stream_holds(self):
        self.create()
        self.ok("stream", "add", self.pool, "t")
        self.ok("service", "add", self.pool, "v", "--stream", "t")
        line = b"x" * 15_000 + b"\n"
        self.append(line)
        for stream in ("t", "s"):
            said = self.said(REFUSED, "append", self.pool, "--stream", stream, "--force", "end",
                             stdin=line * 2000)
            hint = said.splitlines()[-1]
            self.assertRegex(hint, r"release \S+ --service v --to \d+; that frees the oldest "
                                   r"segment of stream 't', if 'v' needs nothing before it; ")
            self.assertIn(f"cinnabar info {self.pool}", hint)

    def test_a_full_log_in_json_does_not_call_its_end_an_lsn(self):
        self.create()
        out = self.document(REFUSED, "append", self.pool, "--stream", "s", "--force", "end",
                            "--json", stdin=(b"x" * 15_000 + b"\n") * 2000)
        self.assertNotIn("lsn", out["error"])
        self.assertGreater(out["error"]["end_lsn"], out["last_lsn"])

    def test_records_whose_acknowledgement_cannot_be_written_are_not_called_lost(self):
        self.create()
        append = ["append", self.pool, "--stream", "s", "--ack"]
        for words, records, go_on in (
                ([], 1, "record 1 of the standard input and all before it were appended and are "
                        "durable: go on behind them, with record 2, from byte 2 on"),
                (["--force", "2"], 2, "record 2 of the standard input and all before it were "
                                      "appended and are durable: go on behind them, with record "
                                      "3, from byte 5 on"),
                (["--force", "end"], 3, "all records were appended and are durable")):
            with self.subTest(words):
                before = len(self.dump().splitlines())
                said = self.onto_a_full_device(*append, *words, stdin=THREE)
                self.assertNotIn("not appended", said)
                self.assertIn(f"appended {records} record", said)
                self.assertIn(go_on, said)
                self.assertEqual(len(self.dump().splitlines()) - before, records)

    def test_an_append_that_fails_writes_one_document(self):
        self.create()
        append = ["append", self.pool, "--stream", "s", "--json"]
        out = self.document(REFUSED, *append, stdin=b"a\n" + b"x" * 70_000)
        self.assertEqual((out["records"], out["payload_bytes"]), (1, 2))
        self.assertEqual(out["error"]["code"], "record_too_large")
        out = self.document(IO, *append, self.folder)
        self.assertEqual((out["records"], out["error"]["code"]), (0, "io"))

    def test_usage_errors_in_json(self):
        self.create()
        for words, part in ((["append", self.pool, "--json"], "--stream is missing"),
                            (["info", "--json"], "POOL is missing"),
                            (["frob", "--json"], "no verb 'cinnabar frob'"),
                            (["create", self.pool + "2", "--size", "x", "--json"], "not a size"),
                            (["bench", "force", "--rounds", "x", "--json"], "--rounds: 'x'")):
            if words[0] == "bench" and b"bench" not in self.ok("--help"):
                continue
            with self.subTest(words):
                out = self.document(USAGE, *words)
                self.assertEqual((out["schema"], out["error"]["code"]), (1, "invalid_argument"))
                self.assertIn(part, out["error"]["message"])
        for words in (["append", self.pool], ["bench", "force", "--rounds", "x", "--json", "file"]):
            self.assertEqual(self.expect(USAGE, *words).stdout, b"")

    def test_usage_errors_have_one_form(self):
        self.create()
        pool = self.pool
        for words, verb, part in (
                (["stream", "add", pool, "x", "--writers", "lots"], "stream add",
                 "--writers: 'lots' is neither 'many' nor 'one'"),
                (["create", pool + "2", "--size", "5 is required"], "create",
                 "--size: '5 is required' is not a size"),
                (["info", pool, "--emulate", "magic"], "info",
                 "--emulate: 'magic' is neither 'byte' nor 'cache_line'"),
                (["release", pool, "--service", "v", "--to", "abc"], "release",
                 "--to: 'abc' is not an LSN"),
                (["release", pool, "--service", "v", "--to"], "release",
                 "--to: its value is missing, LSN"),
                (["release", pool, "--service", "v", "--to", "-1"], "release",
                 "--to: '-1' is not an LSN; write a whole number from 0 on"),
                (["dump", pool, "--stream", "s", "--from=-64"], "dump",
                 "--from: '-64' is not an LSN"),
                (["dump", pool, "--stream", "s", "--from", "0x40"], "dump",
                 "--from: '0x40' is not an LSN"),
                (["info", pool, "--lock-timeout", "-1"], "info",
                 "--lock-timeout: '-1' is not a number of milliseconds"),
                (["info", pool, "--nonsense"], "info", "not expected: --nonsense"),
                (["info", pool, "more"], "info", "not expected: more"),
                (["info"], "info", "POOL is missing"),
                (["append", pool], "append", "--stream is missing"),
                (["dump", pool, "--stream", "s", "--stream", "t"], "dump",
                 "--stream is given more than once"),
                (["dump", pool, "--stream", "s", "--json", "--length-prefixed"], "dump",
                 "--json and --length-prefixed do not go together")):
            with self.subTest(words):
                lines = self.said(USAGE, *words).splitlines()
                self.assertEqual(len(lines), 1, lines)
                self.assertTrue(lines[0].startswith(f"cinnabar: {part}"), lines)
                self.assertTrue(lines[0].endswith(f"; see: cinnabar {verb} --help"), lines)

    def test_sizes_in_all_common_forms(self):
        for text in ("12m", "12M", "12MB", "12MiB", "12mib", "12288k", "12288KB", "12582912",
                     "12582912B"):
            with self.subTest(text):
                made = self.ok_json("create", self.pool, "--size", text, "--segment-size", "64k")
                self.assertEqual((made["pool_bytes"], made["segment_bytes"]), (12 << 20, 64 << 10))
                os.unlink(self.pool)
        self.assertIn("a pool of 1 TiB is too large; it may have 255 GiB",
                      self.said(USAGE, "create", self.pool, "--size", "1T"))
        for text in ("1.5G", "0,5G"):
            self.assertIn(f"'{text}' is a fraction; write a whole number in a smaller unit",
                          self.said(USAGE, "create", self.pool, "--size", text))
        for text in ("64X", "64Mi", "M", "-1M", "64MBB"):
            self.assertIn(f"'{text}' is not a size",
                          self.said(USAGE, "create", self.pool, f"--size={text}"))
        self.assertIn("too large", self.said(USAGE, "create", self.pool, "--size", "99999999999T"))
        self.assertRegex(b" ".join(self.ok("--help").split()), rb"SIZE .*K, M, G or T .*powers of")

    def test_refusals_have_sizes_in_the_form_of_the_successes(self):
        for words, part in ((["--size", "1K"], r"a pool of 1 KiB is too small; with 4 segments of "
                                               r"1 MiB it needs \d+ KiB\n"),
                            (["--segment-size", "1K"], "a segment of 1 KiB is not possible; choose "
                                                       "a power of two from 2 KiB to 1 GiB")):
            self.assertRegex(self.said(USAGE, "create", self.pool, *words), part)
        self.create()
        for words, data in (([], b"x" * (16 << 10)),
                            (["--length-prefixed"], (16 << 10).to_bytes(4, "little"))):
            self.assertRegex(self.said(REFUSED, "append", self.pool, "--stream", "s", *words,
                                       stdin=data), r"(?<!\d)\d+ (B|KiB)\b(?!.* bytes)")

    def test_one_is_not_many(self):
        self.create()
        self.assertIn("appended 1 record, 2 B",
                      self.said(OK, "append", self.pool, "--stream", "s", stdin=b"a\n"))
        self.assertIn("appended 3 records, 9 B",
                      self.said(OK, "append", self.pool, "--stream", "s", stdin=THREE))
        self.assertIn(b" in 1 segment;", self.ok("info", self.pool))
        self.append((b"x" * 15_000 + b"\n") * 5)
        self.assertIn(b" in 2 segments;", self.ok("info", self.pool))
        self.patch(self.file_bytes().rfind(b"x" * 15_000) + 100, b"y")
        self.assertIn("is damaged in 1 place;", self.said(CORRUPT, "check", self.pool))
        info = self.run_program("info", self.pool)
        self.assertEqual(info.returncode, CORRUPT, info.stderr)
        self.assertIn(b"1 damaged place\n", info.stdout)

    def test_a_dump_does_not_doubt_what_was_acknowledged(self):
        """The last record of a writer that was killed: nothing behind it testifies that it was
        forced."""
        self.create()
        process = subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        process.stdin.write(b"a\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait(TIMEOUT_S)
        said = self.said(OK, "dump", self.pool, "--stream", "s")
        self.assertIn("whether the last 1 record had been forced cannot be told", said)
        self.assertIn("What was acknowledged as durable is durable", said)
        self.append(b"b\n")
        self.assertEqual(self.said(OK, "dump", self.pool, "--stream", "s"), "")

    def test_no_room_in_a_table_names_what_to_remove(self):
        self.create()
        for group, more in (("stream", []), ("service", ["--stream", "s"])):
            with self.subTest(group):
                for number in range(100):
                    done = self.run_program(group, "add", self.pool, f"n{number}", *more)
                    if done.returncode != OK:
                        break
                self.assertEqual(done.returncode, REFUSED, done.stderr)
                hint = done.stderr.decode().splitlines()[-1]
                self.assertIn(f"cinnabar {group} remove {self.pool} NAME", hint)
                self.assertNotIn("release", hint)

    def test_emulation_is_labelled_everywhere(self):
        self.create()
        pool, emulate = self.pool, ["--emulate", "cache_line"]
        label = "emulated on "
        for words in (["service", "add", pool, "v", "--stream", "s"],
                      ["append", pool, "--stream", "s"], ["check", pool], ["info", pool],
                      ["dump", pool, "--stream", "s"], ["stream", "list", pool],
                      ["service", "list", pool], ["release", pool, "--service", "v", "--to", "0"],
                      ["service", "remove", pool, "v"], ["stream", "add", pool, "t"],
                      ["stream", "remove", pool, "t"]):
            with self.subTest(words):
                done = self.expect(OK, *words, *emulate, stdin=b"a\n")
                self.assertIn(label, (done.stdout + done.stderr).decode())
                if words[0] in ("append", "release"):
                    self.assertIn("nothing survives a power failure", done.stderr.decode())
        for given in ([], emulate):
            for words in (["service", "add", pool, "v", "--stream", "s"],
                          ["append", pool, "--stream", "s", "--ack"], ["check", pool],
                          ["info", pool], ["dump", pool, "--stream", "s"],
                          ["stream", "list", pool], ["service", "list", pool],
                          ["release", pool, "--service", "v", "--to", "0"],
                          ["service", "remove", pool, "v"], ["stream", "add", pool, "t"],
                          ["stream", "remove", pool, "t"]):
                with self.subTest(words + given):
                    done = self.expect(OK, *words, *given, "--json", stdin=b"a\n")
                    documents = [json.loads(line) for line in done.stdout.splitlines()]
                    self.assertEqual({one["emulated"] for one in documents}, {bool(given)})
                    if not given:
                        self.assertNotIn(label, done.stderr.decode())

    def test_files_that_hold_no_pool(self):
        with open(self.pool, "wb"):
            pass
        for words in (["info", self.pool], ["salvage", self.pool, self.pool + ".new"]):
            self.assertIn("is empty; remove the file and create the pool first",
                          self.said(IO, *words))
        os.unlink(self.pool)
        self.create()
        whole = self.file_bytes()
        catalogue = whole.find(b"CINNABAR")
        for length, can in ((8192, False), (catalogue, False), (catalogue + 8192, True)):
            with self.subTest(length):
                with open(self.pool, "wb") as file:
                    file.write(whole[:length])
                said = self.said(CORRUPT, "info", self.pool)
                self.assertIn("restore it from a copy", said)
                self.assertEqual("salvage" in said, can, said)
                new = self.pool + ".new"
                done = self.run_program("salvage", self.pool, new)
                self.assertEqual(done.returncode in (OK, GAPS), can, done.stderr)
                if can:
                    os.unlink(new)

    def test_nothing_appended_is_not_told_of(self):
        self.create()
        for words, code in (([self.folder], IO), (["--length-prefixed"], USAGE)):
            said = self.said(code, "append", self.pool, "--stream", "s", *words, stdin=b"\1")
            self.assertNotIn("appended", said)
            self.assertEqual(len(said.splitlines()), 1)
        self.assertIn("appended 0 records", self.said(OK, "append", self.pool, "--stream", "s"))

    def test_an_empty_name_is_no_name(self):
        self.create()
        self.assertIn("no service named ''", self.said(IO, "append", self.pool, "--stream", "s",
                                                       "--service", "", stdin=b"a\n"))
        self.assertEqual(self.dump(), b"")

    def test_a_lock_names_the_option_that_waits(self):
        self.create()
        process = subprocess.Popen([PROGRAM, "append", self.pool, "--stream", "s", "--ack"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.communicate, timeout=TIMEOUT_S)
        process.stdin.write(b"a\n")
        process.stdin.flush()
        process.stdout.readline()
        for words in (["info"], ["copy", self.pool + ".new"], ["salvage", self.pool + ".new"]):
            self.assertIn("--lock-timeout MS", self.said(LOCKED, words[0], self.pool, *words[1:]))

    def test_help_and_version_must_be_written_too(self):
        for words in (["--help"], ["--version"], ["append", "--help"]):
            with self.subTest(words):
                self.assertIn("cannot write to the standard output",
                              self.onto_a_full_device(*words))
                closed = subprocess.run([PROGRAM, *words], stderr=subprocess.PIPE,
                                        preexec_fn=lambda: os.close(1), timeout=TIMEOUT_S)
                self.assertEqual(closed.returncode, IO)
                self.assertRegex(closed.stderr, rb"^cinnabar: cannot write to the standard output")
        self.assertIn(b"JSON Lines", self.ok("dump", "--help"))


if __name__ == "__main__":
    unittest.main()
