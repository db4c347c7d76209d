"""Thresholds: events that are followed, a webhook that is called, a message into the mailbox."""

import json
import subprocess
import threading

import pytest

import harness
from api import mailbox
from authority import Authority
from receiver import Receiver, signed_by
from smtp_client import Smtp, message

SECRET = "a secret of the receiver's"
ALICE = "alice@example.org"


class Watch:
    """`restante watch`, and what it has printed so far."""

    def __init__(self, store, *options):
        self.process = subprocess.Popen(
            [harness.PROGRAMS["restante"], "--store", store.address, "--output", "json", "watch", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=harness.environment())
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def seen(self, resource=f"mailboxes/{ALICE}"):
        """Percents, each event once: whoever follows drops repetitions by their number."""
        return [e["percent"] for e in {e["sequence"]: e for e in self.events}.values() if e["resource"] == resource]

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def receiver():
    one = Receiver(answer=500)
    yield one
    one.close()


@pytest.fixture
def options(directory, receiver):
    secret = directory / "secret"
    secret.write_text(SECRET + "\n")
    return {"store": ["--webhook-url", f"http://127.0.0.1:{receiver.port}/hook?of=restante", "--webhook-secret-file",
                      secret, "--quota-warnings", "--hostname", "store.example.org"],
            "front": []}


@pytest.fixture
def watch(store):
    one = Watch(store)
    yield one
    one.close()


def fill(front, recipient, octets):
    def stored():
        with Smtp(front.smtp) as smtp:
            reply = smtp.deliver(recipient, message(octets, seed=octets))
            # While the front end looks for a store that was restarted.
            assert reply in ("250 2.0.0", "451 4.3.0"), reply
            return reply == "250 2.0.0"

    harness.poll(stored, "the message to be taken")


def warnings(api, address):
    return [text for text in api.texts(address) if b"\r\nAuto-Submitted: auto-generated\r\n" in text]


def numbers(events):
    return [int(event["sequence"]) for event in events]


def test_a_mailbox_that_fills_is_told_of_everywhere_once_over_a_kill(store, front, api, watch, receiver, cli):
    api.create_domain()
    api.create_mailbox(ALICE, max_bytes=100_000)
    fill(front, ALICE, 81_000)
    harness.poll(lambda: watch.seen() == [80], "an event at 80 %")
    harness.poll(lambda: warnings(api, ALICE), "a warning in the mailbox")
    fill(front, ALICE, 10_000)
    harness.poll(lambda: watch.seen() == [80, 90], "an event at 90 %")
    harness.poll(lambda: len(receiver.posts) >= 2, "the first event to be posted again")
    assert {json.loads(body)["sequence"] for _, _, body, _ in receiver.posts} == {"1"}, "in order"
    store.kill9()
    receiver.answer = 204
    store.start()
    api.ready()
    harness.poll(lambda: numbers(receiver.events(204))[-1:] == [2], "both events to be taken")
    assert sorted(set(numbers(receiver.events(204)))) == [1, 2]
    for path, headers, body, _ in receiver.posts:
        assert path == "/hook?of=restante" and headers["Content-Type"] == "application/json"
        assert signed_by(SECRET, headers, body) and not signed_by("another secret", headers, body)
    event = receiver.events(204)[-1]["quota"]
    assert (event["resource"], event["percent"], event["previous_percent"]) == (f"mailboxes/{ALICE}", 90, 80)
    assert event["max_bytes"]["value"] == "100000"
    # After the kill, too: the stream goes on where it was, and nobody is warned twice.
    fill(front, ALICE, 5_000)
    harness.poll(lambda: watch.seen() == [80, 90, 95], "an event behind the restart")
    harness.poll(lambda: numbers(receiver.events(204))[-1:] == [3], "it to be posted")
    assert len(warnings(api, ALICE)) == 1, "one a day"
    text = warnings(api, ALICE)[0]
    assert b"\r\nSubject: Your mailbox is 80 % full\r\n" in text and b"quota-warning.1." in text
    assert b"@store.example.org>" in text
    assert cli("message", "list", ALICE).count(b"<>") == 1, "its reverse path is null"
    api.assert_exact(ALICE)
    assert api.problems() == []
    assert SECRET not in store.program.log_text()


def test_a_lowered_limit_is_told_of_and_warned_of(store, front, api, watch, receiver, cli):
    receiver.answer = 200
    api.create_domain()
    api.create_mailbox(ALICE)
    fill(front, ALICE, 50_000)
    cli("mailbox", "set", ALICE, "--bytes", "50000")
    harness.poll(lambda: watch.seen() == [100], "an event")
    harness.poll(lambda: warnings(api, ALICE), "a warning")
    cli("domain", "set", "example.org", "--max-bytes", "60000")
    harness.poll(lambda: watch.seen("domains/example.org") == [80], "the pool's event")
    harness.poll(lambda: numbers(receiver.events()) == [1, 2], "both to be posted, and no other")
    cli("message", "delete", ALICE, "1")
    harness.poll(lambda: watch.seen() == [100, 0] and watch.seen("domains/example.org") == [80, 0], "all to be well")


def test_people_read_one_line_each_and_only_what_they_ask_for(store, front, api, cli):
    api.create_domain()
    api.create_mailbox(ALICE, max_bytes=100_000)
    fill(front, ALICE, 95_500)
    for after, lines in (("0", 1), (None, 1)):
        done = subprocess.Popen([harness.PROGRAMS["restante"], "--store", store.address, "watch", "--kind", "quota",
                                 *(["--after", after] if after else [])],
                                stdout=subprocess.PIPE, env=harness.environment())
        line = done.stdout.readline().decode()
        done.kill()
        done.wait()
        assert line.startswith("1 20") and f"mailboxes/{ALICE} reached 95 %: " in line, line
    done = cli.run("watch", "--after", "17")
    assert done.returncode == 1 and b"event 17" in done.stderr, done.stderr


def test_an_https_receiver_is_believed_by_its_authority_only(start, directory):
    authority = Authority(directory, "authority")
    receiver = Receiver(certificate=authority.sign("hook", "IP:127.0.0.1"))
    other = Authority(directory, "other")
    hook = ["--webhook-url", f"https://127.0.0.1:{receiver.port}/", "--quota-thresholds", "50"]
    store = start(harness.Store, *hook, "--webhook-ca", other.certificate)
    cli = harness.Cli(store.address)
    cli("domain", "create", "example.org", "--max-bytes", "1000")
    cli("mailbox", "create", ALICE)
    text = directory / "text"
    text.write_bytes(b"Subject: x\r\n\r\n" + b"x" * 600)
    cli("deliver", "--from", "a@example.net", "--to", ALICE, text)

    def figure(name):
        metrics = harness.fetch(store.program.addresses["ops"], "/metrics")
        return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(name + " "))

    harness.poll(lambda: figure("restante_webhook_failed_total") > 0, "a request to fail")
    assert receiver.posts == [] and figure("restante_webhook_backlog") == 1
    store.program.stop()
    store.options[-1] = authority.certificate
    store.start()
    harness.poll(lambda: figure("restante_webhook_sent_total") == 1, "the event to be sent")
    assert figure("restante_webhook_backlog") == 0
    assert receiver.events()[0]["quota"]["resource"] == "domains/example.org"
    assert "Restante-Signature" not in receiver.posts[0][1]
    receiver.close()


@pytest.mark.parametrize("options,says", [
    (["--webhook-url", "ftp://127.0.0.1/"], "does not begin with http:// or https://"),
    (["--webhook-url", "http://user:secret@127.0.0.1/"], "a user and a password"),
    (["--webhook-url", "http://127.0.0.1:0/"], "its port"),
    (["--webhook-secret-file", "/dev/null"], "--webhook-secret-file needs --webhook-url"),
    (["--webhook-url", "http://127.0.0.1/", "--webhook-secret-file", "/dev/null"], "has 0 characters"),
    (["--webhook-url", "https://127.0.0.1/", "--webhook-ca", "/dev/null"], "--webhook-ca"),
    (["--quota-thresholds", "90,80"], "ascending"),
    (["--quota-warning-template", "/dev/null"], "line 0"),
    (["--quota-warning-template", "{template}"], "line 3: `{{nothing}}`"),
    (["--hostname", "a b"], "is no host name"),
])
def test_what_does_not_fit_stops_the_start(directory, options, says):
    template = directory / "template"
    template.write_text("From: a@example.org\n\n{{nothing}}\n")
    done = subprocess.run(
        [harness.PROGRAMS["restante-store"], "--data-dir", directory / "data", "--create", "--listen", "127.0.0.1:0",
         *[option.replace("{template}", str(template)) for option in options]],
        capture_output=True, text=True, env={**harness.environment(), "RESTANTE_OPS_LISTEN": "none"},
        timeout=harness.PATIENCE)
    assert done.returncode in (1, 2) and says in done.stderr, done.stderr
    assert "user:secret" not in done.stderr
    assert done.stderr.count("\n") == 1 or done.returncode == 1


def test_a_template_is_the_operators_own(start, directory):
    template = directory / "template"
    template.write_text("From: Post\u00e4mter <post@example.org>\nSubject: {{percent}} %\n\n"
                        "{{address}}: {{used}} / {{limit}}\n", encoding="utf-8")
    store = start(harness.Store, "--quota-warning-template", template)
    cli = harness.Cli(store.address)
    cli("domain", "create", "example.org")
    cli("mailbox", "create", "j\u00f6rg@example.org", "--messages", "2")
    text = directory / "text"
    text.write_bytes(b"Subject: x\r\n\r\nx\r\n")
    for _ in range(2):
        cli("deliver", "--from", "a@example.net", "--to", "j\u00f6rg@example.org", text)

    def warned():
        done = cli.run("message", "cat", "j\u00f6rg@example.org", "3")
        return done.returncode == 0 and done.stdout.decode()

    warning = harness.poll(warned, "a warning")
    assert warning.endswith("\r\n\r\nj\u00f6rg@example.org: 2 messages / 2 messages\r\n"), warning
    assert "Post\u00e4mter" in warning and "Content-Transfer-Encoding: 8bit\r\n" in warning
