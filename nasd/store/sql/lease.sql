-- The next evaluation for this worker. Empty: nothing is left for it.
select evaluation_id, token::text, attempt, study_id, study_name, trial_number, stage, device_kind, replicate, seed, fidelity,
       architecture, artifacts
from nasd_api.lease_v2(%(worker)s, %(duration)s, 1)
