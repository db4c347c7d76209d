"""The Debian packages in a bare Debian: they install, work, are upgraded, and go without a trace."""

import os
import pathlib
import subprocess

import pytest

import containers
from containers import BASE, run

BUILD_DIR = pathlib.Path(os.environ["E2E_BUILD_DIR"])
AT_WORK = pathlib.Path(__file__).with_name("packages_at_work.sh")
NAMES = ("restante-store", "restante-smtp", "restante")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """As `./dev package` makes them."""
    directory = tmp_path_factory.mktemp("packages")
    subprocess.run(["cpack", "-G", "DEB", "-B", directory], cwd=BUILD_DIR, check=True, capture_output=True)
    return sorted(directory.glob("*.deb"))


@pytest.fixture
def root(packages):
    """root(COMMAND...): its output, as root in a Debian that has nothing but the packages' files in /packages."""
    with containers.own_storage():
        containers.make_base()
        name = run("buildah", "from", "--pull-never", BASE)

        def inside(*command, status=0):
            return run("buildah", "run", "--isolation", "chroot", "--network", "host", *containers.apt_mounts(), name,
                       "--", *command, status=status)

        run("buildah", "copy", name, *packages, AT_WORK, "/packages/")
        inside("apt-get", "-qq", "update")
        yield inside
        run("buildah", "rm", name)


def ours(root):
    """Files and users of ours that are there."""
    found = root("find", "/", "-xdev", "-path", "/proc", "-prune", "-o", "-path", "/packages", "-prune", "-o", "-iname",
                 "*restante*", "-not", "-path", "/var/log/*", "-print")
    return set(found.split())


def test_they_install_work_and_go(packages, root):
    assert {p.name.split("_")[0] for p in packages} == {*NAMES, "librestante-dev"}
    assert not ours(root)
    install = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "--no-install-recommends")
    files = [f"/packages/{p.name}" for p in packages if p.name.split("_")[0] in NAMES]
    root(*install, *files)
    assert "two messages, and a clean end" in root("/packages/packages_at_work.sh")

    # A file that was changed is kept when the package is installed again.
    root("sh", "-c", "echo 'max-message = \"20M\"' >>/etc/restante/store.toml")
    root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "--reinstall", *files)
    printed = root("restante-store", "--config", "/etc/restante/store.toml", "--print-config")
    assert 'max-message = "20M"  # /etc/restante/store.toml:' in printed
    assert 'data-dir = "/var/lib/restante"  # /etc/restante/store.toml:' in printed

    root(*install, "systemd")
    for unit in ("restante-store", "restante-smtp"):
        assert root("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}.service") == ""
        assert unit in root("systemctl", "list-unit-files", "--root=/", "--state=enabled")
        exposure = root("systemd-analyze", "security", "--offline=true", f"{unit}.service")
        assert "Overall exposure level" in exposure and ("OK" in exposure or "SAFE" in exposure), exposure
    for name, section in zip(NAMES, (8, 8, 1)):
        assert f"/usr/share/man/man{section}/{name}.{section}.gz" in root("dpkg", "-L", name)

    root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "remove", "-y", *NAMES)
    assert "/etc/restante" in ours(root), "the configuration stays until it is purged"
    root("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "purge", "-y", *NAMES[:2])
    assert ours(root) == {"/var/lib/restante"}, "only the mail stays"
    assert root("sh", "-c", "ls /var/lib/restante") != ""
