"""The study file: TOML to `StudySpec` and back to plain JSON, with one clear sentence for each mistake.

Knows nothing of spaces, data sets, strategies or torch; `located` lets a floor above speak of a key's line.
"""

from nasd.studyfile.compare import allowed_change, changes, refuse_changes, space_fingerprint
from nasd.studyfile.convert import spec_from_json, spec_to_json
from nasd.studyfile.kinds import with_found, with_joined, with_kind
from nasd.studyfile.read import load, located

__all__ = [
    "allowed_change",
    "changes",
    "load",
    "located",
    "refuse_changes",
    "space_fingerprint",
    "spec_from_json",
    "spec_to_json",
    "with_found",
    "with_joined",
    "with_kind",
]
