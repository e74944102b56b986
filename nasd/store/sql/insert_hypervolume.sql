-- The front's hypervolume and size after a fact.
insert into nasd_core.hypervolume (study_id, device_kind, seq, value, size)
select %(study)s, c.device_kind, c.seq, c.value, c.size
from jsonb_to_recordset(%(front)s) as c (device_kind text, seq bigint, value double precision, size integer)
on conflict (study_id, device_kind, seq) do update set value = excluded.value, size = excluded.size
