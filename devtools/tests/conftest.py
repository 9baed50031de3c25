import pytest

from devtools import databases, workspace

from . import workers


@pytest.fixture(scope="session")
def space():
    return workspace.prepare()


@pytest.fixture(scope="session")
def with_contracts(space):
    """A database with contracts and two runs, which nobody changes."""
    with databases.temporary_clone(space, "scratch_contracts") as name:
        space.script(name, workers.MAKE, problem="The contracts were not made")
        yield name


@pytest.fixture
def database(with_contracts):
    """Contracts and two runs, in a database of the test's own."""
    with databases.temporary_copy(with_contracts, "scratch") as name:
        yield name


# Addons for one test, which installs them in a database of its own.
collect_ignore = ["addons"]
