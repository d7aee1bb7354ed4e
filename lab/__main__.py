"""`python -m lab`: the lab's hosts from the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lab import requirements
from lab.lab import Lab, all_labs
from toolchain import builds
from toolchain.errors import OperatorError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--name", default="lab", help="which lab (default: lab)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="bring hosts and Kubernetes up, or repair them")
    up.add_argument(
        "--configure", action="store_true", help="run the playbook even if unchanged"
    )
    verbs.add_parser("down", help="stop everything that runs; keep the disks")
    wipe = verbs.add_parser("wipe", help="down, and delete the disks")
    wipe.add_argument("--all", action="store_true", help="every lab of this user")
    verbs.add_parser("status", help="hosts, nodes and ports")
    verbs.add_parser("install", help="install the Debian packages that are missing")
    execute = verbs.add_parser("exec", help="run a command in a host")
    execute.add_argument("host")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    play = verbs.add_parser("playbook", help="run a playbook on the hosts")
    play.add_argument("path", type=Path)
    play.add_argument("words", nargs=argparse.REMAINDER, metavar="arguments")
    return parser


def _report(phase: str, seconds: float) -> None:
    print(f"{phase:20} {seconds:6.1f} s", flush=True)


def _run(options: argparse.Namespace) -> int:
    lab = Lab(options.name)
    match options.verb:
        case "up":
            changes = lab.up(
                configure=options.configure,
                report=_report,
                building=builds.print_progress,
            )
            print(changes or "no change")
        case "down":
            lab.down()
        case "wipe":
            for each in all_labs() if options.all else [lab]:
                each.wipe()
        case "status":
            print("\n".join(lab.status()))
        case "install":
            requirements.install(requirements.missing())
        case "exec":
            command = lab.host(options.host).command(options.words or ["bash", "-l"])
            os.execvp(command[0], command)  # noqa: S606
        case "playbook":
            path = options.path.resolve()
            result = lab.run_playbook(path, *options.words, each_line=print)
            return result.status
    return 0


def main(arguments: list[str]) -> int:
    try:
        return _run(_parser().parse_args(arguments))
    except OperatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
