"""The dashboard's pages load nothing from elsewhere, and nothing that is not what it must be."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import dashboard
import vendored_scripts
from vendored_scripts import ScriptError, Source, hash_of, vendor

CONTENT = b"var answer = 42;\n"
LINK = "https://example.org/answer-1.0.min.js"


def write_page(folder, integrity):
    page = folder / "index.html"
    stated = f' integrity="{integrity}"' if integrity else ""
    page.write_text(f'<script src="{LINK}"{stated} crossorigin="anonymous"></script>')
    return page


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """Return a folder with the package of one script, which SOURCES names."""
    folder = tmp_path / "archives"
    folder.mkdir()
    with tarfile.open(folder / "answer-1.0.tgz", "w:gz") as package:
        member = tarfile.TarInfo("package/dist/answer.min.js")
        member.size = len(CONTENT)
        package.addfile(member, io.BytesIO(CONTENT))
    sources = {"answer-1.0.min.js": Source("answer@1.0", "dist/answer.min.js")}
    monkeypatch.setattr(vendored_scripts, "SOURCES", sources)
    return folder


@pytest.mark.parametrize("kind", ["sha256", "sha512"])
def test_a_page_loads_its_scripts_from_beside_it(tmp_path, archives, kind):
    page = write_page(tmp_path, hash_of(CONTENT, kind))
    assert vendor(page, archives) == ["answer@1.0"]
    assert page.read_text() == '<script src="scripts/answer-1.0.min.js"></script>'
    assert (tmp_path / "scripts" / "answer-1.0.min.js").read_bytes() == CONTENT


def test_a_script_that_is_not_what_the_page_states_is_refused(tmp_path, archives):
    page = write_page(tmp_path, hash_of(b"another"))
    with pytest.raises(
        ScriptError, match=r"dist/answer\.min\.js of answer@1\.0 is not what it must"
    ):
        vendor(page, archives)
    assert LINK in page.read_text()


def test_a_script_without_any_hash_is_refused(tmp_path, archives):
    with pytest.raises(ScriptError, match=r"states no hash of https://example\.org"):
        vendor(write_page(tmp_path, None), archives)


def test_an_unknown_script_is_named(tmp_path, archives, monkeypatch):
    monkeypatch.setattr(vendored_scripts, "SOURCES", {})
    with pytest.raises(ScriptError, match="for which SOURCES has no package"):
        vendor(write_page(tmp_path, hash_of(CONTENT)), archives)


def test_without_npm_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ScriptError, match=r"install Node\.js, or copy what `npm pack answer@1\.0`"):
        vendored_scripts.packed("answer@1.0", tmp_path)


def test_every_script_of_the_installed_asv_has_a_source():
    asv = pytest.importorskip("asv")
    page = (Path(asv.__file__).parent / "www" / "index.html").read_text("utf-8")
    links = [
        found["link"].rpartition("/")[2] for found in vendored_scripts.ELSEWHERE.finditer(page)
    ]
    assert set(links) == set(vendored_scripts.SOURCES)


def test_the_front_page_says_what_ran_and_explains_the_steps(tmp_path):
    index = {
        "machines": {"vm": {"machine": "vm", "cpu": "a <CPU>", "num_cpu": "2", "os": "Linux"}},
        "params": {"python": ["3.11"], "cpu": ["a <CPU>"]},
        "revision_to_date": {"10": 1, "9": 0},
        "revision_to_hash": {"10": "b" * 40, "9": "a" * 40},
        "benchmarks": {"a.time_b": {}, "two": {}},
    }
    (tmp_path / "index.json").write_text(json.dumps(index))
    page = tmp_path / "index.html"
    page.write_text('<div id="summarygrid-display" style="top: 55px"></div>')
    step = {"commit": "aaaaaaaa", "text": "1 < 2", "plot": "a.time_b?x-axis=n"}
    dashboard.front_page(tmp_path, [step])
    text = page.read_text()
    assert text.startswith('<div id="summarygrid-display" style="top: 55px"><div')
    assert "a &lt;CPU&gt;" in text
    assert "python 3.11. 2 benchmarks on 2 commits" in text
    assert "from <code>aaaaaaaa</code> to <code>bbbbbbbb</code>" in text
    assert '<a href="#a.time_b?x-axis=n"><code>aaaaaaaa</code></a> 1 &lt; 2' in text


def test_every_benchmark_that_the_front_page_names_is_there():
    from asv_runner.discovery import disc_benchmarks

    template = (Path(dashboard.__file__).parent / "front" / "front_page.html").read_text()
    names = {benchmark.name for benchmark in disc_benchmarks(Path(dashboard.HERE) / "benchmarks")}
    links = [part.partition('"')[0] for part in template.split('href="#')[1:]]
    assert {link.partition("?")[0] for link in links if not link.startswith("/")} <= names


def test_what_has_no_results_is_not_shown(tmp_path):
    (tmp_path / "graphs" / "summary").mkdir(parents=True)
    (tmp_path / "graphs" / "summary" / "a.time_b.json").write_text("[]")
    (tmp_path / "index.json").write_text(json.dumps({"benchmarks": {"a.time_b": 1, "c": 2}}))
    dashboard.drop_unmeasured(tmp_path)
    names = json.loads((tmp_path / "index.json").read_text())["benchmarks"]
    assert names == {"a.time_b": 1}
    items = ['<li><a href="#a.time_b?x=1">b</a></li>', '<li>\n<a href="#/list">all</a></li>']
    assert dashboard.measured_items("".join([*items, '<li><a href="#c">c</a></li>']), names) == (
        "".join(items)
    )


def test_data_are_kept_as_scripts_too(tmp_path):
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "a.json").write_text("[1, 2]\n")
    dashboard.keep_data_as_scripts(tmp_path)
    assert (tmp_path / "graphs" / "a.json.js").read_text() == "asvData = [1, 2];\n"


def test_without_results_the_message_says_where_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dashboard, "RESULTS", tmp_path)
    assert dashboard.main([]) == 1
    assert "measure some with --run, or take back what is" in capsys.readouterr().err


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Return the calls of asv, of which none is carried out, in a repository of two commits."""
    if shutil.which("git") is None:
        pytest.skip("git is not there")
    for words in ("init -q", *("commit -q --allow-empty -m some",) * 2):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words.split()], cwd=tmp_path, check=True)
    monkeypatch.setattr(dashboard, "HERE", tmp_path)
    made = []
    monkeypatch.setattr(dashboard, "asv", lambda *arguments: made.append(arguments))
    return made


@pytest.mark.parametrize(
    ("commits", "reason"),
    [
        ("nonsense..x", "but git has no such commits (fatal: "),
        ("'main", "but git has no such commits (No closing quotation)"),
        ("HEAD..HEAD", "but no commit is in that range"),
        ("", "but git has no such commits (usage: git rev-list "),
    ],
)
def test_commits_that_are_not_there_are_refused_in_one_line(commits, reason, calls, capsys):
    assert dashboard.main(["--run", commits]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Error: --run is {commits!r}, {reason}")
    assert line.endswith(": give NEW, EXISTING, or a range as git has it, such as HEAD^!")
    assert calls == []


@pytest.mark.parametrize(
    "commits", ["NEW", "EXISTING", "HASHFILE:-", "HEAD", "HEAD^!", "HEAD -n 2"]
)
def test_commits_that_are_there_are_measured(commits, tmp_path, monkeypatch, calls):
    monkeypatch.setattr(dashboard, "RESULTS", tmp_path)
    assert dashboard.main(["--run", commits]) == 1  # nothing was measured
    assert calls[-1] == ("run", "--skip-existing-successful", commits)
