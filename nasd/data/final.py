"""The test split, read once for the final front's members. Nothing that trains, measures or searches imports this."""

from nasd.data.partition import Inputs, Targets, load, sha256
from nasd.domain.data import DataFacts
from nasd.domain.study import DataSpec
from nasd.errors import WorldFault


def test_split(spec: DataSpec, facts: DataFacts) -> tuple[Inputs, Targets]:
    """(n, *input_shape) inputs and (n,) class numbers that no search has seen; read-only.

    Raises:
        UserError: no data set has that name.
        WorldFault: `data_mismatch`, this machine's data is not what `facts` recorded.
    """
    parts = load(spec)
    found = sha256(parts.test_x, parts.test_y)
    if facts.sha256.get("test") != found:
        raise WorldFault("data_mismatch", f"{spec.use}: the test split is not the one that the study recorded")
    return parts.test_x, parts.test_y


test_split.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name
