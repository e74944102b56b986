"""Every error this project raises on purpose, as one tree.

NasdError
├── UserError              the user can mend it: one sentence, exit code 2
│   ├── StudyFileError     ... in the study file; knows file, line, key
│   ├── SettingsError      ... in an environment variable or option
│   ├── NotBuiltYet        ... a feature named in the design that this version lacks
│   ├── FunctionError      ... in a function of their own that a study file names
│   └── Unavailable        ... a service, home or database that can't be used as it is
├── LeaseLost              another attempt owns the evaluation: drop the result
├── Deposed                another controller leads: stop acting
├── SpaceExhausted         a strategy has proposed every architecture of the space
├── CandidateFault         the architecture can't be evaluated: INFEASIBLE, never retried
└── WorldFault             the machine or the network failed: a new attempt
    ├── ArtifactMissing    ... the artifact store has no such file
    ├── ArtifactCorrupt    ... what came is not what its hash says
    ├── ArtifactsAway      ... the artifact store can't be reached: worth trying again at once
    └── ArtifactsFull      ... its quota is used up

A class exists because somebody handles it differently. Messages name the thing, the value and the remedy.
"""


class NasdError(Exception):
    """Base of everything below; never raised itself."""


class UserError(NasdError):
    """A mistake the user can mend; the command line prints it as one sentence and exits with 2."""


class StudyFileError(UserError):
    """A study file that can't be used: `study.toml:14: key = value: what is wrong. Remedy.`"""

    def __init__(self, message: str, *, file: str, line: int | None = None, key: str | None = None) -> None:
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {message}")
        self.file, self.line, self.key = file, line, key


class SettingsError(UserError):
    """A setting (environment variable, option) that can't be used."""


class NotBuiltYet(UserError):
    """Named in the design, not built in this version."""


class FunctionError(UserError):
    """A function of the user's own that can't be had here.

    Attributes:
        reason: `function_missing` (no such module or name, or not a function), `not_allowed` (its package), or
            `import_error` (its module raised while it was imported).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(UserError):
    """A database, Redis, home folder or disk that can't be used as it stands."""


class LeaseLost(NasdError):
    """Another attempt owns the evaluation now; the result was kept as superseded and must be dropped."""

    def __init__(self, evaluation_id: int, attempt: int) -> None:
        super().__init__(f"evaluation {evaluation_id}: attempt {attempt} no longer holds the lease; result dropped")
        self.evaluation_id, self.attempt = evaluation_id, attempt


class Deposed(NasdError):
    """The leader row no longer carries this controller's epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"controller of epoch {epoch} was deposed; another one leads")
        self.epoch = epoch


class SpaceExhausted(NasdError):
    """No architecture is left that the study has not proposed."""


class CandidateFault(NasdError):
    """The architecture's own fault: diverged, does not fit, unsupported, over a hard limit.

    Attributes:
        kind: closed word for the reason column (`diverged`, `out_of_memory`, `unsupported`, `over_limit`, ...).
        violation: by how much, > 0 and comparable among the trials of a study; None where it has no size.
    """

    def __init__(self, kind: str, message: str, *, violation: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.violation = kind, violation


class WorldFault(NasdError):
    """The world's fault (device lost, data unreadable, child killed from outside): deserves a new attempt."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ArtifactMissing(WorldFault):
    """The artifact store has no file of that hash."""

    def __init__(self, sha256: str, where: str) -> None:
        super().__init__(
            "artifact_missing",
            f"artifact {sha256[:12]} is not in {where}: it was evicted, or its worker has another NASD_ARTIFACTS_URL",
        )
        self.sha256 = sha256


class ArtifactCorrupt(WorldFault):
    """A file whose content is not what its hash says; it was not used."""

    def __init__(self, sha256: str, where: str, why: str) -> None:
        super().__init__("artifact_corrupt", f"artifact {sha256[:12]} of {where} is damaged: {why}")
        self.sha256 = sha256


class ArtifactsAway(WorldFault):
    """The artifact store can't be reached, or does not let this process in."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__("artifacts_away", f"the artifact store {where} can't be used: {why}")


class ArtifactsFull(WorldFault):
    """No room is left for an artifact."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__("artifacts_full", f"the artifact store {where} is full: {why}")
