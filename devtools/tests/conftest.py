import pytest

from devtools import databases, workspace

from . import workers


@pytest.fixture(scope="module")
def space():
    return workspace.prepare()


@pytest.fixture
def database(space):
    with databases.temporary_clone(space, "scratch") as name:
        space.script(name, workers.MAKE, problem="The contracts were not made")
        yield name
