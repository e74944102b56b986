-- The front's hypervolume and size after a fact; the last word of a fact counts.
insert into nasd_core.hypervolume (study_id, device_kind, seq, value, size)
values (%(study)s, %(device_kind)s, %(seq)s, %(value)s, %(size)s)
on conflict (study_id, device_kind, seq) do update set value = excluded.value, size = excluded.size
