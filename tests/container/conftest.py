"""The images, for all tests of one run."""

import pytest

import containers


@pytest.fixture(scope="session")
def images():
    """{stage of the Dockerfile: tag}."""
    with containers.own_storage():
        containers.make_base()
        tags = {target: containers.build(target) for target in ("build", "store", "store-rados", "smtp", "certificates")}
        containers.forget_old_images()
        yield tags
