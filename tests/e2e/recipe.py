"""The configuration files of docker/recipes, as the tests give them to the MTAs."""

import pathlib
import re

RECIPES = pathlib.Path(__file__).parents[2] / "docker/recipes"


def replace(text, old, new):
    assert old in text, f"nothing to replace: {old}"
    return text.replace(old, new)


def read(name, addresses):
    """A recipe with a front end's addresses, by kind, in place of the default ones."""
    text = (RECIPES / name).read_text()
    ports = {default: addresses[kind].rsplit(":", 1)[1]
             for kind, default in (("smtp", "2525"), ("lmtp", "2424"), ("policy", "2452"), ("socketmap", "2453"))}
    # At one go: a port that was put in may begin like one that is to be replaced.
    return re.sub(r"(127\.0\.0\.1:|port = )(2525|2424|2452|2453)\b", lambda m: m[1] + ports[m[2]], text)
