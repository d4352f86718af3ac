"""tools/setup and tools/try on machines where packages are missing: whom that stops, and what is
installed. dpkg, apt and id are stand-ins here; nothing is installed."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1))
STAND_INS = {
    # The package is the last word.
    "dpkg-query": 'case " $MISSING " in *" ${!#} "* | " all ") ;; *) printf installed ;; esac',
    "id": 'echo "$USER_NUMBER"',
    "apt-get": 'echo "$*" >> "$SAID"',
    "apt-cache": '[ "$1" = policy ] && echo "  Candidate: 1"',
}


class Setup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cinnabar-setup.")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, script in STAND_INS.items():
            (self.folder / name).write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
            (self.folder / name).chmod(0o755)
        (self.folder / "libpmemobj++").mkdir()
        (self.folder / "libpmemobj++/pool.hpp").touch()

    def run_tool(self, code, *words, missing, root):
        """What it says, and the package names that apt-get was told to install."""
        said = self.folder / "said"
        said.write_text("", encoding="utf-8")
        environment = os.environ | {
            "PATH": f"{self.folder}:{os.environ['PATH']}", "MISSING": missing, "SAID": str(said),
            "USER_NUMBER": "0" if root else "1000", "CINNABAR_LIBPMEMOBJCPP_DIR": str(self.folder)}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        installed = [word for line in said.read_text(encoding="utf-8").splitlines()
                     if " install " in line for word in line.split(" install ")[1].split()
                     if not word.startswith("-")]
        return done.stdout, installed

    def test_a_user_may_lack_what_only_some_tests_need(self):
        said, installed = self.run_tool(0, "tools/setup", root=False,
                                        missing="qemu-system-x86 chromium-headless-shell")
        self.assertIn("qemu-system-x86", said)
        self.assertIn("chromium-headless-shell", said)
        self.assertIn("skipped", said)
        self.assertEqual(installed, [])

    def test_a_user_may_not_lack_the_rest(self):
        said, installed = self.run_tool(1, "tools/setup", root=False, missing="cmake libgtest-dev")
        self.assertIn("missing: cmake libgtest-dev\n", said)
        self.assertIn("as root", said)
        self.assertEqual(installed, [])

    def test_root_has_everything_installed(self):
        installed = self.run_tool(0, "tools/setup", root=True,
                                  missing="cmake libgtest-dev qemu-system-x86 cpio")[1]
        self.assertEqual(installed, ["cmake", "libgtest-dev", "qemu-system-x86", "cpio"])

    def test_building_needs_no_tests(self):
        missing = "cmake libgtest-dev qemu-system-x86 liburing-dev"
        installed = self.run_tool(0, "tools/setup", "--build", root=True, missing=missing)[1]
        self.assertEqual(installed, ["cmake", "liburing-dev"])
        said = self.run_tool(0, "tools/setup", "--build", root=False, missing="libgtest-dev")[0]
        self.assertNotIn("libgtest-dev", said)

    def test_try_builds_and_does_not_test(self):
        said = self.run_tool(1, "tools/try", root=False, missing="all")[0]
        self.assertIn("cmake", said)
        for package in "qemu-system-x86", "libgtest-dev", "libbenchmark-dev", "chromium":
            self.assertNotIn(package, said)

    def test_words_it_does_not_know(self):
        self.run_tool(1, "tools/setup", "--everything", root=True, missing="cmake")


if __name__ == "__main__":
    unittest.main()
