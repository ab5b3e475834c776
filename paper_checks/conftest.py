"""Options, evidence and the table of verdicts of `pytest paper_checks/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stabilitybench.claims import TIERS, Claims, Judged, judge, kept_tables, read_claims
from stabilitybench.claims.declared import check_name
from stabilitybench.claims.replay import drifted

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
    group.addoption("--live", action="store_true", help="do every run of tier pocket again, not a sample")
    group.addoption(
        "--cache", default=str(HERE.parent / "store" / "paper-checks"), help="finished runs; start again to go on"
    )
    group.addoption("--jobs", type=int, help="worker processes; left out: one for each core")


@dataclass
class Evidence:
    """Everything that was judged in this session; `judged` by the check's name."""

    claims: Claims
    judged: dict[str, Judged] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


KEY = pytest.StashKey[Evidence]()


def pytest_configure(config):
    tiers = config.getoption("--tier") or DEFAULT
    if "real" in tiers and not (config.getoption("--encoder") and config.getoption("--task")):
        raise pytest.UsageError("--tier real: needs --encoder and --task")
    if config.getoption("--seeds") < 3:
        raise pytest.UsageError(f"--seeds {config.getoption('--seeds')}: must be at least 3")
    config.stash[KEY] = Evidence(read_claims(HERE / "claims.toml"))


def pytest_generate_tests(metafunc):
    """Give `check` every check of the claims that the test file names, in the tiers asked for."""
    if "check" not in metafunc.fixturenames:
        return
    wanted = metafunc.config.getoption("--tier") or DEFAULT
    claims = {claim.id: claim for claim in metafunc.config.stash[KEY].claims.claims}
    names = [check_name(claims[it], c) for it in metafunc.module.CLAIMS for c in claims[it].checks if c.tier in wanted]
    metafunc.parametrize("check", names, ids=[n.replace(" / ", "-").replace(" ", "_") for n in names])


@pytest.fixture(scope="session")
def options(request):
    return request.config.getoption


@pytest.fixture(scope="session")
def shown(request):
    """Print past pytest's capture: a function that takes work and a headline, and gives the work a bar to report to."""
    from rich.console import Console

    from stabilitybench.reports.progress import Bar

    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(work, headline, unit="run"):
        with capture.global_and_fixture_disabled():
            print()
            return work(Bar(Console(force_terminal=False), headline, unit=unit))

    return show


@pytest.fixture(scope="session")
def tables(options, shown, request):
    """The kept tables; with --live, that of the pocket runs made again; with --tier real, that of one's own runs."""
    found = kept_tables(HERE / "recorded")
    if options("--live"):
        found["pocket"] = done_again(found["pocket"], options, shown)
    if "real" in (options("--tier") or ()):
        found["real"] = own_runs(compared(request), options, shown)
    return found


def done_again(kept, options, shown):
    from stabilitybench.claims.record import runs_table
    from stabilitybench.studies import Study

    studies = [Study.from_file(HERE / f"studies/{n}.toml", store=options("--cache")) for n in kept["study"].unique()]
    for study in studies:
        study.results_folder = Path(options("--cache")) / "results"
        shown(
            lambda bar, it=study: it.run(jobs=options("--jobs"), device=options("--device"), progress=bar),
            f"Study  {study.file.name}",
        )
    return runs_table(studies)


def own_runs(arms, options, shown):
    from stabilitybench.claims.real import real_study, real_table
    from stabilitybench.reports.progress import headline

    study = real_study(
        options("--encoder"), options("--task"), options("--seeds"), options("--cache"), arms=arms,
        rows=options("--rows"), rate=options("--rate"),
    )  # fmt: skip
    return shown(
        lambda bar: real_table(study, jobs=options("--jobs"), device=options("--device"), progress=bar), headline(study)
    )


def compared(request):
    """Return the arms that the chosen tests of tier real compare: no others need be trained."""
    chosen = {item.callspec.params["check"] for item in request.session.items if "check" in item.fixturenames}
    claims = request.config.stash[KEY].claims.claims
    return {
        arm.removeprefix("real/")
        for claim in claims for check in claim.checks for arm in check.arms
        if check.tier == "real" and check_name(claim, check) in chosen
    }  # fmt: skip


@pytest.fixture(scope="session")
def evidence(request, tables):
    """Every check of the tiers asked for, judged once."""
    config = request.config
    it = config.stash[KEY]
    it.judged = {j.name: j for j in judge(it.claims, tables, config.getoption("--tier") or DEFAULT)}
    if "real" in (config.getoption("--tier") or ()):
        from stabilitybench.claims.real import reach

        it.said += reach(config.getoption("--seeds"))
    return it


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

    from stabilitybench.reports.claims_page import print_verdicts

    text = io.StringIO()
    print_verdicts(list(it.judged.values()), Console(file=text, width=160))
    terminalreporter.section("verdicts")
    terminalreporter.write(text.getvalue())
    for line in it.said:
        terminalreporter.write_line(line)
