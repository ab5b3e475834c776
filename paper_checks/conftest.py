"""Options, evidence and the table of verdicts of `pytest paper_checks/`."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest

from stabilitybench.claims import TIERS, Claims, ClaimVerdict, judge, kept_tables, read_claims
from stabilitybench.claims.findings import CheckResult
from stabilitybench.claims.replay import drifted
from stabilitybench.claims.rules.base import ArmCheck, study_of
from stabilitybench.claims.schema import check_name
from stabilitybench.errors import EnvironmentFailure, UserError

HERE = Path(__file__).resolve().parent
DEFAULT = tuple(tier for tier in TIERS if tier != "real")


def pytest_addoption(parser):
    group = parser.getgroup("paper checks")
    group.addoption("--tier", action="append", choices=TIERS, help="only these tiers; left out: all but real")
    group.addoption("--encoder", help="tier real: a hub id, a folder, or pocket/...")
    group.addoption("--task", help="tier real: a task such as glue/rte or file:DIR")
    group.addoption("--device", default="auto", help="of every training: auto, cpu, cuda or cuda:K")
    group.addoption("--seeds", type=int, default=20, help="tier real: runs per arm")
    group.addoption("--rows", type=int, help="tier real: training rows drawn from the task; left out: all")
    group.addoption("--rate", type=float, help="tier real: peak learning rate; left out: the encoder's own, or 2e-5")
    group.addoption(
        "--live", action="store_true", help="do the runs again that the chosen checks of tier pocket compare"
    )
    group.addoption(
        "--cache", default=str(HERE.parent / "store" / "paper-checks"), help="finished runs; start again to go on"
    )
    group.addoption("--jobs", type=int, help="worker processes; left out: one for each core")


@dataclass
class Evidence:
    """Everything that was judged in this session; `judged` by the check's name."""

    claims: Claims
    judged: dict[str, ClaimVerdict] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


KEY = pytest.StashKey[Evidence]()


def pytest_configure(config):
    given = config.getoption
    real = "real" in (given("--tier") or DEFAULT)
    if real and not (given("--encoder") and given("--task")):
        raise pytest.UsageError("--tier real: needs --encoder and --task")
    for option in ("--encoder", "--task", "--rows", "--rate"):
        if given(option) is not None and not real:
            raise pytest.UsageError(f"{option}: belongs to --tier real")
    for option, least in (("--seeds", 3), ("--rows", 3), ("--jobs", 1)):
        if given(option) is not None and given(option) < least:
            raise pytest.UsageError(f"{option} {given(option)}: must be at least {least}")
    if given("--rate") is not None and not 0 < given("--rate") < math.inf:
        raise pytest.UsageError(f"--rate {given('--rate')}: must be a number above 0")
    if Path(given("--cache")).exists() and not Path(given("--cache")).is_dir():
        raise pytest.UsageError(f"--cache {given('--cache')}: is a file; must be a folder, or a name for a new one")
    try:
        config.stash[KEY] = Evidence(read_claims(HERE / "claims.toml"))
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc):
    """Give `check` every check of every claim, in the tiers asked for."""
    if "check" not in metafunc.fixturenames:
        return
    wanted = metafunc.config.getoption("--tier") or DEFAULT
    claims = metafunc.config.stash[KEY].claims.claims
    names = [check_name(claim, c) for claim in claims for c in claim.checks if c.tier in wanted]
    metafunc.parametrize("check", names, ids=[n.replace(" / ", "-").replace(" ", "_") for n in names])


@contextmanager
def one_sentence():
    """End the session with one sentence, where evidence or input is at fault: every check needs the same tables."""
    try:
        yield
    except (UserError, EnvironmentFailure) as error:
        pytest.exit(f"error: {error}", returncode=2)


@pytest.fixture(scope="session")
def options(request):
    return request.config.getoption


@pytest.fixture(scope="session")
def shown(request):
    """Print past pytest's capture: a function that takes work and a headline, and gives the work a bar to report to."""
    from rich.console import Console

    from stabilitybench.cli.views.progress import Bar

    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(work, headline):
        with capture.global_and_fixture_disabled():
            print()
            return work(Bar(Console(force_terminal=False), headline))

    return show


@pytest.fixture(scope="session")
def tables(options, shown, request):
    """The kept tables; with --live, that of the pocket runs made again; with --tier real, that of one's own runs."""
    with one_sentence():
        found = kept_tables(HERE / "recorded")
        if options("--live"):
            studies = {study_of(arm) for arm in compared(request, "pocket")}
            found["pocket"] = done_again(found["pocket"], studies, options, shown)
        if "real" in (options("--tier") or ()):
            arms = {arm.removeprefix("real/") for arm in compared(request, "real")}
            found["real"] = own_runs(arms, options, shown)
    return found


def done_again(kept, names, options, shown):
    """Return the pocket table with the runs of some studies made again."""
    from stabilitybench.claims.evidence_tables import runs_table
    from stabilitybench.studies import Study

    again = [n for n in kept["study"].unique() if n in names]
    studies = [Study.from_file(HERE / f"studies/{n}.toml", store=options("--cache")) for n in again]
    for study in studies:
        study.results_folder = Path(options("--cache")) / "results"
        shown(
            lambda bar, it=study: it.run(jobs=options("--jobs"), device=options("--device"), progress=bar),
            f"Study  {study.file.name}",
        )
    return pd.concat([kept[~kept["study"].isin(again)], *([runs_table(studies)] if studies else [])])


def own_runs(arms, options, shown):
    from stabilitybench.claims.real_tier import real_study, real_table

    study = real_study(
        options("--encoder"), options("--task"), options("--seeds"), options("--cache"), arms=arms,
        rows=options("--rows"), rate=options("--rate"),
    )  # fmt: skip
    return shown(
        lambda bar: real_table(study, jobs=options("--jobs"), device=options("--device"), progress=bar), study.headline
    )


def compared(request, tier):
    """Return the arms that the chosen tests of a tier compare: no others need be trained."""
    wanted = chosen(request)
    claims = request.config.stash[KEY].claims.claims
    return {
        arm for claim in claims for check in claim.checks
        if isinstance(check, ArmCheck) and check.tier == tier and check_name(claim, check) in wanted
        for arm in check.arms
    }  # fmt: skip


def chosen(request):
    """Return the names of the checks that this session tests."""
    return {item.callspec.params["check"] for item in request.session.items if "check" in item.fixturenames}


@pytest.fixture(scope="session")
def evidence(request, tables):
    """Every check of the tiers asked for, judged once."""
    config = request.config
    it = config.stash[KEY]
    with one_sentence():
        it.judged = {j.name: j for j in judge(it.claims, tables, config.getoption("--tier") or DEFAULT)}
    if "real" in (config.getoption("--tier") or ()):
        from stabilitybench.claims.real_tier import reach, refused

        reasons = refused(config.getoption("--encoder"), config.getoption("--task"))
        it.judged = {
            name: unfit(j, reasons) for name, j in it.judged.items()
            if j.check.tier != "real" or name in chosen(request)
        }  # fmt: skip
        it.said += reach(config.getoption("--seeds"))
    return it


def unfit(judged, reasons):
    """Return a check of one's own runs as not applicable where one of its arms cannot work on encoder and task."""
    why = [reasons[arm] for arm in (a.removeprefix("real/") for a in judged.check.arms) if arm in reasons]
    if judged.check.tier != "real" or not why:
        return judged
    return replace(
        judged, finding=CheckResult("0", note=why[0], decided="not applicable"), adjusted=None, verdict="not applicable"
    )


@pytest.fixture(scope="session")
def kept(evidence, options):
    """The verdicts of the kept tables; other than `evidence` only where runs were made again."""
    if not options("--live"):
        return evidence.judged
    wanted = options("--tier") or DEFAULT
    found = judge(evidence.claims, kept_tables(HERE / "recorded"), [t for t in wanted if t != "real"])
    return {j.name: j for j in found}


@pytest.fixture
def hold(evidence, kept):
    """Hold one check against the record: the verdict of the kept runs; what runs made again show must agree with it."""

    def assert_held(name: str) -> None:
        now = evidence.judged[name]
        if now.check.tier == "real":  # nothing is on record for an encoder of one's own: the table says what it shows
            assert now.verdict != "absent", now.finding.note
            return
        then = kept[name]
        assert then.as_recorded, f'{name}: now "{then.verdict}", on record "{then.check.verdict}" ({then.finding})'
        if then.verdict == "absent":
            pytest.skip(f"{name}: {then.finding.note}")
        assert not drifted(now, then), f"{name}: {drifted(now, then)}"

    return assert_held


def pytest_terminal_summary(terminalreporter, config):
    it = config.stash[KEY]
    if not it.judged:
        return
    import io

    from rich.console import Console

    from stabilitybench.claims.page import print_verdicts

    text = io.StringIO()
    print_verdicts(list(it.judged.values()), Console(file=text, width=160))
    terminalreporter.section("verdicts")
    terminalreporter.write(text.getvalue())
    for line in it.said:
        terminalreporter.write_line(line)
