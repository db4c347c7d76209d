"""The configuration files of docker/recipes, as the tests give them to the MTAs."""

import pathlib

RECIPES = pathlib.Path(__file__).parents[2] / "docker/recipes"


def replace(text, old, new):
    assert old in text, f"nothing to replace: {old}"
    return text.replace(old, new)


def read(name, addresses):
    """A recipe with a front end's addresses, by kind, in place of the default ones."""
    text = (RECIPES / name).read_text()
    for kind, default in (("smtp", 2525), ("lmtp", 2424), ("policy", 2452), ("socketmap", 2453)):
        port = addresses[kind].rsplit(":", 1)[1]
        for form in ("127.0.0.1:{}", "port = {}"):
            text = text.replace(form.format(default), form.format(port))
    return text
