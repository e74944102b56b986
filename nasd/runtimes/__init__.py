"""What runs a network on a device: torch's runtimes, ONNX Runtime, ExecuTorch, each behind `base.Runner`.

Importing this package imports none of them. With torch: `torch_runner` (which picks `torch_eager`, `torch_compile` or
`torch_export`), `onnx_export`, `executorch`. Without: `onnx`, `onnx_convert`, `offers`, `inputs`.
"""

from nasd.runtimes.base import Runner
from nasd.runtimes.offers import offers

__all__ = ["Runner", "offers"]
