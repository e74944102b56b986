"""What a device observes: latency, memory and energy with their conditions. No training, no data.

Modules without torch: `measuring` (latency of any runner), `windows`, `sentinel`, `sustained`, `energy` and `meters`,
`thermal`, `machine`, `process_memory`. With it: `measure` (an eager module built on the spot), `memory`, `workloads`.
"""
