"""Fresh architectures: every one that is left is found, and a space that is used up is known to be."""

from typing import Any

import numpy as np
import pytest

from nasd.domain.history import History, Proposal
from nasd.errors import SpaceExhausted
from nasd.spaces.parametric import Choice, Declaration, Parameter, ParametricSpace
from nasd.strategies.fresh import unproposed

OPTIONS = Choice((1, 2, 3, 4), ordered=True)


def only_the_first_counts(genes: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name == "p0" else 1 for name, value in genes.items()}


@pytest.mark.parametrize(("n_parameters", "is_exact"), [(2, True), (10, False)])
def test_a_space_is_used_up_whether_its_size_is_exact_or_a_bound(n_parameters: int, is_exact: bool) -> None:
    """4 networks under a million names: drawing on as long as the bound says would hang the study for minutes."""
    parameters = tuple(Parameter(name=f"p{n}", domain=OPTIONS) for n in range(n_parameters))
    space = ParametricSpace(Declaration(kind="toy", parameters=parameters, normalise=only_the_first_counts))
    history, rng = History(()), np.random.default_rng(0)
    for _ in range(4):
        history.add(Proposal(architecture=unproposed(space, history, rng), operator="sample"))

    assert space.counted.is_exact is is_exact
    assert len({architecture.key for architecture in history.architectures}) == 4
    with pytest.raises(SpaceExhausted):
        unproposed(space, history, rng)
