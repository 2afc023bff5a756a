"""How fast the command line starts: `des-admin --help` against importing typer and rich."""

import argparse
import subprocess
import sys
from functools import partial

from harness import (
    Claim,
    Contest,
    describe_machine,
    print_claims,
    print_table,
)
from postgres_archive import PROGRAMS

PEER = 'python -c "import typer, rich"'
COMMANDS = {
    PEER: ["-c", "import typer, rich"],
    "des-admin --help": ["-m", "des_admin", "--help"],
    "des-admin --version": ["-m", "des_admin", "--version"],
    "des-admin run --help": ["-m", "des_admin", "run", "--help"],
    "des-retriever --help": ["-m", "des_admin.retriever_cli", "--help"],
    "python -m watermark_orchestrator --help": ["-m", "watermark_orchestrator", "--help"],
}


def start(arguments: list[str]) -> None:
    command = [sys.executable, *arguments]
    subprocess.run(command, env=PROGRAMS, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print the times and the claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    print(f"## Starting\n\n{describe_machine()}; medians of {options.rounds}, warm cache.")
    contest = Contest(options.rounds)
    contest.run({name: partial(start, arguments) for name, arguments in COMMANDS.items()})
    print_table(
        "from the start of the process to its end",
        ["", "median", "processor", "of importing typer and rich"],
        [
            [
                name,
                f"{contest.median(name) * 1000:.0f} ms",
                f"{contest.processor(name) * 1000:.0f} ms",
                f"{contest.ratio(name, PEER):.2f} ×",
            ]
            for name in COMMANDS
        ],
    )
    name = "des-admin --help"
    print_claims([Claim(f"{name} takes", contest.ratio(name, PEER), 2.0)])


if __name__ == "__main__":
    main()
