"""A request costs as many instructions as it did: what the committed figures say, of the same versions."""

import pytest

from loadtests.benchmark.instructions import COMMITTED, TOLERANCE, committed, count, difference, table_of, versions
from tools.parts import program_of_debian


@pytest.mark.timeout(1800)  # valgrind on a machine that others use
def test_a_request_costs_what_is_committed() -> None:
    program_of_debian("valgrind", "valgrind")
    known = committed()
    if known["versions"] != versions():
        here = set(versions().items()) - set(known["versions"].items())
        pytest.skip(f"{COMMITTED.name} is of other versions than {sorted(here)}; --record writes these")
    found = count()
    moved = {name: f"{share:+.1%}" for name, share in difference(found, known["instructions"]).items()
             if abs(share) > TOLERANCE}  # fmt: skip
    assert not moved, f"{moved}; if it is meant: python -m loadtests.benchmark.instructions --record"


def test_figures_stand_beside_those_of_the_bare_app() -> None:
    known = committed()["instructions"]
    assert difference(known, known) == dict.fromkeys(known, 0.0)
    assert table_of(known, {}).row_count == len(known)
