"""Builds the Dockerfile and runs its images with Debian's packages alone.

No Docker engine and no registry: mmdebstrap makes the base from this machine's
package lists, buildah builds on it, podman runs the result under runc. Needs
root. Images and settings are this test's own and lie under HOME, where the next
run finds them; other containers of the machine are neither seen nor touched.
"""

import contextlib
import fcntl
import hashlib
import inspect
import json
import os
import pathlib
import re
import resource
import subprocess
import time

SOURCE = pathlib.Path(__file__).parents[2]
HOME = pathlib.Path(os.environ.get("RESTANTE_CONTAINER_HOME", "/var/cache/restante-containers"))
# What is known of running containers must not outlive a reboot: a tmpfs.
VOLATILE = pathlib.Path("/dev/shm") / f"restante-containers-{hashlib.sha256(str(HOME).encode()).hexdigest()[:8]}"
BASE = "docker.io/library/debian:bookworm-slim"
BASE_DAYS = 7  # Then it is made again, for the security updates.
CERTIFICATES = "/run/restante-certificates.crt"
# How long an event may take before the test gives up.
PATIENCE = 60


def run(*command, status=0):
    """Standard output of a command that has to end with `status`; None: with any."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert status is None or done.returncode == status, (
        f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return done.stdout.strip()


@contextlib.contextmanager
def own_storage():
    """Everything below happens inside; a second run waits for the first to end."""
    HOME.mkdir(parents=True, exist_ok=True)
    VOLATILE.mkdir(exist_ok=True)
    with open(HOME / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _configure()
        remove_all()
        try:
            yield
        finally:
            remove_all()


def _configure():
    # No overlay on an overlay.
    driver = "vfs" if run("stat", "-f", "-c", "%T", HOME) == "overlayfs" else "overlay"
    (HOME / "storage.conf").write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{HOME}/store"\nrunroot = "{VOLATILE}/run"\n')
    # podman's own defaults are above what a root without CAP_SYS_RESOURCE may ask for.
    ceilings = {"nofile": (resource.RLIMIT_NOFILE, 1 << 20),
                "nproc": (resource.RLIMIT_NPROC, int(pathlib.Path("/proc/sys/kernel/pid_max").read_text()))}
    limits = []
    for name, (kind, ceiling) in ceilings.items():
        hard = resource.getrlimit(kind)[1]
        value = ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
        limits.append(f'"{name}={value}:{value}"')
    # runc, for crun refuses a machine that has both cgroup versions mounted.
    (HOME / "containers.conf").write_text(
        f'[containers]\ndefault_ulimits = [{", ".join(limits)}]\n[engine]\nruntime = "runc"\n'
        f'cgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "{VOLATILE}/libpod"\n'
        f'[network]\nnetwork_backend = "cni"\nnetwork_config_dir = "{HOME}/networks"\n')
    os.environ["CONTAINERS_STORAGE_CONF"] = str(HOME / "storage.conf")
    os.environ["CONTAINERS_CONF"] = str(HOME / "containers.conf")
    os.environ["TMPDIR"] = str(HOME / "tmp")  # Where buildah has its cache mounts.
    (HOME / "tmp").mkdir(exist_ok=True)
    os.environ["DISABLE_HC_SYSTEMD"] = "true"  # The test itself asks for health.


def remove_all():
    """All but the images of this home, which stay for the next run."""
    for container in run("buildah", "containers", "--quiet").split():  # Of a build that failed.
        run("buildah", "rm", container)
    run("podman", "kill", "--all", status=None)  # Some may have ended, or end now.
    run("podman", "pod", "rm", "--all", "--force", "--time", "0")
    for container in run("podman", "ps", "--all", "--quiet").split():
        run("podman", "rm", "--force", "--time", "0", "--volumes", "--depend", "--ignore", container)
    run("podman", "volume", "rm", "--all", "--force")
    run("podman", "network", "prune", "--force")
    run("podman", "secret", "rm", "--all")


# --- the base image ------------------------------------------------------------


def _apt_sources():
    """This machine's lists of Debian's own bookworm packages."""
    found = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text()
        foreign = "signed-by" in text.lower() and "debian-archive" not in text
        if re.search(r"^[^#]*\sbookworm(\s|$)", text, re.M) and not foreign:
            found.append(path)
    assert found, "no list of bookworm packages in /etc/apt"
    return found


def _apt_settings(certificates):
    """Proxies, certificates and the like of this machine's apt, as one apt.conf."""
    lines = run("apt-config", "dump", "--format", '%f "%v";%n').splitlines()
    kept = [line for line in lines if re.match(r"Acquire::((http|https)::|Check-|Retries)", line)]
    return "".join(re.sub(r"^(Acquire::https::CAInfo) .*", rf'\1 "{certificates}";', line) + "\n" for line in kept)


def _host_certificates():
    match = re.search(r"FILE='(.*)'", run("apt-config", "shell", "FILE", "Acquire::https::CAInfo"))
    return match[1] if match else "/etc/ssl/certs/ca-certificates.crt"


def make_base():
    """debian:bookworm-slim, as near as this machine's mirror allows."""
    stamp = HOME / "base.stamp"
    sources = _apt_sources()
    made_from = [inspect.getsource(make_base), *(source.read_text() for source in sources)]
    recipe = hashlib.sha256("".join(made_from).encode()).hexdigest()
    if (stamp.exists() and stamp.read_text() == recipe and time.time() - stamp.stat().st_mtime < BASE_DAYS * 86400
            and run("podman", "images", "--quiet", BASE)):
        return
    (HOME / "apt.conf").write_text(_apt_settings(_host_certificates()))
    tar = HOME / "base.tar"
    # usr-is-merged, for the merged-usr hook would bring usrmerge and all of perl.
    run("mmdebstrap", "--mode=root", "--variant=minbase", "--include=usr-is-merged",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--aptopt={HOME}/apt.conf",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*/LC_MESSAGES/*.mo",
        "--dpkgopt=path-exclude=/usr/share/info/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf '
        '"$1"/var/cache/apt/*.bin',
        '--customize-hook=echo force-unsafe-io >"$1"/etc/dpkg/dpkg.cfg.d/docker-apt-speedup',
        "bookworm", tar, *sources)
    run("podman", "import", "--quiet", "--change", 'CMD ["bash"]', tar, BASE)
    tar.unlink()
    stamp.write_text(recipe)


# --- images and containers ---------------------------------------------------------


def apt_mounts():
    """What a container's apt needs of this machine's, as options."""
    (HOME / "build-apt.conf").write_text(_apt_settings(CERTIFICATES))
    mounts = ["--volume", f"{HOME}/build-apt.conf:/etc/apt/apt.conf:ro"]
    if "CAInfo" in (HOME / "build-apt.conf").read_text():
        mounts += ["--volume", f"{_host_certificates()}:{CERTIFICATES}:ro"]
    return mounts


def build(target):
    """The image of one of the Dockerfile's stages; returns its tag."""
    tag = f"localhost/restante-test-{target}"
    mounts = apt_mounts()
    # What the host has compiled, the image has not to compile again.
    ccache = pathlib.Path(run("ccache", "--get-config", "cache_dir"))
    ccache.mkdir(parents=True, exist_ok=True)
    mounts += ["--volume", f"{ccache}:/ccache:rw", "--build-arg", "CCACHE_DIR=/ccache"]
    # chroot: needs no namespaces. docker: the format that has a HEALTHCHECK.
    # layers: steps that did not change come from the last build.
    run("buildah", "build", "--isolation", "chroot", "--format", "docker", "--layers", "--pull-never", "--network",
        "host", *mounts, "--target", target, "--file", SOURCE / "docker/Dockerfile", "--tag", tag, SOURCE)
    return tag


def forget_old_images():
    """Those that no tag leads to any more."""
    run("podman", "image", "prune", "--force")


def make_volume():
    return run("podman", "volume", "create")


class Container:
    """A container that is there, by its ID or name."""

    def __init__(self, id_):
        self.id = id_

    def state(self, field):
        return run("podman", "inspect", self.id, "--format", "{{.State.%s}}" % field)

    def await_health(self):
        """Runs the image's own HEALTHCHECK until it passes."""
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["podman", "healthcheck", "run", self.id], capture_output=True).returncode != 0:
            assert self.state("Running") == "true", f"ended with {self.state('ExitCode')}:\n{self.log()}"
            assert time.monotonic() < deadline, f"not healthy after {PATIENCE} s:\n{self.log()}"
            time.sleep(0.1)

    def log(self):
        done = subprocess.run(["podman", "logs", self.id], capture_output=True, text=True)
        return done.stdout + done.stderr

    def execute(self, *command, status=0):
        """Standard output of a program of the image."""
        return run("podman", "exec", self.id, *command, status=status)

    def execute_beside(self, *command):
        """The same of a program of this machine, on the container's network."""
        return run("nsenter", f"--net=/proc/{self.state('Pid')}/ns/net", *command)

    def address(self):
        """Where others on its network reach it."""
        networks = json.loads(run("podman", "inspect", self.id))[0]["NetworkSettings"]["Networks"]
        (network,) = networks.values()
        return network["IPAddress"]

    def stop(self):
        """By its stop signal; returns its exit status (137: it had to be killed)."""
        run("podman", "stop", "--time", "30", self.id)
        return self.exit_status()

    def exit_status(self):
        """Of a container that ends by itself."""
        return int(run("podman", "wait", self.id))


def start(tag, *arguments, network="none", options=()):
    """One image as a strict cluster runs it: no capabilities, a read-only root.

    Without a `network` option it has a loopback of its own and nothing else.
    """
    return Container(run("podman", "run", "--detach", "--pull=never", "--network", network, "--read-only",
                         "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges",
                         "--log-driver", "k8s-file", *options, tag, *arguments))


def poll(condition, what):
    """Returns the first true value of `condition()`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for: {what}"
        time.sleep(0.1)
