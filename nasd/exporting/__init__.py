"""A trial as a PyTorch module or as a file for elsewhere. Needs torch: for `nasd export` and users' programs alone.

from nasd.exporting import build, load

module = build("kitchen.toml", 17)                 the network, with the weights that its training began with
module = build("kitchen.toml", 17, trained=True)   the trained network: from stored weights, or trained again
module = load("kitchen-17/model.safetensors")      what `nasd export --format safetensors` wrote
"""

from nasd.exporting.building import build, load

__all__ = ["build", "load"]
