"""The images build, start, take a message and stop cleanly."""

import json
import os
import secrets
import smtplib
import socket
import subprocess

import pytest

import harness
import image


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.skipif(os.getuid() != 0, reason="making a Debian base and running containers needs root")
def test_the_images_take_a_message_keep_it_and_stop_cleanly():
    image.configure()
    image.make_base()
    tags = {target: image.build(target) for target in ("store", "smtp")}
    for tag in tags.values():
        about = json.loads(image.run("podman", "image", "inspect", tag))[0]
        assert about["Config"]["User"] == "10001:10001" and about["HealthCheck"]
        print(f"{tag}: {about['Size'] / 1e6:.1f} MB")

    volume = f"restante-test-{secrets.token_hex(4)}"
    grpc, smtp, lmtp = free_port(), free_port(), free_port()
    store_options = ["--volume", f"{volume}:/var/lib/restante", "--env", f"RESTANTE_LISTEN=0.0.0.0:{grpc}", "--env",
                     "RESTANTE_INSECURE=true"]
    started = []

    def start(*args):
        started.append(image.Container(*args))
        harness.poll(started[-1].healthy, f"{args[0]} to be healthy")
        return started[-1]

    try:
        store = start(tags["store"], *store_options, "--env", "RESTANTE_CREATE=true")
        cli = ("restante", "--store", f"127.0.0.1:{grpc}")
        store.execute(*cli, "domain", "create", "example.org")
        store.execute(*cli, "mailbox", "create", "alice@example.org")
        front = start(tags["smtp"], "--env", f"RESTANTE_STORE=127.0.0.1:{grpc}", "--env",
                      f"RESTANTE_SMTP_LISTEN=0.0.0.0:{smtp}", "--env", f"RESTANTE_LMTP_LISTEN=127.0.0.1:{lmtp}")
        with smtplib.SMTP("127.0.0.1", smtp, timeout=harness.PATIENCE) as client:
            client.sendmail("sender@example.net", ["alice@example.org"], "Subject: into the image\r\n\r\ntext\r\n")
        assert front.stop() == 0, front.log()
        assert store.stop() == 0, store.log()
        store.remove()
        # The volume is there, so nothing is made anew.
        store = start(tags["store"], *store_options)
        assert "into the image" in store.execute(*cli, "message", "cat", "alice@example.org", "1")
        assert store.stop() == 0, store.log()
    finally:
        for container in started:
            container.remove()
        subprocess.run(["podman", "volume", "rm", "--force", volume], capture_output=True)
