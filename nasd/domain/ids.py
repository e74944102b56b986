"""Identifiers, so that a trial's number is never passed where an evaluation's id is meant."""

from typing import NewType

StudyId = NewType("StudyId", int)
TrialId = NewType("TrialId", int)
TrialNumber = NewType("TrialNumber", int)  # 0, 1, 2 ... within its study
EvaluationId = NewType("EvaluationId", int)
WorkerId = NewType("WorkerId", int)
LearnedSeq = NewType("LearnedSeq", int)  # gap-free within its study; 0 = nothing learned yet
DeviceKind = NewType("DeviceKind", str)

LOCAL = DeviceKind("local")  # "this machine"
ANYWHERE = DeviceKind("any")  # of an evaluation that any worker which offers its stage may take
