"""cinnabar crash run: workloads and recoveries in other processes and other languages, right ones
and ones that are not."""
import contextlib
import ctypes.util
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.environ["CINNABAR_PROGRAM"]
LEDGER = os.environ["LEDGER"]
OK, USAGE, IO, VIOLATION = 0, 1, 2, 8


class CrashRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cinnabar-crash-run.", dir="/dev/shm")
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "ledger")
        self.images = os.path.join(folder.name, "images")
        os.mkdir(self.images)

    def run_words(self, *words, **how):
        return subprocess.run([PROGRAM, "crash", "run", *words], capture_output=True, text=True,
                              timeout=60, **how)

    def run_crash(self, code, workload, command, *options, images=15, **how):
        done = self.run_words("--file", self.file, "--image-dir", self.images, "--recover-cmd",
                              command, "--images", str(images), "--random", "3", *options, "--",
                              *workload, **how)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def ledger(self, code, write="right", check="right", *options):
        return self.run_crash(code, [LEDGER, "write", self.file, write],
                              f"{LEDGER} check {check}", *options)

    def folders(self):
        """Those beside the images: of further runs, or somebody's own."""
        return [entry.name for entry in os.scandir(self.images) if entry.is_dir()]

    def test_right(self):
        done = self.ledger(OK, "right", "right", "--json", "-")
        report = json.loads(done.stdout)
        self.assertEqual(report["schema"], 1)
        self.assertEqual(report["violations"], [])
        self.assertEqual(report["region_bytes"], 16384)
        self.assertGreater(report["crash_points"], 10)
        self.assertGreater(report["images_distinct"], 30)
        os.remove(self.file)
        self.assertRegex(self.ledger(OK).stdout, r"^13 crash points, \d+ images of ")  # no history

    def test_count_before_entry(self):
        done = self.ledger(VIOLATION, "count_first")
        self.assertIn("not written: entry", done.stdout)
        self.assertIn("pmem_persist by ledger", done.stdout)
        self.assertIn(", 6 images at 3 crash points\n", done.stdout)
        kept = os.path.join(self.images, "violation-1.image")
        judged = subprocess.run([LEDGER, "check", "right", kept], input="", capture_output=True,
                                text=True)
        self.assertEqual(judged.returncode, 1, "the image that was kept fails again")
        self.assertIn("no violation", self.ledger(OK).stdout)  # over an old file

    def test_msync(self):
        """By a program that calls nothing of libpmem."""
        report = json.loads(self.ledger(OK, "msync", "right", "--json", "-").stdout)
        self.assertEqual((report["crash_points"], report["remarks"]), (13, []))
        os.remove(self.file)
        done = self.ledger(VIOLATION, "count_first+msync")
        self.assertIn("must be durable before what is stored before msync by ledger", done.stdout)
        os.remove(self.file)
        report = json.loads(self.ledger(VIOLATION, "msync_async", "right", "--json", "-").stdout)
        self.assertEqual(report["crash_points"], 1, "it forces nothing")

    def test_a_workload_that_flushes_by_instruction(self):
        """Is not seen to, and that is said."""
        done = self.ledger(VIOLATION, "by_instruction")
        self.assertIn("remark: no call of libpmem's, and no msync, was seen that makes anything "
                      "durable", done.stdout)
        os.remove(self.file)
        self.assertNotIn("remark: no call", self.ledger(VIOLATION, "no_flush_last").stdout)

    def replayed(self, code, line, how="count_first"):
        """The image that the line names, of a new file, and what was said."""
        os.remove(self.file)
        image = os.path.join(self.images, "again")
        with open(image, "wb") as file:
            file.write(b"precious")
        done = self.ledger(code, how, "right", "--replay", line, "--image", image)
        with open(image, "rb") as file:
            found = file.read()
        self.assertEqual(found == b"precious", code != OK)
        return found, done.stderr

    def test_replay(self):
        done = self.ledger(VIOLATION, "count_first", "right", "--json", "-")
        violation = json.loads(done.stdout)["violations"][0]
        with open(os.path.join(self.images, "violation-1.image"), "rb") as file:
            kept = file.read()
        image, said = self.replayed(OK, violation["replay"])
        self.assertEqual(image, kept)
        self.assertIn("the image is in", said)
        self.assertIn("stored elsewhere", self.replayed(USAGE, violation["replay"], "right")[1])
        other = violation["replay"].replace("build=", "build=1", 1)
        self.assertIn("is no replay line", self.replayed(USAGE, other)[1])
        other = "build=12345678" + violation["replay"][14:]
        self.assertIn("another build of the program", self.replayed(USAGE, other)[1])
        done = self.run_words("--file", self.file, "--image-dir", self.images, "--recover-cmd",
                              "true", "--replay", violation["replay"], "--", "true")
        self.assertEqual(done.returncode, USAGE, "--replay without --image")
        done = self.run_words("--file", self.file, "--image-dir", self.images, "--recover-cmd",
                              "true", "--replay", violation["replay"], "--image",
                              self.images + "/../ledger", "--", "true")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("is the workload's own", done.stderr)

    def test_a_fix_is_tried(self):
        done = self.ledger(VIOLATION, "no_flush_last", "right", "--page", self.images)
        fix = "with a flush and a fence before pmem_drain by ledger"
        self.assertRegex(done.stdout, f"  tried: {fix}\\S+ nothing is found\n")
        self.assertEqual(done.stderr.count(f"runs the workload again, {fix}"), 1)
        with open(os.path.join(self.images, "violation-1.html"), encoding="utf-8") as file:
            self.assertIn(f"<dt>Tried</dt><dd>{fix}", file.read())
        self.assertEqual(self.folders(), [])
        os.remove(self.file)
        done = self.ledger(VIOLATION, "no_flush_last", "right", "--fixes", "0")
        self.assertNotIn("  tried: ", done.stdout)
        self.assertNotIn("again", done.stderr)

    def test_the_earliest_crash_point(self):
        """Where the budget has left out what fails, the violation's own lines are tried there."""
        def first(*options):
            done = self.ledger(VIOLATION, "amidst_others", "amidst_others", "--json", "-",
                               "--page", self.images, *options)
            os.remove(self.file)
            report = json.loads(done.stdout)
            self.assertEqual(len(report["violations"]), 1, report)
            return report["violations"][0], done.stderr
        late = first("--fixes", "0")[0]
        self.assertEqual((late["crash_point"], late["fix"]), (2, ""))
        early, said = first()
        self.assertIn("to look for this at earlier crash points", said)
        self.assertEqual((early["crash_point"], early["order"]), (1, late["order"]))
        self.assertEqual(early["since"], "crash point 1, the first")
        self.assertTrue(early["fix"].endswith(" between the two nothing is found, of what was "
                                              "tried"), early["fix"])
        self.assertEqual(early["image"], os.path.join(self.images, "violation-1.image"))
        with open(early["page"], encoding="utf-8") as file:
            page = file.read()
        self.assertIn(early["replay"], page)
        self.assertIn(early["fix"], page)
        self.assertEqual(self.folders(), [])
        with open(early["image"], "rb") as file:
            kept = file.read()
        with open(self.file, "wb"):
            pass
        self.assertEqual(self.replayed(OK, early["replay"], "amidst_others")[0], kept)

    def test_a_fix_is_tried_over_the_file_as_it_was(self):
        """Over what the first run left there were nothing to find: the entries are there."""
        with open(self.file, "wb") as file:
            file.truncate(16384)
        done = self.ledger(VIOLATION, "count_first", "right", "--json", "-")
        fixes = [one["fix"] for one in json.loads(done.stdout)["violations"]]
        self.assertEqual(fixes[0], "", "no fence brings that order about")
        self.assertRegex(fixes[1], r"ledger\S+ it is found all the same$")
        self.assertEqual(done.stderr.count("runs the workload again"), 1, "one call, one run")

    def test_a_fix_that_cannot_be_tried(self):
        """Says why, and not that it mends anything."""
        once = f"{LEDGER} write {self.file} no_flush_last; test ! -e {self.images}/once || exit 5"
        check = f"touch {self.images}/once; {LEDGER} check right"
        done = self.run_crash(VIOLATION, ["sh", "-c", once], check)
        self.assertIn("does not run again: the workload ended with exit code 5", done.stdout)
        os.remove(self.file)
        otherwise = f"test -e {self.images}/twice && how=right || how=no_flush_last; touch " \
                    f"{self.images}/twice; {LEDGER} write {self.file} $how"
        done = self.run_crash(VIOLATION, ["sh", "-c", otherwise], f"{LEDGER} check right")
        self.assertIn("does not run again: it does not come to that call", done.stdout)
        os.remove(self.file)
        folder = os.path.join(os.path.dirname(self.file), "pool")
        os.mkdir(folder)
        done = self.run_words("--file", folder, "--image-dir", self.images, "--recover-cmd",
                              f"{LEDGER} check right", "--", LEDGER, "write", folder + "/ledger",
                              "no_flush_last")
        self.assertEqual(done.returncode, VIOLATION)
        self.assertIn(f"does not run again: what '{folder}' was cannot be put back", done.stdout)

    def test_a_folder_that_nobody_may_look_into(self):
        """Beside the file. Nobody is who runs this, as root may look anywhere."""
        folder = os.path.join(os.path.dirname(self.file), "pool")
        os.makedirs(folder + "/secret", mode=0o777)
        os.chmod(folder + "/secret", 0)
        as_nobody = {}
        if os.getuid() == 0:
            for path in (os.path.dirname(self.file), folder, self.images):
                os.chmod(path, 0o777)
            as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        try:
            done = self.run_words("--file", folder, "--image-dir", self.images, "--recover-cmd",
                                  f"{LEDGER} check right", "--", LEDGER, "write",
                                  folder + "/ledger", "right", **as_nobody)
        except PermissionError:
            self.skipTest("nobody may not run the program where it is built")
        self.assertEqual(done.returncode, OK, done.stdout + done.stderr)

    def test_a_fix_is_tried_on_the_lines_of_its_violation(self):
        """Where the budget leaves out what fails with the fix."""
        done = self.ledger(VIOLATION, "before_others", "before_others")
        self.assertRegex(done.stdout, "  order: .*\n  tried: .* it is found "
                                      "all the same\n")

    def test_a_workload_that_goes_elsewhere(self):
        """Its input is used up, if it is no file; or it prints less. That mends nothing."""
        told = [LEDGER, "write", self.file, "as_told"]
        check = f"{LEDGER} check right"
        done = self.run_crash(VIOLATION, told, check, input="go")
        elsewhere = " the workload went elsewhere when it was run again\n"
        self.assertRegex(done.stdout, "  tried: with a flush and a fence .*" + elsewhere)
        os.remove(self.file)
        word = os.path.join(self.images, "word")
        with open(word, "w", encoding="utf-8") as file:
            file.write("go")
        with open(word, encoding="utf-8") as file:
            done = self.run_crash(VIOLATION, told, check, stdin=file)
        self.assertRegex(done.stdout, "  tried: with a flush and a fence .* nothing is found\n")
        os.remove(self.file)
        once = f"{LEDGER} write {self.file} no_flush_last; test -e {self.images}/once || echo " \
               f"all; touch {self.images}/once"
        done = self.run_crash(VIOLATION, ["sh", "-c", once], check)
        self.assertIn(elsewhere, done.stdout)

    def test_a_workload_that_goes_elsewhere_by_as_many_steps(self):
        """To other lines, which says nothing of a fix; or with other values, which is said."""
        def tried(how):
            write = f"how=no_flush_last; test -e {self.images}/once && how=$how+{how}; " \
                    f"touch {self.images}/once; {LEDGER} write {self.file} $how"
            done = self.run_crash(VIOLATION, ["sh", "-c", write], f"{LEDGER} check right")
            os.remove(self.file)
            os.remove(self.images + "/once")
            return done.stdout.split("  tried: ")[1].split("\n")[0]
        fix = r"^with a flush and a fence before pmem_drain by ledger\+\w+"
        self.assertRegex(tried("backwards"),
                         fix + " the workload went elsewhere when it was run again$")
        self.assertRegex(tried("other_words"),
                         fix + ", and other values stored this time, nothing is found$")
        self.assertRegex(tried("right"), fix + " nothing is found$")

    def long_check(self):
        """A command that says much of what is wrong: some 24 KiB of JSON."""
        script = os.path.join(self.images, "check.sh")
        with open(script, "w", encoding="utf-8") as file:
            file.write(f"touch {self.images}/once\n{LEDGER} check right $1 && exit\n"
                       "printf %04000d 0 | tr 0 '\\001'; exit 1\n")
        return "sh " + script

    def assert_told_once(self, text):
        """Each of the two violations of a count before its entry."""
        self.assertEqual(text.count("violation (wrong): not written: entry 1\n"), 2)
        self.assertEqual(len(set(re.findall("  replay: .*\n", text))), 2)
        self.assertEqual(text.count("  replay: "), 2)

    def test_a_folder_that_is_full(self):
        """In the place of a disk: no file may be larger than 16 KiB, as the ledger is."""
        limit = "{ trap '' XFSZ; ulimit -f 32; }"
        write = f"{LEDGER} write {self.file} count_first"
        check = self.long_check()
        whole = "report.json' was not written whole: is the folder full?"
        done = self.run_crash(IO, ["sh", "-c", f"{limit}; {write}"], check, images=2)
        self.assertIn(f"'{self.images}/{whole}", done.stderr)
        self.assert_told_once(done.stderr)
        os.remove(self.file)
        os.remove(self.images + "/once")
        again = f"test -e {self.images}/once && {limit}; {write}"
        done = self.run_crash(VIOLATION, ["sh", "-c", again], check, images=2)
        self.assertRegex(done.stdout, "  tried: .* does not run again: '" + self.images +
                         r"/cinnabar-again\.\w+/" + whole.replace("?", r"\?"))
        self.assertEqual(self.folders(), [])

    def test_a_replay_of_what_a_shell_starts(self):
        """The shell is another program than that of the line, which maps the file."""
        def run(code, how, *options):
            if os.path.exists(self.file):
                os.remove(self.file)
            write = f"{LEDGER} write {self.file} {how}; true"
            return self.run_crash(code, ["sh", "-c", write], f"{LEDGER} check right", *options)
        done = run(VIOLATION, "count_first", "--json", "-", "--fixes", "0")
        line = json.loads(done.stdout)["violations"][0]["replay"]
        image = self.images + "/image"
        run(OK, "count_first", "--replay", line, "--image", image)
        with open(image, "rb") as one, open(self.images + "/violation-1.image", "rb") as other:
            self.assertEqual(one.read(), other.read())
        done = run(USAGE, "right", "--replay", line, "--image", image)
        self.assertIn("stored elsewhere", done.stderr)

    def test_a_replay_where_nothing_can_be_written(self):
        def zeros():
            with open(self.file, "wb") as file:
                file.truncate(16384)
        zeros()
        done = self.ledger(VIOLATION, "count_first", "right", "--json", "-", "--fixes", "0")
        line = json.loads(done.stdout)["violations"][0]["replay"]
        zeros()
        done = self.run_crash(IO, [LEDGER, "write", self.file, "count_first"], "true", "--replay",
                              line, "--image", self.images + "/image", restore_signals=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
        self.assertIn("refused.txt' was not written whole: is the folder full?", done.stderr)

    def hanging(self):
        """A workload that does not end when it is run again, nor does what it starts."""
        return ["sh", "-c", f"{LEDGER} write {self.file} no_flush_last; test -e "
                f"{self.images}/once && {{ sleep 100 & echo $! > {self.images}/pid; wait; }}; "
                f"touch {self.images}/once"]

    def wait_until(self, true):
        end = time.monotonic() + 50
        while not true():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def assert_sleep_ends(self):
        with open(self.images + "/pid", encoding="utf-8") as file:
            pid = int(file.read())
        self.wait_until(lambda: not os.path.exists(f"/proc/{pid}"))

    def test_a_workload_that_does_not_end_again(self):
        done = self.run_crash(VIOLATION, self.hanging(), f"{LEDGER} check right")
        self.assertRegex(done.stdout,
                         r"  tried: .* does not run again: the workload did not end within \d+ s, "
                         r"recoveries not counted\n")
        self.assert_sleep_ends()

    def interrupted(self, by, workload, command, *options):
        """The signal comes once somebody has written his number into "pid"; and what was said.
        Nothing that it has started is left, and no file or folder of a moment."""
        pid = self.images + "/pid"
        with subprocess.Popen([PROGRAM, "crash", "run", "--file", self.file, "--image-dir",
                               self.images, "--recover-cmd", command, *options, "--", *workload],
                              stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            self.wait_until(lambda: os.path.exists(pid) and os.path.getsize(pid) > 0)
            running.send_signal(by)
            said = running.communicate(timeout=60)
            self.assertEqual(running.returncode, -by)
        with open(pid, encoding="utf-8") as file:
            for number in file.read().split():
                self.assertFalse(os.path.exists(f"/proc/{number}"), "it has ended before")
        os.remove(pid)
        self.assertEqual(self.folders(), [])
        for name in "held_back", "so_far.json.next":
            self.assertFalse(os.path.exists(f"{self.images}/{name}"))
        return said

    def test_interrupted(self):
        """In each phase; and what was found by then is told."""
        told = "this command was told to end "
        sleeps = f"{{ setsid sleep 100 & echo $! > {self.images}/pid; wait; }}"
        for by in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            out, _ = self.interrupted(by, ["sh", "-c", f"{LEDGER} write {self.file} count_first; "
                                           + sleeps], f"{LEDGER} check right")
            self.assertIn("violation (wrong): not written: entry 1\n", out)
            self.assertIn(f" violations, and {told}({signal.strsignal(by)})", out)
            os.remove(self.file)
        # A recovery command is running, of an image or of what is to be held back.
        once = f"test ! -e {self.images}/once || {sleeps}; touch {self.images}/once;"
        self.interrupted(signal.SIGTERM, [LEDGER, "write", self.file, "right"],
                         once + f"{LEDGER} check right")
        os.remove(self.file)
        once = f"test ! -e {self.images}/held_back || {sleeps}; "
        self.interrupted(signal.SIGTERM, [LEDGER, "write", self.file, "no_flush_last"],
                         once + f"{LEDGER} check right")
        os.remove(self.file)

    def test_a_further_run_that_is_interrupted(self):
        """The workload ends too, and the first one's report is told."""
        out, _ = self.interrupted(signal.SIGTERM, self.hanging(), f"{LEDGER} check right")
        self.assertIn(" does not run again: this command was told to end (Terminated)\n", out)

    def test_what_a_command_that_was_killed_has_left(self):
        """Goes at the next start; other folders do not."""
        for name in "cinnabar-again.123456", "again.backup":
            os.mkdir(f"{self.images}/{name}")
        self.ledger(OK)
        self.assertEqual(self.folders(), ["again.backup"])

    def test_a_replay_that_is_interrupted(self):
        done = self.ledger(VIOLATION, "count_first", "right", "--json", "-", "--fixes", "0")
        line = json.loads(done.stdout)["violations"][0]["replay"]
        hangs = f"echo $$ > {self.images}/pid; exec sleep 100"
        said = self.interrupted(signal.SIGINT, ["sh", "-c", hangs], "true", "--replay", line,
                                "--image", self.images + "/again")[1]
        self.assertIn("this command was told to end (Interrupt), and there is no report", said)

    def test_who_ignores_signals(self):
        """As under nohup: so does the command."""
        write = f"kill -HUP $PPID; {LEDGER} write {self.file} right"
        self.run_crash(OK, ["sh", "-c", write], f"{LEDGER} check right", restore_signals=False,
                       preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))

    def test_a_workload_whose_first_process_ends_before(self):
        """The shell's, or one that becomes a daemon as a child of itself."""
        write = f"{LEDGER} write {self.file} count_first"
        check = f"{LEDGER} check right"
        for workload in (["sh", "-c", f"{write} &"], ["sh", "-c", f"(sleep 0.5; {write}) &"],
                         ["sh", "-c", f"setsid sh -c '{write} &' &"], (write + "+daemon").split()):
            done = self.run_crash(VIOLATION, workload, check, "--json", self.images + "/j")
            self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
            with open(self.images + "/j", encoding="utf-8") as file:
                report = json.load(file)
            self.assertEqual((report["crash_points"], report["workload_end"]), (7, ""))
            with open(self.images + "/acknowledged", encoding="utf-8") as file:
                self.assertEqual(len(file.readlines()), 6)
            self.assertIn("  tried: ", done.stdout, "and it has ended when it runs again")
            os.remove(self.file)
        done = self.run_crash(VIOLATION, ["sh", "-c", f"{write}+dies &"], check)
        self.assertIn("what maps the file died, or left by _exit", done.stdout)
        os.remove(self.file)
        done = self.run_crash(VIOLATION, ["sh", "-c", f"{write}+hangs &"], check,
                              "--workload-seconds", "1")
        self.assertIn(" violations, and what the workload has started did not end within 1 s",
                      done.stdout)

    def test_each_violation_names_its_files(self):
        done = self.ledger(VIOLATION, "count_first", "right", "--page", self.images, "--json",
                           self.images + "/j")
        with open(os.path.join(self.images, "j"), encoding="utf-8") as file:
            violations = json.load(file)["violations"]
        self.assertEqual(len(violations), 2)
        said = done.stdout.split("violation (")[1:]
        for number, (one, text) in enumerate(zip(violations, said), 1):
            name = os.path.join(self.images, f"violation-{number}")
            self.assertEqual((one["image"], one["page"]), (name + ".image", name + ".html"))
            self.assertEqual(one["not_written"], "")
            self.assertTrue(os.path.exists(name + ".image") and os.path.exists(name + ".html"))
            self.assertIn(f"\n  image: {name}.image\n  page: {name}.html\n", text)
            self.assertIn(f" --replay '{one['replay']}' --image violation-{number}.image -- ", text)

    def paste(self, text, code):
        """The first replay line that is told, as it is, into a shell; and what is said then."""
        command = text.split("replay: ")[1].split("\n")[0]
        done = subprocess.run(command.replace("cinnabar", PROGRAM, 1), shell=True, cwd=self.images +
                              "/..", capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_a_replay_line_is_pasted_at_once(self):
        """Over what the workload has left: the file is made again what it was before."""
        for before in None, bytes(16384), b"\1" * 20480:
            if before is not None:
                with open(self.file, "wb") as file:
                    file.write(before)
            for fixes in "0", "3":
                told = self.ledger(VIOLATION, "count_first", "right", "--fixes", fixes).stdout
                for _ in range(2):
                    self.paste(told, OK)
                    with open(self.images + "/../violation-1.image", "rb") as again, \
                            open(self.images + "/violation-1.image", "rb") as kept:
                        self.assertEqual(again.read(), kept.read())
                os.remove(self.file)
                if before is not None:
                    with open(self.file, "wb") as file:
                        file.write(before)
        # Another file stays as it is.
        other = self.file[:-6] + "other"
        with open(other, "wb") as file:
            file.truncate(16384)
        self.assertIn("began over other bytes",
                      self.paste(told.replace(self.file + " ", other + " "), USAGE))
        # Where nobody knows what it was before, the likeliest cause comes first.
        os.remove(self.images + "/before.txt")
        with open(self.file, "wb") as file:
            file.truncate(16384)
        self.assertIn("' is of another run: this workload began over other bytes (make them again "
                      "what they were before that run), or ", self.paste(told, USAGE))
        # Nor is it found out over a folder that holds the file already, and why is said.
        command = told.replace(f"--file {self.file}", f"--file {os.path.dirname(self.file)}")
        self.assertIn("was in the folder before the workload", self.paste(command, USAGE))
        self.ledger(OK)
        self.assertEqual([name for name in os.listdir(self.images) if name.startswith("before")],
                         [])

    def test_the_file_as_it_was_cannot_be_kept(self):
        os.mkdir(self.images + "/before.txt")
        done = self.ledger(VIOLATION, "count_first", "right", "--fixes", "0")
        self.assertIn(f"/before.txt' cannot be written: Is a directory; before a replay make "
                      f"'{self.file}' again what it was before this run\n", done.stderr)

    def test_misuse_alone(self):
        """Is no verdict on the recovery: what is wrong is how the run is made."""
        folder = os.path.join(os.path.dirname(self.file), "pool")
        os.mkdir(folder)
        self.file = folder + "/ledger"
        with open(self.file, "wb") as file:
            file.truncate(16384)
        words = ["--file", folder, "--image-dir", self.images, "--recover-cmd",
                 f"{LEDGER} check right"]
        write = ["--", LEDGER, "write", self.file, "count_first"]
        done = self.run_words(*words, "--json", "-", *write)
        self.assertEqual(done.returncode, USAGE, done.stdout + done.stderr)
        self.assertEqual([one["kind"] for one in json.loads(done.stdout)["violations"]], ["misuse"])
        self.assertIn("no verdict on the recovery: the workload does what is not seen, or not "
                      "modelled\n", done.stderr)
        # Beside a violation it is one.
        os.remove(self.file)
        done = self.ledger(VIOLATION, "count_first+grows")
        self.assertIn("violation (misuse): the file's size has changed", done.stdout)
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)

    def test_what_the_system_refuses(self):
        """Is neither a violation nor misuse."""
        with open(self.file, "wb") as file:
            file.truncate(16384)
        write = f"{{ trap '' XFSZ; ulimit -f 16; }}; {LEDGER} write {self.file} count_first"
        done = self.run_crash(IO, ["sh", "-c", write], "true")
        self.assertEqual(done.stderr, "cinnabar: no memory for images: File too large\n")

    def test_files_that_cannot_be_written(self):
        for ending in "image", "html":
            os.makedirs(os.path.join(self.images, f"violation-1.{ending}", "in the way"))
        done = self.ledger(VIOLATION, "count_first", "right", "--page", self.images, "--json",
                           self.images + "/j")
        first = os.path.join(self.images, "violation-1")
        why = "; ".join(f"'{first}.{ending}' cannot be written: Is a directory"
                        for ending in ("image", "html"))
        self.assertIn(f"  not written: {why}\n", done.stdout)
        with open(os.path.join(self.images, "j"), encoding="utf-8") as file:
            violations = json.load(file)["violations"]
        self.assertEqual((violations[0]["image"], violations[0]["page"]), (None, None))
        self.assertEqual(violations[0]["not_written"], why)
        self.assertEqual(violations[1]["image"], os.path.join(self.images, "violation-2.image"))
        os.remove(self.file)
        done = self.ledger(IO, "count_first", "right", "--replay", violations[0]["replay"],
                           "--image", self.images)
        self.assertIn(f"'{self.images}' cannot be written: Is a directory", done.stderr)

    def test_page(self):
        done = self.ledger(VIOLATION, "count_first", "right", "--page", self.images)
        self.assertIn("order: ", done.stdout)
        with open(os.path.join(self.images, "violation-1.html"), encoding="utf-8") as file:
            self.assertIn("pmem_persist by ledger", file.read())
        done = self.run_words("--file", self.file, "--image-dir", self.images, "--recover-cmd",
                              "true", "--page", self.images + "/none", "--", "true")
        self.assertIn("pages lie in it", done.stderr)
        os.remove(self.file)
        self.ledger(OK, "right", "right", "--page", self.images)
        self.assertEqual(os.listdir(self.images).count("violation-1.html"), 0, "of an earlier run")
        self.assertEqual(os.listdir(self.images).count("violation-1.image"), 0)

    def test_the_last_count_is_not_flushed(self):
        """Nothing is stored between the last fence and the last acknowledgement."""
        done = self.ledger(VIOLATION, "no_flush_last")
        self.assertIn("acknowledged and lost: entry 6", done.stdout)
        self.assertRegex(done.stdout, r"  order: what is stored before pmem_drain by \S+ \(offset 0"
                         r"\) must be durable before '6' is printed, and so acknowledged\n")
        os.remove(self.file)
        # Among what is printed behind it, of which the check reads no more than a word.
        more = f"{LEDGER} write {self.file} no_flush_last+talks"
        done = self.run_crash(VIOLATION, ["sh", "-c", more], f"{LEDGER} check right")
        self.assertRegex(done.stdout, "  order: .* before '6' is printed, and so acknowledged\n")
        self.assertFalse(os.path.exists(self.images + "/held_back"))
        os.remove(self.file)
        # Each entry is printed before it is forced: one violation, of the first one.
        done = self.ledger(VIOLATION, "promises_first", "right", "--violations", "60")
        self.assertRegex(done.stdout, r"  order: what is stored before pmem_persist by \S+ \("
                         r"offset 0\) must be durable before '1' is printed, and so acknowledged\n")
        self.assertRegex(done.stdout, r"  tried: .* it is found all the same, since that is behind "
                                      r"the line: it has to be forced before it is printed\n")
        self.assertIn("  order: none helps: '1' is printed, and so acknowledged before what it "
                      "promises is stored\n", done.stdout)
        self.assertIn("\n2 violations", done.stdout)

    def test_recovery_that_hangs_or_dies(self):
        done = self.ledger(VIOLATION, "right", "hangs", "--milliseconds", "2000",
                           "--violations", "1")
        self.assertIn("violation (hung): recovery did not end within 2000 ms", done.stdout)
        self.assertIn("stopped", done.stdout)
        done = self.ledger(VIOLATION, "right", "crashes")
        self.assertIn("the recovery command ended by signal 6; it may use 1 GiB of memory "
                      "(--memory)\n", done.stdout)
        done = self.ledger(VIOLATION, "right", "takes_memory", "--memory", "64M")
        self.assertIn("the recovery command ended by signal 6; it may use 64 MiB of memory "
                      "(--memory)\n", done.stdout)
        self.ledger(OK, "right", "takes_memory")
        self.assertIn("exit 9", self.ledger(VIOLATION, "right", "exits_9").stdout)
        self.assertIn("said nothing", self.ledger(VIOLATION, "right", "silent").stdout)

    def test_recovery_that_leaves_something_behind(self):
        """It has ended, though its output is open still; what it said counts."""
        command = f"sleep 50 & echo $! > {self.images}/pid; {LEDGER} check right"
        self.run_crash(OK, [LEDGER, "write", self.file, "right"], command, images=2)
        self.assert_sleep_ends()
        os.remove(self.file)
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "count_first"], command,
                              images=2)
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
        # More than a pipe holds, of which the first words count.
        os.remove(self.file)
        much = "seq 100000; false #"
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "right"], much, images=2)
        self.assertIn("violation (wrong): 1\n2\n3\n", done.stdout)

    def test_refusing_is_right_until_something_is_acknowledged(self):
        done = self.ledger(VIOLATION, "right", "refuses", "--json", os.path.join(self.images, "j"))
        with open(os.path.join(self.images, "j"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertIn("refused the image", report["violations"][0]["what"])
        self.assertGreater(report["violations"][0]["crash_point"], 5)
        self.assertIn("a crash can leave", done.stderr)

    def test_recovery_command_that_is_not_there(self):
        for command in "no-such-command", self.images:
            done = self.run_crash(USAGE, [LEDGER, "write", self.file, "right"], command)
            self.assertIn(f"--recover-cmd '{command}': the recovery command cannot be run: ",
                          done.stderr)
            self.assertEqual(done.stdout, "", "nothing was judged")
            os.remove(self.file)
        # Of images alone that fail, with calls to blame: nothing is tried even so.
        self.assertNotIn("runs the workload again", self.run_crash(
            USAGE, [LEDGER, "write", self.file, "no_flush_last"],
            f"f() {{ {LEDGER} check right $1 || exit 127; }}; f").stderr)

    def test_names_without_a_folder(self):
        """Of a file that is not there yet; and where the workload goes elsewhere."""
        folder = os.path.dirname(self.file)
        os.symlink(LEDGER, os.path.join(folder, "tool"))
        for workload in (["./tool", "write", "new", "count_first"],
                         ["sh", "-c", "cd images && ../tool write ../new count_first"]):
            done = subprocess.run([PROGRAM, "crash", "run", "--file", "new", "--image-dir",
                                   "images", "--recover-cmd", "./tool check right", "--",
                                   *workload], capture_output=True, text=True, timeout=60,
                                  cwd=folder)
            self.assertEqual(done.returncode, VIOLATION, done.stdout + done.stderr)
            os.remove(os.path.join(folder, "new"))

    def test_promises_that_come_late_or_never(self):
        late = f"{LEDGER} write {self.file} right > {self.images}/kept; cat {self.images}/kept"
        done = self.run_crash(OK, ["sh", "-c", late], "true")
        self.assertIn("all that the workload printed came after its last crash point", done.stderr)
        os.remove(self.file)
        done = self.run_crash(OK, ["sh", "-c", f"{LEDGER} write {self.file} right >&2"], "true")
        self.assertIn("the workload printed nothing", done.stderr)
        os.remove(self.file)
        self.assertNotIn("printed", self.ledger(OK).stderr)
        os.remove(self.file)
        in_time = self.run_crash(OK, ["sh", "-c", f"{LEDGER} write {self.file} right; true"], "true")
        self.assertNotIn("printed", in_time.stderr, "the shell has heard of nothing")

    def test_workloads_that_end_badly(self):
        behind = "; what it has stored since its last crash point was not tried"
        for how, said in (("dies", "the workload died: Killed" + behind),
                          ("aborts", "the workload died: Aborted" + behind),
                          ("leaves", "what maps the file died, or left by _exit" + behind),
                          ("exits_3", "the workload ended with exit code 3")):
            done = self.ledger(IO, how)
            self.assertTrue(done.stdout.endswith(f"\nno violation, but {said}\n"), done.stdout)
            self.assertEqual(done.stderr, f"cinnabar: {said}\n")
            os.remove(self.file)
        self.ledger(OK, "forks")
        done = self.run_crash(IO, ["sh", "-c", "kill -9 $$"], "true")
        self.assertIn("the workload died: Killed, and there is no report", done.stderr)
        done = self.ledger(IO, "elsewhere")
        self.assertIn("called no function of libpmem, nor msync, with an address in", done.stderr)
        done = self.run_crash(IO, ["/no/such/program"], "true")
        self.assertIn("'/no/such/program' cannot be run", done.stderr)

    def test_what_was_found_before_the_workload_died(self):
        """Is told as ever, in text, JSON and pages; also where a shell goes on behind it."""
        for how, end in (("dies", "died: Killed"), ("aborts", "died: Aborted"), ("leaves", "")):
            words = LEDGER, "write", self.file, "count_first+" + how
            for workload in words, ("sh", "-c", " ".join(words) + "; true"):
                done = self.run_crash(VIOLATION, workload, f"{LEDGER} check right", "--json",
                                      self.images + "/j", "--page", self.images)
                self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
                self.assertIn("no fix is tried: the workload did not come to its end", done.stderr)
                with open(self.images + "/j", encoding="utf-8") as file:
                    report = json.load(file)
                self.assertIn(end if workload is words else "what maps the file died",
                              report["workload_end"])
                self.assertEqual(report["crash_points"], 6)
                for violation in report["violations"]:
                    self.assertTrue(os.path.exists(violation["image"]))
                    with open(violation["page"], encoding="utf-8") as file:
                        self.assertIn(violation["replay"], file.read())
                os.remove(self.file)

    def test_a_workload_that_hangs(self):
        """What was found is told; and all that it has started ends with it."""
        end = "the workload did not end within 1 s, recoveries not counted (--workload-seconds); " \
              "what it has stored since its last crash point was not tried"
        done = self.run_crash(VIOLATION, [LEDGER, "write", self.file, "count_first+hangs"],
                              f"{LEDGER} check right", "--workload-seconds", "1")
        self.assertIn("violation (wrong): not written: entry 1\n", done.stdout)
        self.assertIn(f" violations, and {end}", done.stdout)
        os.remove(self.file)
        hangs = f"setsid {LEDGER} write {self.file} hangs & echo $! > {self.images}/pid; wait"
        done = self.run_crash(IO, ["sh", "-c", hangs], f"{LEDGER} check right",
                              "--workload-seconds", "1")
        self.assertTrue(done.stdout.endswith(f"\nno violation, but {end}\n"), done.stdout)
        self.assert_sleep_ends()
        done = self.run_crash(IO, ["sleep", "100"], "true", "--workload-seconds", "1")
        self.assertIn("(--workload-seconds), and there is no report", done.stderr)

    def test_a_workload_that_dies_amidst_a_recovery(self):
        """Whoever started it hangs, and has not waited for it."""
        write = f"{LEDGER} write {self.file} right & echo $! > {self.images}/pid; exec sleep 100"
        done = self.run_crash(IO, ["sh", "-c", write], f"kill -9 $(cat {self.images}/pid)",
                              "--workload-seconds", "1")
        self.assertRegex(done.stdout, "^1 crash point, 0 images of 4 possible; not tried: 4\nno "
                         "violation, but the workload did not end within 1 s.*; of its last crash "
                         "point not all was tried\n$")
        # What the recovery has left behind ends with it, and nothing waits for that.
        os.remove(self.file)
        write = f"echo $$ > {self.images}/pid; exec {LEDGER} write {self.file} right"
        done = self.run_crash(IO, ["sh", "-c", write],
                              f"sleep 100 & kill -9 $(cat {self.images}/pid)")
        self.assertIn("the workload died: Killed", done.stdout)

    def test_a_workload_that_hangs_or_dies_in_a_full_folder(self):
        """What was found is told at once then; and the time ends it all the same."""
        for how in "hangs", "dies":
            write = (f"{{ trap '' XFSZ; ulimit -f 32; }}; exec {LEDGER} write {self.file} "
                     f"count_first+{how}")
            done = self.run_crash(IO, ["sh", "-c", write], self.long_check(), "--fixes", "0",
                                  "--workload-seconds", "1", images=2)
            self.assert_told_once(done.stderr)
            self.assertIn("did not end within" if how == "hangs" else "died: Killed", done.stdout)
            self.assertIn("; what was found later could not be written into the folder, which is "
                          "full: the violations alone are told, on the standard error", done.stdout)
            os.remove(self.file)
        # Where there was room for the first one.
        write = write.replace("32", "64")
        done = self.run_crash(VIOLATION, ["sh", "-c", write], self.long_check(), images=2)
        self.assertEqual(done.stdout.count("violation (wrong): not written: entry 1\n"), 1)
        self.assert_told_once(done.stdout + done.stderr)

    def test_who_was_there_before_is_not_killed(self):
        words = [PROGRAM, "crash", "run", "--file", self.file, "--image-dir", self.images,
                 "--recover-cmd", "true", "--workload-seconds", "1", "--", "sleep", "100"]
        done = subprocess.run(["sh", "-c", 'sleep 60 >&- 2>&- & echo $!; exec "$@"', "sh", *words],
                              capture_output=True, text=True, timeout=60)
        self.assertIn("did not end within 1 s", done.stderr)
        os.kill(int(done.stdout), signal.SIGTERM)  # an error where there is none

    def test_recoveries_take_no_time_of_the_workload(self):
        begun = time.monotonic()
        self.run_crash(OK, [LEDGER, "write", self.file, "right"],
                       f"sleep 0.1; {LEDGER} check right", "--workload-seconds", "1", images=2)
        self.assertGreater(time.monotonic() - begun, 2)

    def test_how_far_it_is(self):
        """On a terminal, and nowhere else."""
        words = ["--file", self.file, "--image-dir", self.images, "--recover-cmd",
                 f"sleep 0.1; {LEDGER} check right", "--images", "1", "--", LEDGER, "write",
                 self.file, "right"]
        terminal, ours = pty.openpty()
        self.addCleanup(os.close, terminal)
        with subprocess.Popen([PROGRAM, "crash", "run", *words], stdout=subprocess.DEVNULL,
                              stderr=ours) as running:
            os.close(ours)
            said = b""
            with contextlib.suppress(OSError):  # nobody has it open any more
                while part := os.read(terminal, 4096):
                    said += part
        self.assertEqual(running.returncode, OK)
        lines = [line for line in said.decode().split("\r\033[K") if line]
        self.assertGreater(len(lines), 5)
        for line in lines:
            self.assertRegex(line, r"^\d+ crash points?, \d+ images?, 0 violations, \d+ s$")
        counts = [int(line.split()[0]) for line in lines]
        self.assertEqual(counts, sorted(counts))
        self.assertGreater(counts[-1], 1)
        self.assertTrue(said.endswith(b"\r\033[K"), "the line is gone at the end")
        os.remove(self.file)
        self.assertEqual(self.run_words(*words).stderr, "")

    def test_a_second_program_behind_one_that_died(self):
        """Is not looked at, and does not hide what the first one did."""
        write = f"{LEDGER} write {self.file}"
        both = f"{write} count_first+dies; {write} right"
        done = self.run_crash(VIOLATION, ["sh", "-c", both], f"{LEDGER} check right")
        self.assertIn("not written: entry", done.stdout)
        os.remove(self.file)
        both = f"{write} dies; {write} count_first"
        done = self.run_crash(USAGE, ["sh", "-c", both], f"{LEDGER} check right")
        self.assertIn("two programs of the workload map", done.stderr)

    def test_a_workload_with_a_timer(self):
        """The same report as without: no call of ours is lost to a signal of the workload's."""
        def counted(how):
            report = json.loads(self.ledger(OK, how, "right", "--json", "-").stdout)
            os.remove(self.file)
            return {name: report[name] for name in ("crash_points", "images_distinct",
                                                    "recoveries", "violations", "remarks")}
        self.assertEqual(counted("interrupted"), counted("right"))

    def test_two_programs(self):
        """The later one neither hides what the earlier one did, nor is it taken for looked at."""
        write = f"{LEDGER} write {self.file}"
        both = [f"{write} count_first; {write} right", f"{write} right; {write} count_first"]
        check = f"{LEDGER} check right"
        done = self.run_crash(VIOLATION, ["sh", "-c", both[0]], check)
        self.assertIn("not written: entry", done.stdout)
        os.unlink(self.file)
        done = self.run_crash(USAGE, ["sh", "-c", both[1]], check)
        self.assertIn("two programs of the workload map", done.stderr)
        os.unlink(self.file)
        self.run_crash(OK, ["sh", "-c", f"true; {write} right; true"], check)

    def test_two_programs_at_once(self):
        """What the one stores is no violation of the other's."""
        write = f"{LEDGER} write {self.file} right"
        done = self.run_crash(USAGE, ["sh", "-c", f"{write} & {write}; wait"],
                              f"sleep 0.02; {LEDGER} check right")
        self.assertIn("map '" + self.file + "' at once", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_options(self):
        words = ["--file", self.file, "--image-dir", self.images, "--recover-cmd", "true"]
        self.assertEqual(self.run_words(*words).returncode, USAGE)  # no workload
        for option in ("--images", "--milliseconds", "--memory", "--violations",
                       "--workload-seconds"):
            done = self.run_words(*words, option, "0", "--", "true")
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn("'0' is below 1", done.stderr)
        for option in "--images", "--milliseconds", "--random", "--seed", "--violations":
            done = self.run_words(*words, option, "-1", "--", "true")
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn("'-1' is not a number", done.stderr)
        for option in "--replay", "--recover-cmd", "--image-dir":
            rest = [word for word in words if word != option and words[words.index(word) - 1] !=
                    option]
            done = self.run_words(*rest, option, "", "--image", self.file, "--", "true")
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn("it is empty", done.stderr)
        done = self.run_words(*words, "--json", "--", "true")
        self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertIn("--json: no FILE", done.stderr)
        done = self.run_words("--file", self.file, "--image-dir", self.images + "/none",
                              "--recover-cmd", "true", "--", "true")
        self.assertEqual(done.returncode, IO)
        self.assertIn("is no folder", done.stderr)

    @unittest.skipUnless(ctypes.util.find_library("pmemlog"), "libpmemlog is not installed")
    def test_a_workload_in_python(self):
        """Over libpmemlog, which it loads; acknowledged records are the log's first ones."""
        workload = r"""
import ctypes, sys
log = ctypes.CDLL("libpmemlog.so.1")
log.pmemlog_create.restype = ctypes.c_void_p
log.pmemlog_append.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
log.pmemlog_close.argtypes = ctypes.c_void_p,
pool = log.pmemlog_create(sys.argv[1].encode(), ctypes.c_size_t(2 << 20), 0o600)
for record in b"one ", b"two ", b"three ":
    assert log.pmemlog_append(pool, record, len(record)) == 0
    print(record.decode(), end="", flush=True)
log.pmemlog_close(pool)
"""
        recover = r"""
import ctypes, sys
log = ctypes.CDLL("libpmemlog.so.1")
log.pmemlog_open.restype = ctypes.c_void_p
VISIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
log.pmemlog_walk.argtypes = ctypes.c_void_p, ctypes.c_size_t, VISIT, ctypes.c_void_p
pool = log.pmemlog_open(sys.argv[1].encode())
if not pool:
    sys.exit(2)
found = []
log.pmemlog_walk(pool, 0, VISIT(lambda at, n, _: found.append(ctypes.string_at(at, n))), None)
text = b"".join(found).decode()
print("found", repr(text))
sys.exit(0 if text.startswith(sys.stdin.read()) and "one two three ".startswith(text) else 1)
"""
        script = os.path.join(self.images, "recover.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(recover)
        done = self.run_crash(OK, [sys.executable, "-c", workload, self.file],
                              f"{sys.executable} {script}", "--json", "-", images=2)
        report = json.loads(done.stdout)
        self.assertGreater(report["crash_points"], 8)


if __name__ == "__main__":
    unittest.main()
