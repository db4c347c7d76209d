"""Builds the Dockerfile and runs its images with Debian's packages alone.

No Docker engine and no registry: mmdebstrap makes the base from this machine's
package lists, buildah builds on it, podman runs the result under runc, as a
strict cluster would: no capabilities, a read-only root. Needs root. What takes
long is kept under HOME for the next time; other containers are not touched.
"""

import os
import pathlib
import re
import resource
import subprocess
import time

HOME = pathlib.Path(os.environ.get("E2E_IMAGE_HOME", "/var/cache/restante-images"))
SOURCE = pathlib.Path(__file__).parents[2]
BASE = "localhost/debian:bookworm-slim"
BASE_DAYS = 7  # then it is made again, for the security updates
CERTIFICATES = "/run/restante-certificates.crt"


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


def configure():
    """A storage and a configuration of its own, for every command that follows."""
    HOME.mkdir(parents=True, exist_ok=True)
    volatile = pathlib.Path("/dev/shm/restante-images")
    volatile.mkdir(exist_ok=True)
    on_overlay = run("stat", "-f", "-c", "%T", HOME) == "overlayfs"
    (HOME / "storage.conf").write_text(
        f'[storage]\ndriver = "{"vfs" if on_overlay else "overlay"}"\n'
        f'graphroot = "{HOME}/store"\nrunroot = "{volatile}/run"\n')
    # podman's own defaults are above what a root without CAP_SYS_RESOURCE may ask for.
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20)
    processes = min(resource.getrlimit(resource.RLIMIT_NPROC)[1] % (1 << 63),
                    int(pathlib.Path("/proc/sys/kernel/pid_max").read_text()))
    files, processes = (1 << 20 if files < 0 else files), (4096 if processes < 0 else processes)
    (HOME / "containers.conf").write_text(
        f'[containers]\nnetns = "host"\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
        f'[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "{volatile}/tmp"\n')
    os.environ.update(CONTAINERS_STORAGE_CONF=str(HOME / "storage.conf"), CONTAINERS_CONF=str(HOME / "containers.conf"),
                      DISABLE_HC_SYSTEMD="true")


def apt_sources():
    """This machine's lists of Debian's bookworm packages."""
    found = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.suffix in (".list", ".sources") and path.exists():
            text = path.read_text()
            foreign = "signed-by" in text.lower() and "debian-archive" not in text
            if re.search(r"^[^#]*\sbookworm(\s|$)", text, re.M) and not foreign:
                found.append(path)
    assert found, "no list of bookworm packages in /etc/apt"
    return found


def apt_settings(certificates):
    """Proxies, certificates and the like of this machine's apt, as one apt.conf."""
    lines = run("apt-config", "dump", "--format", '%f "%v";%n').splitlines()
    kept = [line for line in lines if re.match(r"Acquire::((http|https)::|Check-|Retries)", line)]
    return "".join(re.sub(r'^(Acquire::https::CAInfo) .*', rf'\1 "{certificates}";', line) + "\n" for line in kept)


def host_certificates():
    match = re.search(r"FILE='(.*)'", run("apt-config", "shell", "FILE", "Acquire::https::CAInfo"))
    return match[1] if match else os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")


def make_base():
    """debian:bookworm-slim, as near as this machine's mirror allows."""
    stamp = HOME / "base.stamp"
    exists = subprocess.run(["podman", "image", "exists", BASE]).returncode == 0
    if exists and stamp.exists() and time.time() - stamp.stat().st_mtime < BASE_DAYS * 86400:
        return
    (HOME / "apt.conf").write_text(apt_settings(host_certificates()))
    tar = HOME / "base.tar"
    run("mmdebstrap", "--mode=root", "--variant=minbase", "--include=usr-is-merged",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--aptopt={HOME}/apt.conf",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*.mo",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf',
        '--customize-hook=printf "#!/bin/sh\\nexit 101\\n" >"$1"/usr/sbin/policy-rc.d; chmod 755 "$1"/usr/sbin/policy-rc.d',
        "bookworm", tar, *apt_sources())
    run("podman", "import", "--quiet", "--change", 'CMD ["bash"]', tar, BASE)
    tar.unlink()
    stamp.touch()


def build(target):
    """The image of one of the Dockerfile's stages; returns its tag."""
    tag = f"restante-{target}"
    run("buildah", "tag", BASE, "docker.io/library/debian:bookworm-slim")
    mounts = []
    (HOME / "build-apt.conf").write_text(apt_settings(CERTIFICATES))
    if "CAInfo" in (HOME / "build-apt.conf").read_text():
        mounts += ["--volume", f"{host_certificates()}:{CERTIFICATES}:ro"]
    mounts += ["--volume", f"{HOME}/build-apt.conf:/etc/apt/apt.conf:ro"]
    cache = os.environ.get("CCACHE_DIR") or pathlib.Path.home() / ".cache/ccache"
    if pathlib.Path(cache).is_dir():
        mounts += ["--volume", f"{cache}:/ccache:rw"]
    run("buildah", "build", "--isolation", "chroot", "--format", "docker", "--layers", "--pull-never", "--network",
        "host", *mounts, "--target", target, "--file", SOURCE / "docker/Dockerfile", "--tag", tag, SOURCE)
    return tag


class Container:
    """One image as a strict cluster runs it, on the host's network."""

    def __init__(self, tag, *options):
        self.id = run("podman", "run", "--detach", "--pull=never", "--read-only", "--read-only-tmpfs=false", "--cap-drop",
                      "all", "--security-opt", "no-new-privileges", "--log-driver", "k8s-file", *options, tag)

    def healthy(self):
        done = subprocess.run(["podman", "healthcheck", "run", self.id], capture_output=True)
        running = run("podman", "inspect", self.id, "--format", "{{.State.Running}}") == "true"
        assert running, f"the container has ended:\n{self.log()}"
        return done.returncode == 0

    def log(self):
        done = subprocess.run(["podman", "logs", self.id], capture_output=True, text=True)
        return done.stdout + done.stderr

    def execute(self, *command):
        return run("podman", "exec", self.id, *command)

    def stop(self):
        """By its stop signal; returns its exit status (137: it had to be killed)."""
        run("podman", "stop", "--time", "20", self.id)
        return int(run("podman", "inspect", self.id, "--format", "{{.State.ExitCode}}"))

    def remove(self):
        subprocess.run(["podman", "rm", "--force", "--time", "0", self.id], capture_output=True)
