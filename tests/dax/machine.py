"""A virtual machine whose power fails when the test says so: QEMU emulates a PC with an NVDIMM, a
disk and a virtio-pmem device, each of which is a file. The guest's memory is gone with the process;
what is in the files stays, and the next boot finds it."""
import base64
import itertools
import os
import pathlib
import re
import select
import shutil
import subprocess
import time

QEMU = "qemu-system-x86_64"
# In the order in which they are loaded.
MODULES = ("libnvdimm nd_btt nd_pmem nfit virtio_ring virtio virtio_pci_legacy_dev "
           "virtio_pci_modern_dev virtio_pci virtio_blk nd_virtio virtio_pmem").split()
BOOT_S = 100  # a boot takes three seconds on an idle machine
SIZES = {"nvdimm": 192 << 20, "disk": 128 << 20, "vpmem": 64 << 20}
END = "guest: end, code "  # init says so
WRONG = "wrong: "          # guest.cpp
CRASHED = 3               # what QEMU returns after the guest's write of 1 to isa-debug-exit

HERE = pathlib.Path(__file__).parent
transcript = []  # of all boots of this process


class Missing(Exception):
    """A part that this machine does not have."""


class Failure(Exception):
    """What was expected did not happen."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def kernel_of(folder):
    """(kernel image, {module: file}) of an unpacked kernel package."""
    folder = pathlib.Path(folder)
    images = sorted(folder.glob("boot/vmlinuz-*"))
    if not images:
        raise Missing(f"no kernel in {folder}; tools/setup puts one there")
    found = {path.stem: path for path in folder.rglob("*.ko")}
    for name in MODULES:
        if name not in found:
            raise Missing(f"no module {name} of the kernel in {folder}")
    return images[-1], {name: found[name] for name in MODULES}


def require_parts(kernel_folder):
    for program in (QEMU, "busybox", "cpio", "mke2fs", "setpriv"):
        if which(program) is None:
            raise Missing(f"no {program}; tools/setup installs it")
    kernel_of(kernel_folder)


def which(program):
    """Also where the path of users does not lead, as to mke2fs."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def libraries_of(program):
    """The shared libraries of a program, with the loader."""
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    if "not found" in said:
        raise Failure(f"ldd {program}:\n{said}")
    return {word for word in said.split() if word.startswith("/")}


def build_initramfs(to, kernel_folder, programs):
    """Packs init, busybox, mke2fs, the kernel's modules and our programs with their libraries."""
    root = to.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "sbin", "modules", "dev", "proc", "sys"):
        (root / folder).mkdir(parents=True)
    shutil.copy(HERE / "init", root / "init")
    shutil.copy(which("busybox"), root / "bin/busybox")
    shutil.copy(which("mke2fs"), root / "sbin/mke2fs")
    libraries = libraries_of(which("mke2fs"))
    for program in programs:
        subprocess.run(["strip", "-o", root / "bin" / os.path.basename(program), program],
                       check=True)
        libraries |= libraries_of(program)
    for library in libraries:
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    for name, path in kernel_of(kernel_folder)[1].items():
        shutil.copy(path, root / "modules")
    (root / "modules/order").write_text("\n".join(MODULES) + "\n")
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with open(to, "wb") as archive:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names.encode(),
                       stdout=archive, check=True)
    shutil.rmtree(root)


class Machine:
    """The files of one machine, copied from a template, or made empty."""

    def __init__(self, folder, kernel_folder, initramfs, template=None):
        self.folder = pathlib.Path(folder)
        self.kernel = kernel_of(kernel_folder)[0]
        self.initramfs = initramfs
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, size in SIZES.items():
            if template:
                subprocess.run(["cp", "--sparse=always", template / name, self.folder / name],
                               check=True)
            else:
                (self.folder / name).touch()
                os.truncate(self.folder / name, size)

    def boot(self, job, **options):
        return Boot(self, job, **options)

    def run(self, job, **options):
        """Boots, runs the job to its end, and returns what it said."""
        with self.boot(job, **options) as boot:
            return boot.wait_end()


class Boot:
    """One life of a machine: from power on to the end of its job, a crash or a power failure.

    job          shell, run by init
    persistence  of the NVDIMM: "mem-ctrl", the caches are lost; "cpu", they are not
    kept         False: what the guest stores to the NVDIMM goes nowhere
    virtio       are there the disk and the virtio-pmem device too?
    """

    def __init__(self, machine, job, persistence="mem-ctrl", kept=True, virtio=False):
        self.began = time.monotonic()
        self.pending = b""
        self.lines = []
        note(f"--- boot, persistence={persistence}, kept={kept}, virtio={virtio}: {job.strip()}")
        self.process = subprocess.Popen(
            self.command(machine, job, persistence, kept, virtio), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def command(self, machine, job, persistence, kept, virtio):
        # no_timer_check: on a busy host the ticks come too late for the kernel's test of them.
        append = ("console=ttyS0 quiet panic=-1 no_timer_check norandmaps job=" +
                  base64.b64encode(job.encode()).decode())
        expect(len(append) < 2000, "the job is too long for a kernel's command line")
        # Not even a driver that is killed leaves it behind.
        words = ["setpriv", "--pdeathsig", "KILL", QEMU,
                 "-machine", f"q35,nvdimm=on,nvdimm-persistence={persistence}",
                 "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "256M,slots=2,maxmem=1G",
                 "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
                 "-kernel", machine.kernel, "-initrd", machine.initramfs, "-append", append,
                 *memory("nvdimm", machine, kept), "-device", "nvdimm,id=dimm,memdev=nvdimm"]
        if virtio:
            # What the guest writes is in the file; its flushes need not reach the host's own disk.
            words += ["-drive", f"file={machine.folder / 'disk'},format=raw,if=none,id=disk,"
                                "cache=unsafe",
                      "-device", "virtio-blk-pci,drive=disk",
                      *memory("vpmem", machine, True), "-device", "virtio-pmem-pci,memdev=vpmem"]
        return words

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Power failure: at once, for the guest. Then takes what it had said before."""
        if self.process.poll() is None:
            self.process.kill()
        self.drain()
        note(f"    QEMU ended with {self.process.wait()}")

    def drain(self):
        while not self.process.stdout.closed and self.read_some(None):
            pass

    def read_some(self, until):
        """Reads what there is, or waits for it; False at the end or when the time has come."""
        wait = None if until is None else until - time.monotonic()
        if wait is not None and wait <= 0:  # also while there is always something to read
            return False
        if not select.select([self.process.stdout], [], [], wait)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            self.process.stdout.close()
            return False
        *whole, self.pending = (self.pending + data).split(b"\n")
        for line in whole:
            self.lines.append(line.decode(errors="replace").rstrip("\r"))
            note(f"{time.monotonic() - self.began:8.3f} s  {self.lines[-1]}")
        return True

    def wait_for(self, start):
        """Until a line starts so, or as one of several; returns that line."""
        seen = 0
        while True:
            for line in self.lines[seen:]:
                if line.startswith(start):
                    return line
                expect(not line.startswith((WRONG, END)), f"no '{start}' came, but '{line}'")
            seen = len(self.lines)
            if not self.read_some(self.began + BOOT_S):
                raise Failure(f"{self.why_silent()} before the guest said '{start}'")

    def wait_end(self):
        """Until the job says that it is done; returns all that was said."""
        line = self.wait_for(END)
        wrong = [said for said in self.lines if said.startswith(WRONG)]
        expect(not wrong, f"the job says {wrong}")
        expect(line == END + "0", f"the job failed: {line}")
        return self.lines

    def wait_crash(self):
        """Until the guest has cut its own power."""
        while self.read_some(self.began + BOOT_S):
            pass
        for line in self.lines:
            expect(not line.startswith((WRONG, END)), f"no crash came, but '{line}'")
        expect(self.process.stdout.closed and self.process.wait() == CRASHED,
               f"{self.why_silent()} before the guest crashed")
        return self.lines

    def why_silent(self):
        if not self.process.stdout.closed:
            return f"{BOOT_S} s passed"
        return f"QEMU ended with {self.process.wait()}"

    def kill_after(self, seconds):
        """Lets it go on for so long, kills it, and returns all that was said."""
        until = time.monotonic() + seconds
        while self.read_some(until):
            pass
        expect(self.process.poll() is None, "QEMU ended before it was killed")
        self.kill()
        return self.lines


def memory(name, machine, kept):
    share = "on" if kept else "off"
    return ["-object", f"memory-backend-file,id={name},share={share},size={SIZES[name]},"
                       f"mem-path={machine.folder / name}"]


def note(line):
    transcript.append(line)


def print_transcript():
    """Of many acknowledgements in a row the first and the last ones."""
    for acknowledged, group in itertools.groupby(
            transcript, lambda line: re.search(r" s  (forced|lazy) \d+$", line) is not None):
        lines = list(group)
        if acknowledged and len(lines) > 10:
            lines[3:-3] = [f"    ({len(lines) - 6} more)"]
        print("\n".join(lines))
