"""Train every member of a front again, from its stored architecture and seed, and compare the values bit for bit.

    python scripts/bench/reproduce.py STUDY.toml

Same machine and one thread, as workers train. Leaves the study's rows alone.
"""

from __future__ import annotations

import sys

import torch
from psycopg.rows import dict_row

from nasd.app.reading import study_reader
from nasd.config import read_settings
from nasd.data import search_split
from nasd.domain.architecture import Architecture
from nasd.store.trials import data_of
from nasd.studyfile import spec_from_json
from nasd.training import train


def main() -> int:
    """0 when all are equal."""
    torch.set_num_threads(1)
    with (
        study_reader(read_settings(), sys.argv[1]) as (connection, row),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        query = "select trial, val_error, val_loss, architecture, seed, fidelity from pareto_front where study = %s"
        members = cursor.execute(query, [row.study]).fetchall()
        stored = cursor.execute("select spec, data from studies where study = %s", [row.study]).fetchone()
    spec, facts = spec_from_json(stored["spec"]), data_of(stored["data"])
    split, different = search_split(spec.data, facts), 0
    for member in members:
        again = train(
            Architecture.of(spec.space.kind, member["architecture"]),
            spec,
            split,
            seed=member["seed"],
            steps=member["fidelity"],
            at_step=lambda _: None,
        )
        values = {measurement.name: measurement.value for measurement in again}
        is_equal = all(values[name] == member[name] for name in ("val_error", "val_loss"))
        different += not is_equal
        print(
            f"trial {member['trial']}: stored {member['val_error']!r} {member['val_loss']!r}, "
            f"again {values['val_error']!r} {values['val_loss']!r}: {'equal' if is_equal else 'DIFFERENT'}"
        )
    print(f"{len(members) - different} of {len(members)} equal")
    return int(different > 0 or not members)


if __name__ == "__main__":
    sys.exit(main())
