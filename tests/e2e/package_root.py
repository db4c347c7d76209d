"""A Debian package that is not installed, run in a root directory of its own.

Debian's mail servers conflict with one another, so `./dev` installs Postfix and
unpacks the others into mta/ of the build directory.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import harness

PATHS = {"PATH": "/usr/sbin:/usr/bin:/bin"}


class PackageRoot:
    """A directory for chroot: the packages, the libraries and users that they need, nothing else."""

    def __init__(self, directory, packages, programs, users, library_path=()):
        """Named after the first of `packages`. `programs`: what is run or loaded in there, relative.

        `library_path`: folders of the packages where they keep libraries of their own.
        """
        self.path = pathlib.Path(directory) / packages[0]
        self._library_path = ":".join(str(self.path / folder) for folder in library_path)
        for package in packages:
            unpacked = harness.BUILD_DIR / "mta" / package
            assert unpacked.is_dir(), f"{unpacked} is missing; ./dev puts it there"
            shutil.copytree(unpacked, self.path, symlinks=True, dirs_exist_ok=True)
        for name in ("bin", "dev", "etc", "run", "tmp", "var/log", "var/run", "var/spool"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        (self.path / "tmp").chmod(0o1777)
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            os.mknod(self.path / "dev" / name, 0o20666, os.makedev(1, minor))
            (self.path / "dev" / name).chmod(0o666)
        self._copy("/bin/sh")
        for program in ("bin/sh", *programs):
            self.copy_libraries(self.path / program)
        self.ids = ids = {"root": 0, "nobody": 65534, **{user: 64900 + i for i, user in enumerate(users)}}
        self.write("etc/passwd", "".join(f"{u}:x:{i}:{i}::/nonexistent:/bin/sh\n" for u, i in ids.items()))
        self.write("etc/group", "mail:x:8:\n" + "".join(f"{u}:x:{i}:\n" for u, i in ids.items()))
        self.write("etc/hosts", "127.0.0.1 localhost\n")

    def _copy(self, path):
        inside = self.path / path.lstrip("/")
        if not inside.exists():
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.realpath(path), inside)

    def copy_libraries(self, program):
        """What a program or module in here is linked with."""
        needed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True,
                                env={**PATHS, "LD_LIBRARY_PATH": self._library_path}).stdout
        assert "not found" not in needed, f"{program}:\n{needed}"
        for library in re.findall(r"(/\S+) \(0x", needed):
            if not pathlib.Path(library).is_relative_to(self.path):
                self._copy(library)

    def make_directory(self, path, user):
        (self.path / path).mkdir(parents=True, exist_ok=True)
        os.chown(self.path / path, self.ids[user], self.ids[user])

    def write(self, path, text):
        inside = self.path / path
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_text(text)

    def read(self, path):
        inside = self.path / path
        return inside.read_text(errors="replace") if inside.exists() else ""

    def start(self, *command):
        """Runs it in there until close()."""
        with open(self.path / "output.log", "ab") as output:
            self._started = subprocess.Popen(["/usr/sbin/chroot", self.path, *command], stdin=subprocess.DEVNULL,
                                             stdout=output, stderr=output, env=PATHS)

    def run(self, *command):
        """Its standard output; it has to succeed."""
        done = subprocess.run(["/usr/sbin/chroot", self.path, *command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=harness.PATIENCE * 2, env=PATHS)
        assert done.returncode == 0, f"{command}: {done}\n{self.read('output.log')}"
        return done.stdout

    @property
    def pid(self):
        """Of what was started."""
        return self._started.pid

    def processes(self):
        """All that run in here, by pid."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (process / "root").samefile(self.path) and "Z" not in (process / "stat").read_text().split()[2]:
                    found.append(int(process.name))
            except OSError:
                continue  # Ended meanwhile.
        return found

    def close(self):
        """Ends what was started, and all that it has left behind."""
        self._started.terminate()
        try:
            self._started.wait(harness.PATIENCE)
        except subprocess.TimeoutExpired:
            pass  # Ended below.

        def ended():
            pids = self.processes()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not pids

        harness.poll(ended, f"everything in {self.path} to end")
        self._started.wait()
