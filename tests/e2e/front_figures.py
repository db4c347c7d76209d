"""What a front end tells of its stores, each of which has an `address`."""

import harness


def metric(front, name, store):
    line = f'restante_smtp_store_{name}{{store="{store.address}"}} '
    metrics = harness.fetch(front.program.addresses["ops"], "/metrics")
    return float(next(each for each in metrics.splitlines() if each.startswith(line)).removeprefix(line))


def await_up(front, store, up=True):
    harness.poll(lambda: metric(front, "up", store) == float(up), f"{store.address} to be {'up' if up else 'down'}")
