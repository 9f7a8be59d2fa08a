import subprocess

from prometheus_client import generate_latest

from daemon.metrics import Metrics
from tests.conftest import installed


def test_prometheus_finds_nothing_to_complain_of_in_our_metrics() -> None:
    promtool = installed("promtool", package="prometheus")
    metrics = Metrics()
    metrics.start_at_zero("main")
    served = generate_latest(metrics.registry)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=served, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")
