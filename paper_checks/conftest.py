"""Options, evidence and the table of verdicts of `pytest paper_checks/`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stabilitybench.claims import TIERS, Claims, Judged, judge, kept_tables, read_claims

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
    names = [
        " / ".join(part for part in (claim, c.tier, c.label) if part)
        for claim in metafunc.module.CLAIMS for c in claims[claim].checks if c.tier in wanted
    ]  # fmt: skip
    metafunc.parametrize("check", names, ids=[n.replace(" / ", "-").replace(" ", "_") for n in names])


@pytest.fixture(scope="session")
def options(request):
    return request.config.getoption


@pytest.fixture(scope="session")
def tables(options):
    """The kept tables; with --live, that of the pocket runs made again."""
    found = kept_tables(HERE / "recorded")
    if options("--live"):
        from stabilitybench.claims.record import runs_table
        from stabilitybench.studies import Study

        names = dict.fromkeys(found["pocket"]["study"])
        studies = [Study.from_file(HERE / f"studies/{n}.toml", store=options("--cache")) for n in names]
        for study in studies:
            study.results_folder = Path(options("--cache")) / "results"
            study.run(jobs=options("--jobs"), device=options("--device"))
        found["pocket"] = runs_table(studies)
    if "real" in (options("--tier") or ()):
        from stabilitybench.claims.real import real_study, real_table

        study = real_study(
            options("--encoder"), options("--task"), options("--seeds"), options("--cache"), rows=options("--rows"),
            rate=options("--rate"),
        )  # fmt: skip
        found["real"] = real_table(study, jobs=options("--jobs"), device=options("--device"))
    return found


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
def hold(evidence, kept, options):
    """Hold one check against the record: the verdict, and with --live the interval, too."""

    def assert_held(name: str) -> None:
        now = evidence.judged[name]
        if now.check.tier == "real":  # nothing is on record for an encoder of one's own: the table says what it shows
            assert now.verdict != "absent", now.finding.note
            return
        assert now.as_recorded, f'{name}: now "{now.verdict}", on record "{now.check.verdict}" ({now.finding})'
        if now.verdict == "absent":
            pytest.skip(f"{name}: {now.finding.note}")
        low, high, then = now.finding.low, now.finding.high, kept[name].finding.effect
        if options("--live") and low is not None and high is not None:
            assert low <= then <= high, f"{name}: the effect on record, {then}, lies outside [{low}, {high}]"

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
