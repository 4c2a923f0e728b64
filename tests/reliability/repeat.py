"""The same config and seed in fresh processes, on this machine: the same numbers, bit by bit.

python tests/reliability/repeat.py [--count 10]
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reliability.table import Found, print_table, timed

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, json, sys, jax
from mixvae.example_runs import STAGES, tiny_config, tiny_dataset
from mixvae.runs import fit
jax.config.update("jax_disable_most_optimizations", sys.argv[1] == "quick")
*_, last = fit(tiny_config(**STAGES), tiny_dataset())
digest = hashlib.sha256(json.dumps(last.history).encode())
for leaf in jax.tree.leaves(last.state):
    digest.update(jax.numpy.asarray(leaf).tobytes())
print(digest.hexdigest())
"""


def repeat(count: int, optimised: bool = True) -> Found:
    """`count` fresh processes; RuntimeError where two end with other numbers."""
    command = [sys.executable, "-c", PROGRAM, "whole" if optimised else "quick"]
    found = {subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(count)}
    if len(found) != 1 or len(found.pop().strip()) != 2 * hashlib.sha256().digest_size:
        raise RuntimeError(f"{count} processes ended with {len(found) + 1} different results")
    return {"tried": "one config and seed, in fresh processes", "count": count, "found": "1 result, bit by bit"}


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=10, help="processes")
    print_table([timed(repeat, options.parse_args().count)])


if __name__ == "__main__":
    main()
