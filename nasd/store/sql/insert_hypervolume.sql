-- The front's hypervolume and size after a fact; the last word of a fact counts.
insert into nasd_core.hypervolume (study_id, device_kind, seq, value, size)
select distinct on (c.device_kind, c.seq) %(study)s, c.device_kind, c.seq, c.value, c.size
from jsonb_to_recordset(%(front)s) with ordinality as c (device_kind text, seq bigint, value double precision, size integer, nth bigint)
order by c.device_kind, c.seq, c.nth desc
on conflict (study_id, device_kind, seq) do update set value = excluded.value, size = excluded.size
