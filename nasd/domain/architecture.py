"""Architecture: an immutable, hashable, canonical value that crosses every wire as canonical JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

Gene = Union[int, float, str, bool, None, tuple["Gene", ...]]  # noqa: UP007 - a recursive alias needs the string form
Genes = Mapping[str, Gene]


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
_PLAIN = (bool, int, float, str, type(None))  # a union in isinstance() would be built anew at every call


def canonical_json(value: object) -> str:
    """Sorted keys, no blanks, ASCII, no NaN: equal values give equal text on every machine."""
    return _ENCODER.encode(value)


def _frozen(value: object) -> Gene:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return tuple([_frozen(item) for item in value])
    raise TypeError(f"a gene is a number, a text, a truth value, nothing or a list of them, not {type(value).__name__}")


@dataclass(frozen=True, slots=True, eq=False)
class Architecture:
    """One member of a search space, in canonical form: only genes that exist, in the space's own order.

    Build it with `Architecture.of`; two architectures that mean the same network must have the same genes, which is
    the search space's duty (`SearchSpace.canonical`).
    """

    space: str
    genes: tuple[tuple[str, Gene], ...]
    json: str = field(repr=False)
    key: str = field(repr=False)

    @classmethod
    def of(cls, space: str, genes: Genes) -> Architecture:
        """Freeze `genes` (lists become tuples)."""
        items = tuple(sorted([(name, _frozen(value)) for name, value in genes.items()]))
        text = canonical_json({"space": space, "genes": dict(items)})
        return cls(space=space, genes=items, json=text, key=hashlib.sha256(text.encode()).hexdigest()[:32])

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what `json` holds; the inverse of it."""
        return cls.from_value(json.loads(text))

    @classmethod
    def from_value(cls, value: Mapping[str, object]) -> Architecture:
        """The same from parsed JSON, as a JSONB column hands it over."""
        genes = value["genes"]
        if not isinstance(genes, Mapping):
            raise TypeError(f"genes must be an object, not {type(genes).__name__}")
        return cls.of(str(value["space"]), genes)

    def __getitem__(self, name: str) -> Gene:
        for gene, value in self.genes:
            if gene == name:
                return value
        raise KeyError(name)

    def as_dict(self) -> dict[str, Gene]:
        """Genes by name."""
        return dict(self.genes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
