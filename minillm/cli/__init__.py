"""`minillm …`: the engine, its scenes and its recordings from the shell.

Importing this loads neither torch nor transformers nor streamlit: `minillm --help` is quick, and
each command loads what it needs.
"""

from __future__ import annotations

import typer

from minillm.cli import app as app_command
from minillm.cli import doctor, generate, replay, roofline, run, scenes, simulate, tune, xray
from minillm.cli.bench import bench
from minillm.cli.groups import Several
from minillm.cli.lessons import lessons
from minillm.cli.shell import Shell
from minillm.cli.trace import trace

cli = typer.Typer(
    cls=Shell,
    name="minillm",
    help="See LLM serving happen.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("app")(app_command.app)
cli.add_typer(lessons, name="lessons")
cli.command("scenes")(scenes.scenes)
cli.command("run")(run.run)
cli.command("simulate", cls=Several)(simulate.simulate)
cli.add_typer(bench, name="bench")
cli.command("roofline")(roofline.roofline)
cli.command("xray", cls=Several)(xray.xray)
cli.command("replay")(replay.replay)
cli.add_typer(trace, name="trace")
cli.command("generate")(generate.generate)
cli.command("tune", cls=Several)(tune.tune)
cli.command("doctor")(doctor.doctor)


def main() -> None:
    """The `minillm` command."""
    cli()
