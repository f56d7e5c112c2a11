"""The data plane: a process that answers predictions, and goes on without the service.

`python -m himalia_server.gateway --config CONFIG.json --run-dir RUN`: a small parent holds the listener
and the control socket and parents one worker (HTTP, queues) and the replicas (one model each). Everything
it knows comes from its configuration file (`himalia_server.gateway.config`).
"""

from himalia_server.gateway.config import Config, ConfigError, parse_config, read_config

__all__ = ["Config", "ConfigError", "parse_config", "read_config"]
