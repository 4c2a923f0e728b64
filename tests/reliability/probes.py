"""One process that runs many short programs, where the product starts a process for each."""

import contextlib
import pickle
import subprocess
import sys

MANY = """
import io, pickle, sys, traceback
requests, answers = sys.stdin.buffer, sys.stdout.buffer
while True:
    program, *arguments = pickle.load(requests)
    sys.argv, sys.stdout, sys.stderr, code = ["-c", *arguments], io.TextIOWrapper(io.BytesIO()), io.StringIO(), 0
    try:
        exec(program, {})
    except BaseException:
        code = traceback.print_exc() or 1
    pickle.dump((code, sys.stdout.buffer.getvalue(), sys.stderr.getvalue().encode()), answers)
    answers.flush()
"""


class Probes:
    """Stands in for `subprocess.run` of `python -c PROGRAM ARGUMENTS`; where its process dies, it starts another."""

    def __init__(self):
        self.process: subprocess.Popen | None = None

    def run(self, command: list[str], capture_output: bool) -> subprocess.CompletedProcess:
        """How PROGRAM ended, and what it wrote."""
        assert command[:2] == [sys.executable, "-c"] and capture_output
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen([*command[:2], MANY], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        try:
            pickle.dump(command[2:], self.process.stdin)
            self.process.stdin.flush()
            return subprocess.CompletedProcess(command, *pickle.load(self.process.stdout))
        except (EOFError, BrokenPipeError):
            return subprocess.CompletedProcess(command, self.close(), b"", b"")

    def close(self) -> int | None:
        """End the process where it still lives; its exit code."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.communicate()
        return process.returncode
