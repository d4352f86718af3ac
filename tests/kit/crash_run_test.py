"""cinnabar crash run: workloads and recoveries in other processes and other languages, right ones
and ones that are not."""
import contextlib
import ctypes.util
import html
import json
import os
import pty
import re
import resource
import shutil
import subprocess
import sys
import time
import unittest

from crash_run import CrashRun, IO, LEDGER, OK, PROGRAM, USAGE, VIOLATION


class Run(CrashRun):
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
        os.remove(self.file)
        done = self.run_crash(OK, [LEDGER, "write", self.file, "msync_async"], "true")
        self.assertNotIn("keep its output back", done.stdout)
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
        with contextlib.suppress(FileNotFoundError):
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
        blocked = f"cd {self.images}/cinnabar-again.* && mkdir cinnabar-image; " \
                  f"{LEDGER} write {self.file} no_flush_last"
        done = self.run_crash(VIOLATION, ["sh", "-c", blocked], f"{LEDGER} check right")
        self.assertRegex(done.stdout, "  tried: .* does not run again: no file for the image at " +
                         self.images + r"/cinnabar-again\.\w+/cinnabar-image: ")
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
            command = text.split("\n  replay: ")[1].split("\n")[0]
            with open(name + ".html", encoding="utf-8") as page:
                self.assertIn(f"<code>{command}</code>", html.unescape(page.read()))
            self.assertIn(f" --replay '{one['replay']}' --image violation-{number}.image -- ", text)

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
        # Nor is it put back for what is no line, or from a copy that is gone.
        with open(self.file, "wb") as file:
            file.write(b"mine")
        line = told.split("--replay '")[1].split("'")[0]
        for line in ("nonsense", line + " then nonsense"):
            done = self.run_crash(USAGE, ["true"], "true", "--replay", line, "--image", "again")
            self.assertIn("'nonsense' is no replay line", done.stderr)
        os.remove(self.images + "/cinnabar-before/copy")
        self.assertIn("/copy', the copy of what '" + self.file + "' was, is gone or cannot be "
                      "read: make the file", self.paste(told, IO))
        with open(self.file, "rb") as file:
            self.assertEqual(file.read(), b"mine")
        # Where nobody knows what it was before, the likeliest cause comes first.
        os.remove(self.images + "/cinnabar-before/of.txt")
        with open(self.file, "wb") as file:
            file.truncate(16384)
        self.assertIn("' is of another run: this workload began over other bytes (make them again "
                      "what they were before that run), or ", self.paste(told, USAGE))
        # Nor is it found out over a folder that holds the file already, and why is said.
        command = told.replace(f"--file {self.file}", f"--file {os.path.dirname(self.file)}")
        self.assertIn("was in the folder before the workload", self.paste(command, USAGE))
        self.ledger(OK)
        self.assertFalse(os.path.exists(self.images + "/cinnabar-before"))

    def test_a_promise_before_the_fence_that_keeps_it(self):
        done = self.ledger(VIOLATION, "drained_late")
        self.assertIn("must be durable before '1' is printed, and so acknowledged", done.stdout)

    def test_both_outputs_in_one_file(self):
        """No line of one stands amidst the other's."""
        path = os.path.join(os.path.dirname(self.file), "said")
        with open(path, "w", encoding="utf-8") as said:
            subprocess.run([PROGRAM, "crash", "run", "--file", self.file, "--image-dir",
                            self.images, "--recover-cmd", self.long_check(), "--images", "2", "--",
                            LEDGER, "write", self.file, "count_first"], stdout=said, stderr=said,
                           timeout=60)
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        self.assertGreater(len(text), 8192)
        self.assertEqual(len(re.findall("^cinnabar: ", text, re.M)), text.count("cinnabar: "))

    def test_the_folder_is_for_images_alone(self):
        done = self.run_words("--file", self.images, "--image-dir", self.images, "--recover-cmd",
                              "true", "--", "true")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("files there are replaced", done.stderr)
        pages = os.path.join(os.path.dirname(self.file), "pages")
        os.mkdir(pages)
        for option, path in (("--page", pages), ("--json", pages + "/violation-1.html")):
            done = self.run_words("--file", pages + "/violation-1.html", "--image-dir", self.images,
                                  "--recover-cmd", "true", option, path, "--", "true")
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(option + ": ", done.stderr)
        done = self.run_words("--file", self.images + "/mine", "--image-dir", self.images,
                              "--recover-cmd", "true", "--", "true")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("/mine' lies in it, and files there are replaced; name a", done.stderr)
        done = self.run_words("--file", self.images + "/cinnabar-run/led", "--image-dir",
                              self.images, "--recover-cmd", "true", "--", "true")
        self.assertEqual(done.returncode, USAGE)
        os.mkdir(self.images + "/other")
        for own in "cinnabar-run", "cinnabar-before":
            os.symlink("other", f"{self.images}/{own}")
            self.assertIn(f"/{own}' is a link: ", self.ledger(IO).stderr)
            os.remove(f"{self.images}/{own}")
        self.assertEqual(os.listdir(self.images + "/other"), [])
        hangs = subprocess.Popen([PROGRAM, "crash", "run", "--file", self.file, "--image-dir",
                                  self.images, "--recover-cmd", "true", "--", "sh", "-c",
                                  f"touch {self.images}/began; exec sleep 100"],
                                 stderr=subprocess.DEVNULL)
        while not os.path.exists(self.images + "/began"):
            time.sleep(0.01)
        done = self.run_crash(USAGE, ["true"], "true")
        self.assertIn(f"another crash run uses '{self.images}' now; name another", done.stderr)
        hangs.terminate()
        hangs.wait()

    def test_files_of_others_in_the_folder(self):
        """Stay as they are, whatever they are called."""
        names = ("acknowledged", "again.json", "before", "copy", "image", "mapped", "report.json",
                 "reply", "request", "so_far.json")
        for name in names:
            with open(f"{self.images}/{name}", "w", encoding="utf-8") as file:
                file.write("mine")
        for how, code in ("right", OK), ("count_first", VIOLATION):
            self.ledger(code, how)
            os.remove(self.file)
            for name in names:
                with open(f"{self.images}/{name}", encoding="utf-8") as file:
                    self.assertEqual(file.read(), "mine")
        shutil.rmtree(self.images + "/cinnabar-run")
        with open(f"{self.images}/cinnabar-run", "w", encoding="utf-8"):
            pass
        done = self.ledger(IO)
        self.assertIn("/cinnabar-run' cannot be made: ", done.stderr)

    def test_a_file_as_the_last_run_left_it(self):
        """Whose workload may find its work done; one that was made otherwise is another."""
        remark = "remark: the file began as the last run has left it"
        self.assertNotIn(remark, self.ledger(OK).stdout)
        self.assertIn(remark, self.ledger(OK).stdout)
        done = self.run_words("--file", self.file, "--image-dir", self.images, "--recover-cmd",
                              "false", "--", LEDGER, "write", self.file, "right")
        self.assertEqual(done.returncode, VIOLATION)
        self.assertIn(remark, done.stdout)
        # One that the workload itself makes anew is not the one that was left.
        self.assertNotIn(remark, self.ledger(OK, "anew").stdout)
        # Also behind a run that came to no verdict.
        os.remove(self.file)
        self.run_crash(USAGE, [LEDGER, "write", self.file, "right"], "no-such-command")
        self.assertIn(remark, self.ledger(OK).stdout)
        with open(self.file, "r+b") as file:
            file.write(b"\0" * 8)
        self.assertNotIn(remark, self.ledger(OK).stdout)
        os.remove(self.file)
        self.assertNotIn(remark, self.ledger(VIOLATION, "count_first").stdout)
        os.remove(self.file)
        self.assertNotIn(remark, self.ledger(OK).stdout)

    def test_a_command_that_never_opens_its_image(self):
        remark = "remark: the recovery command has never opened its image"
        write = [LEDGER, "write", self.file, "count_first"]
        self.assertIn(remark, self.run_crash(OK, write, "true").stdout)
        os.remove(self.file)
        self.assertNotIn(remark, self.run_crash(OK, write, "cat > /dev/null").stdout)

    def test_a_file_that_is_not_there(self):
        done = self.run_crash(IO, ["true"], "true")
        self.assertIn(f"the workload has left no file '{self.file}', nor mapped one", done.stderr)

    def test_the_file_as_it_was_cannot_be_kept(self):
        os.makedirs(self.images + "/cinnabar-before/of.txt")
        done = self.ledger(VIOLATION, "count_first", "right", "--fixes", "0")
        self.assertIn(f"/of.txt' cannot be written: Is a directory; before a replay make "
                      f"'{self.file}' again what it was before this run\n", done.stderr)

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
        self.assertFalse(os.path.exists(self.images + "/cinnabar-run/held_back"))
        os.remove(self.file)
        # Each entry is printed before it is forced: one violation, of the first one.
        done = self.ledger(VIOLATION, "promises_first", "right", "--violations", "60")
        self.assertRegex(done.stdout, r"  order: what is stored before pmem_persist by \S+ \("
                         r"offset 0\) must be durable before '1' is printed, and so acknowledged\n")
        self.assertRegex(done.stdout, r"  tried: .* it is found all the same, since that is behind "
                                      r"the line: it has to be forced before it is printed\n")
        self.assertIn("  order: none helps: '1' is printed, and so acknowledged, and whatever "
                      "survives it fails: is what that promises stored by then?\n", done.stdout)
        self.assertIn("\n2 violations", done.stdout)

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
        self.assertIn("remark: all that the workload printed came after its last crash point",
                      done.stdout)
        os.remove(self.file)
        done = self.run_crash(OK, ["sh", "-c", f"{LEDGER} write {self.file} right >&2"], "true")
        self.assertIn("remark: the workload printed nothing", done.stdout)
        os.remove(self.file)
        self.assertNotIn("printed", self.ledger(OK).stderr)
        os.remove(self.file)
        in_time = f"{LEDGER} write {self.file} right; true"
        in_time = self.run_crash(OK, ["sh", "-c", in_time], "true")
        self.assertNotIn("printed", in_time.stderr, "the shell has heard of nothing")

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
            self.assertIn("'-1' is no whole number from ", done.stderr)
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
