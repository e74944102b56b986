"""A study file with everything that is known of it before a search: its data set's facts and its space."""

from dataclasses import dataclass
from pathlib import Path

from nasd.domain.data import DataFacts
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec
from nasd.errors import NotBuiltYet, StudyFileError, Unavailable, UserError
from nasd.studyfile import load, located


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `nasd plan` and `nasd run` begin with."""

    spec: StudySpec
    facts: DataFacts
    space: SearchSpace


def prepare(path: Path) -> Prepared:
    """Read a study file, describe its data and build its space.

    Raises:
        UserError: one sentence; what the file says wrongly has its line before it.
    """
    import nasd.data
    import nasd.spaces

    spec = load(path)
    facts = nasd.data.describe(spec.data)
    try:
        space = nasd.spaces.build(spec.space, input_shape=facts.input_shape, n_outputs=facts.n_classes)
    except (NotBuiltYet, Unavailable, StudyFileError):
        raise
    except UserError as error:
        raise located(path, str(error)) from error
    return Prepared(spec=spec, facts=facts, space=space)
