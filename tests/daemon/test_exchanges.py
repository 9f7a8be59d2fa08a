import json
import subprocess
import sys

from daemon.exchanges import KNOWN
from daemon.metrics import label_of


def test_the_list_of_exchanges_is_that_of_the_installed_ccxt() -> None:
    program = "import json, ccxt; print(json.dumps(ccxt.exchanges))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert set(json.loads(said.stdout)) == KNOWN


def test_an_exchange_that_ccxt_does_not_know_is_counted_as_other() -> None:
    assert label_of("kraken") == "kraken"
    assert {label_of(name) for name in ("mtgox", "", 'x"} 1\n', "KRAKEN")} == {"other"}
