"""The /metrics server of one process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server

from nasd.errors import SettingsError

LOCALHOST = "127.0.0.1"


class MetricsServer:
    """Serves one registry on this machine only; a thread of its own until `close`."""

    def __init__(self, registry: CollectorRegistry, *, port: int) -> None:
        """Start serving.

        Args:
            port: 0 takes any free one; `port` says which.

        Raises:
            SettingsError: the port can't be had.
        """
        try:
            self._server, self._thread = start_http_server(port, addr=LOCALHOST, registry=registry)
        except OSError as error:
            raise SettingsError(
                f"NASD_METRICS_PORT = {port}: can't be listened on ({error.strerror}); choose another, or 0 for any"
            ) from error

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2.0)
