"""The analyzer plugin: a program that Pulumi's engine starts for a policy pack.

    pulumi up --policy-pack /path/to/pulumi-analyzer-policy-slipway

The engine passes its own address. The program prints the port of its gRPC server, as
every plugin does (pkg/resource/plugin/analyzer_plugin.go of v3.259.0).
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import analyzer_pb2_grpc

from components.security import rules
from slipway.policy.evaluation import Evaluator
from slipway.policy_pack.analyzer import Analyzer
from toolchain.errors import OperatorError


def main() -> None:
    """Entry of `pulumi-analyzer-policy-slipway`."""
    try:
        analyzer = Analyzer(Evaluator(rules.load()))
    except OperatorError as error:
        sys.exit(str(error))
    # One call at a time: the engine sends resources in parallel.
    workers = ThreadPoolExecutor(max_workers=1)
    server = grpc.server(workers, options=_GRPC_CHANNEL_OPTIONS)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(analyzer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # A shell ignores it for what runs in its background, and so would this program.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(port, flush=True)
    with suppress(KeyboardInterrupt):  # how the engine ends its plugins
        server.wait_for_termination()


if __name__ == "__main__":
    main()
