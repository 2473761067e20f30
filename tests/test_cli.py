"""The shell: what it prints, what it refuses, and that it is quick to ask."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import tiny_model_folder
from typer.testing import CliRunner, Result

from minillm.cli import cli
from minillm.cli.shell import printable
from minillm.trace import Trace
from minillm.workload.scenes import SCENES

COMMANDS = ("app", "doctor", "generate", "replay", "run", "scenes", "trace", "tune")


def shell(*args: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, [str(arg) for arg in args])


def refused(result: Result) -> str:
    """The one line that says why."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    path = tmp_path_factory.mktemp("cli") / "static.jsonl"
    return path, shell("run", "static", "--scheduler", "orca", "--record", path)


def test_importing_the_shell_loads_nothing_heavy() -> None:
    program = (
        "import sys, minillm.cli\n"
        "heavy = {'torch', 'transformers', 'streamlit', 'altair', 'numpy'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = shell(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: minillm {command}" in result.stdout


def test_the_list_of_commands_is_what_there_is() -> None:
    result = shell("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert command in result.stdout


def test_scenes_are_listed_with_their_question() -> None:
    result = shell("scenes")
    for scene in SCENES.values():
        assert scene.name in result.stdout
        assert scene.question.split()[0] in result.stdout


def test_a_run_prints_figures_and_leaves_a_trace(recording: tuple[Path, Result]) -> None:
    path, result = recording
    assert result.exit_code == 0, result.output
    assert "Static against continuous · orca, paged memory, on pocket" in result.stdout
    assert "12 requests completed, 0 refused or failed" in result.stdout
    assert f"minillm replay {path}" in result.stdout.replace("\n", "")
    trace = Trace.load(path)
    assert trace.header.scheduler == "orca"
    assert trace.header.scene == "static"
    assert trace.header.seed == 0
    assert trace.closing is not None
    assert trace.closing.closing == "complete"
    assert sum(request.completed for request in trace.requests) == 12


def test_settings_given_win_over_the_scenes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    result = shell(
        *("run", "shared-prompt", "--record", path, "--seed", 3, "--num-blocks", 80),
        *("--block-size", 8, "--max-num-seqs", 2, "--max-num-batched-tokens", 64),
    )
    assert result.exit_code == 0, result.output
    header = Trace.load(path).header
    assert (header.num_blocks, header.block_size, header.max_num_seqs) == (80, 8, 2)
    assert (header.max_num_batched_tokens, header.seed) == (64, 3)


def test_requests_that_cannot_fit_are_told_once_with_the_numbers() -> None:
    result = shell("run", "shared-prompt", "--num-blocks", 3)
    assert result.exit_code == 2
    said = " ".join(result.stdout.split())
    assert 1 <= said.count("= 32 slots") < 8
    assert "refused, " in said
    assert "no request could be served" in refused(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "long-promt"), "Did you mean 'long-prompt'?"),
        (("run", "static", "--scheduler", "sarati"), "Did you mean 'sarathi'?"),
        (("run", "static", "--model", "./nowhere"), "no model folder"),
        (("run", "static", "--max-num-seqs", 9999), "above max_num_batched_tokens"),
        (("run", "static", "--record", "/nowhere/at/all.jsonl"), "cannot record"),
        (("run", "static", "--device", "abacus"), "unknown device"),
        (("generate", "Hello", "--scheduler", "vlm"), "Did you mean 'vllm'?"),
        (("generate", "Hello", "--top-p", "0"), "top_p must be in (0, 1]"),
        (("generate", "", "--raw"), "the prompt is empty"),
        (("generate", "word " * 3000), "tokens"),
        (("trace", "nowhere.jsonl"), "nowhere.jsonl"),
        (("replay", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[object, ...], message: str) -> None:
    assert message in refused(shell(*arguments))


@pytest.mark.parametrize("option", ["--num-blocks", "--block-size", "--max-num-seqs"])
def test_zero_is_refused_by_name(option: str) -> None:
    result = shell("run", "static", option, 0)
    assert result.exit_code == 2
    assert option in result.stderr


def test_generate_writes_the_text_and_nothing_else_to_stdout() -> None:
    asked = ("generate", "What is 3 plus 4?", "--max-tokens", 6)
    first, again = shell(*asked), shell(*asked)
    assert first.exit_code == 0, first.output
    assert first.stdout.strip()
    assert first.stdout == again.stdout
    assert "ended by" in first.stderr


def test_raw_and_chat_are_different_prompts() -> None:
    chat = shell("generate", "One day", "--max-tokens", 8)
    raw = shell("generate", "One day", "--max-tokens", 8, "--raw")
    assert chat.exit_code == raw.exit_code == 0
    assert chat.stdout != raw.stdout


def test_a_model_without_tokenizer_is_refused_for_text(tmp_path: Path) -> None:
    folder = tiny_model_folder("llama", tmp_path)
    assert "no tokenizer" in refused(shell("generate", "Hello", "--model", folder))
    assert "no chat template" in refused(shell("run", "static", "--model", folder))


def test_trace_checks_and_measures(recording: tuple[Path, Result]) -> None:
    path, _ = recording
    result = shell("trace", path)
    assert result.exit_code == 0, result.output
    assert "Sound: " in result.stdout
    assert "complete" in result.stdout
    assert "time to first token" in result.stdout
    assert "KV slots: token " in result.stdout


def test_trace_draws_the_memory(recording: tuple[Path, Result], tmp_path: Path) -> None:
    chart = tmp_path / "memory.svg"
    assert "Drawn: " in shell("trace", recording[0], "--chart", chart).stdout
    assert "in use" in chart.read_text()
    assert "not 'memory.gif'" in refused(shell("trace", recording[0], "--chart", "memory.gif"))


def test_a_corrupt_recording_is_refused_with_its_line(
    recording: tuple[Path, Result], tmp_path: Path
) -> None:
    lines = recording[0].read_text().splitlines(keepends=True)
    broken = tmp_path / "broken.jsonl"
    broken.write_text("".join([*lines[:20], lines[20].replace("{", "[", 1), *lines[21:]]))
    for command in ("trace", "replay"):
        assert "line 21" in refused(shell(command, broken))


def test_a_recording_cut_off_by_a_crash_still_plays(
    recording: tuple[Path, Result], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(recording[0].read_bytes()[:-30])
    assert "cut off" in shell("trace", cut).stdout
    assert "cut off" in shell("replay", cut).stderr


def test_replay_tells_every_step(recording: tuple[Path, Result]) -> None:
    path, _ = recording
    result = shell("replay", path)
    assert result.exit_code == 0, result.output
    steps = Trace.load(path).steps
    told = [line for line in result.stdout.splitlines() if line.startswith("step ")]
    assert len(told) == len(steps)
    assert "Twelve requests, four slots" in result.stdout.replace("\n", " ")


def test_replay_shows_one_step(recording: tuple[Path, Result]) -> None:
    path, _ = recording
    trace = Trace.load(path)
    first, last = shell("replay", path, "--step", 0), shell("replay", path, "--step", -1)
    assert first.stdout.startswith("step 0 of")
    assert last.stdout.startswith(f"step {len(trace.steps) - 1} of")
    state = trace.state_at(0)
    assert f"{state.num_used_blocks} held" in first.stdout
    assert f"of {trace.header.num_blocks}" in first.stdout
    beyond = refused(shell("replay", path, "--step", len(trace.steps)))
    assert f"0 to {len(trace.steps) - 1}" in beyond


def test_replay_writes_a_page(recording: tuple[Path, Result], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = shell("replay", recording[0], "--html", page)
    assert result.exit_code == 0, result.output
    assert "<html" in page.read_text(encoding="utf-8")


def test_trace_writes_perfetto(recording: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "perfetto.json"
    assert shell("trace", recording[0], "--perfetto", out).exit_code == 0
    assert out.read_text().startswith(("{", "["))


def test_the_app_is_streamlit_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("streamlit.web.cli.main", started.append)
    assert shell("app", "--no-browser", "--port", 8600).exit_code == 0
    ((run, page, *options),) = started
    assert run == "run"
    assert Path(page).is_file()
    assert {"--server.address=localhost", "--server.port=8600"} <= set(options)
    assert {"--server.headless=true", "--browser.gatherUsageStats=false"} <= set(options)
    assert "--runner.postScriptGC=false" in options


def test_without_its_pages_the_app_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minillm.cli.app.app_page", lambda: None)
    assert "not installed" in refused(shell("app"))


def test_hostile_text_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[2Jb\rc\u202ed\ne\tf") == "a\\x1b[2Jb\\rc\\u202ed\ne\tf"
    assert printable("你好 é") == "你好 é"


def test_tuning_needs_a_gpu_and_known_names() -> None:
    assert "tiles are tuned on CUDA devices" in refused(shell("tune", "--device", "cpu"))
    assert "unknown dtype 'fp8'" in refused(shell("tune", "--device", "cpu", "--dtype", "fp8"))
    assert "unknown model 'lama'" in refused(shell("tune", "--model", "lama"))
