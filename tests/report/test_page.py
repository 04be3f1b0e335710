"""The report in a real browser: drawn, sorted, played, read with a keyboard, on a phone and in the dark."""

import csv
import re
import zipfile

import pytest

from browser import Watched
from serflow.report.page import render_report
from serflow.storage import read_json, write_json

HARM = "<img src=x onerror=document.title='pwned'>{{ 7 * 191 }}$x$</script><script>document.title='pwned'</script>"
DRAW_ALL = """async () => {
    for (const details of document.querySelectorAll("main details")) details.open = true;
    await Promise.all([...document.querySelectorAll(".plot:not(.drawn)")].map(draw));
    while (document.querySelector(".plot[aria-busy]")) await new Promise((go) => setTimeout(go, 20));
}"""


DRAW_SEEN = """async () => {
    const fold = document.querySelector("details.run[open] details.fold");
    for (const details of fold.parentElement.querySelectorAll("details:not(.fold)")) details.open = true;
    fold.open = true;
    const seen = [...document.querySelectorAll(".plot:not(.drawn)")].filter((plot) => plot.checkVisibility());
    await Promise.all(seen.map(draw));
    while (document.querySelector(".plot.drawn[aria-busy]")) await new Promise((go) => setTimeout(go, 20));
}"""

# Charts that come near the view push what is below them; who clicks meanwhile hits something else.
SHOW = """async (selector) => {
    document.querySelector(selector).scrollIntoView({ block: "center", behavior: "instant" });
    const frame = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
    for (let calm = 0; calm < 5; calm++) { // a chart that is drawn may bring the next into view
        await frame();
        if (document.querySelector(".plot.drawn[aria-busy]")) calm = 0;
    }
}"""


@pytest.fixture(scope="module")
def address(sample):
    return (sample.results() / "report/index.html").as_uri()


def quiet(watched: Watched, address: str):
    """Nothing went wrong on the page, and it asked for nothing but itself."""
    assert not watched.errors
    assert {url.partition("#")[0] for url in watched.requests if not url.startswith(("data:", "blob:"))} == {address}


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_page_is_small_and_each_part_is_there(sample):
    path = sample.results() / "report/index.html"
    assert path.stat().st_size < 10_000_000
    text = path.read_text()
    linked, ids = set(re.findall(r'href="#([\w-]+)"', text)), set(re.findall(r'<section id="([\w-]+)"', text))
    assert linked == ids and len(ids) == 12


@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_and_nothing_leaves_the_page(browse, address, width):
    with browse(address, width) as watched:
        page = watched.page
        # Before anybody scrolls, only what is in view is drawn.
        page.wait_for_selector("#headline .plot svg")
        assert page.locator(".plot.drawn").count() < page.locator(".plot").count() / 2
        assert overflow(page) <= 0
        page.evaluate(DRAW_ALL)
        charts = page.locator(".plot")
        assert charts.count() == page.locator(".plot svg.marks").count() > 40
        marks = charts.evaluate_all(
            "plots => plots.map(plot => plot.querySelectorAll('svg .mark-symbol path, svg .mark-rect path').length)"
        )
        described = page.locator('.plot [role="graphics-document"]').evaluate_all(
            "all => all.map(chart => chart.getAttribute('aria-label'))"
        )
        assert min(marks) > 0 and len(described) == len(marks) and all(len(text) > 20 for text in described)
        assert overflow(page) <= 0
        quiet(watched, address)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_no_serious_fault_of_accessibility(browse, address, width, scheme):
    """With a run and one of its folds unfolded; the others have the same parts."""
    with browse(address, width, color_scheme=scheme) as watched:
        watched.page.evaluate(DRAW_SEEN)
        assert watched.page.locator(".plot svg.marks").count() > 10
        assert watched.faults() == []
        quiet(watched, address)


def test_recordings_play(browse, address):
    with browse(address) as watched:
        players = watched.page.locator("audio")
        assert players.count() == 20
        for number in (0, 19):
            played = players.nth(number).evaluate("""async (audio) => {
                audio.muted = true;
                await audio.play();
                while (audio.currentTime < 0.2) await new Promise((go) => setTimeout(go, 20));
                audio.pause();
                return [audio.duration, audio.error];
            }""")
            assert played[0] > 0.5 and played[1] is None
        pictures = watched.page.locator(".cards img")
        assert pictures.evaluate_all(
            "async all => (await Promise.all(all.map(async one => { one.loading = 'eager'; await one.decode();"
            " return one.naturalWidth; }))).every(width => width === 504)"
        )
        quiet(watched, address)


def column(page, table, number):
    cells = page.locator(f"{table} tbody tr").evaluate_all(
        f"rows => rows.map(row => row.cells[{number}].textContent.trim())"
    )
    return [text for text in cells if text != "–"]


def numbers(texts):
    return [float(text.split()[0].replace(",", "")) for text in texts]


def test_tables_sort_by_mouse_and_keyboard(browse, address):
    with browse(address) as watched:
        page, table = watched.page, "#comparison table"
        heads = page.locator(f"{table} th[scope=col]")
        before = column(page, table, 0)
        page.evaluate(SHOW, table)
        heads.nth(6).get_by_role("button").click()
        assert heads.nth(6).get_attribute("aria-sort") == "ascending"
        scores = numbers(column(page, table, 6))
        assert scores == sorted(scores) and len(set(scores)) > 3
        page.keyboard.press("Enter")  # the button has the focus
        assert heads.nth(6).get_attribute("aria-sort") == "descending"
        assert numbers(column(page, table, 6)) == sorted(scores, reverse=True)
        # What has no value stays below whichever way a column is sorted.
        cells = page.locator(f"{table} tbody tr").evaluate_all(
            "rows => rows.map(row => row.cells[10].textContent.trim())"
        )
        assert "–" in cells
        heads.nth(10).get_by_role("button").focus()
        for _ in range(2):
            page.keyboard.press("Space")
            cells = page.locator(f"{table} tbody tr").evaluate_all(
                "rows => rows.map(row => row.cells[10].textContent.trim())"
            )
            assert "–" not in cells[: cells.index("–")] and set(cells[cells.index("–") :]) == {"–"}
        assert heads.nth(6).get_attribute("aria-sort") is None
        heads.nth(0).get_by_role("button").click()
        names = column(page, table, 0)
        assert sorted(names) == sorted(before) and names == sorted(before, key=str.lower) != before
        quiet(watched, address)


def test_a_keyboard_reaches_everything(browse, address):
    with browse(address) as watched:
        page = watched.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the result"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#headline"
        summary = page.locator("details.run:not([open]) > summary").first
        summary.focus()
        page.keyboard.press("Enter")
        plots = page.locator("details.run[open] .plot.drawn svg")
        page.wait_for_function("document.querySelectorAll('details.run[open]').length === 2")
        plots.last.wait_for()
        quiet(watched, address)


def test_the_scheme_is_the_systems_until_the_reader_chooses(browse, address):
    with browse(address, color_scheme="dark") as watched:
        page = watched.page
        ground = "getComputedStyle(document.body).backgroundColor"
        ink = "document.querySelector('#headline svg text').getAttribute('fill')"
        page.wait_for_selector("#headline .plot svg text")
        dark = page.evaluate(ground), page.evaluate(ink)
        page.get_by_role("button", name="Light colours").click()
        page.wait_for_function(f"{ink} !== {dark[1]!r}")
        light = page.evaluate(ground)
        assert light == "rgb(255, 255, 255)" != dark[0]
        page.reload()
        assert page.evaluate(ground) == light and page.get_by_role("button", name="Dark colours").is_visible()
        quiet(watched, address)


def test_a_chart_can_be_saved(browse, address):
    with browse(address) as watched:
        page = watched.page
        page.evaluate(SHOW, "#headline .plot")
        menu = page.locator("#headline .vega-embed summary")
        menu.focus()
        page.keyboard.press("Enter")
        for kind, beginning in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
            with page.expect_download() as saved:
                page.get_by_role("link", name=f"Save as {kind}").first.click()
            assert saved.value.path().read_bytes().startswith(beginning)
        quiet(watched, address)


def test_without_scripts_the_tables_are_there(browse, address):
    with browse(address, java_script_enabled=False) as watched:
        assert "scripts within this page, which are turned off" in watched.page.locator("header").inner_text()
        assert watched.page.locator("#headline tbody tr").count() >= 5
        assert watched.page.locator("button:visible").count() == 0


@pytest.fixture
def harmful(sample, tmp_path):
    """The page of the finished run once more, where every text that a corpus or a user may choose would do harm."""
    results = sample.results()
    folder = tmp_path / "report"
    for part in ("figures", "mistakes"):
        (folder / part).mkdir(parents=True)
    for source, target in (("figures/clips.json", "figures"), ("mistakes.json", "")):
        found = read_json(results / "report" / source)
        for clip in found["drawn"]:
            for key in ("figure", "audio"):
                original = (results / "report" / source).parent / clip[key]
                (folder / target / clip[key]).write_bytes(original.read_bytes())
            clip |= {"clip": HARM, "emotion": HARM, "sentence": HARM}
            if "probabilities" in clip:
                clip |= {"text": HARM, "predicted": HARM, "probabilities": {HARM: 0.9}}
        write_json(folder / source, found)
    evaluation = read_json(results / "report/evaluation.json")
    evaluation["classes"][0] = HARM
    for run in evaluation["runs"]:
        run["pooled"]["per_class"][0]["class"] = HARM
        run["groups"]["sex"][0]["group"] = HARM
    write_json(folder / "evaluation.json", evaluation)
    with (folder / "excluded.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["file", "rule", "reason", "left_out_of"], [HARM] * 4])
    render_report(
        HARM,
        audit=results / "catalog/audit.json",
        excluded=folder / "excluded.tsv",
        length=results / "length.json",
        config=read_json(results / "provenance.json")["settings"] | {"audio": HARM},
        clips=folder / "figures/clips.json",
        mistakes=folder / "mistakes.json",
        comparison=results / "report/comparison.csv",
        evaluation=folder / "evaluation.json",
        provenance=results / "provenance.json",
        runs=sorted(results.glob("models/*/*/*/*/metrics.json")),
        output=folder / "index.html",
    )
    return (folder / "index.html").as_uri()


def test_names_and_labels_stay_text(browse, harmful):
    with browse(harmful) as watched:
        page = watched.page
        page.evaluate(DRAW_ALL)
        assert page.title() == f"serflow: {HARM}" and page.locator("h1").inner_text().endswith(HARM)
        assert page.locator("img[onerror], [onerror]").count() == 0
        assert page.locator("#clips .clip").first.inner_text() == HARM
        texts = page.locator("svg text").evaluate_all("all => all.map(text => text.textContent)")
        assert any(text.startswith("<img src=x") for text in texts)
        # What a chart shows at the pointer is text as well.
        page.locator("#runs .plot svg .mark-symbol path").first.hover(force=True)
        assert page.locator("img[onerror], #vg-tooltip-element img").count() == 0
        quiet(watched, harmful)


def test_snakemakes_report_has_figures_tables_and_captions(sample, browse, tmp_path):
    archive = tmp_path / "report.zip"
    done = sample.snakemake("--report", str(archive))
    assert done.returncode == 0, done.stderr[-2000:]
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
        names = [name.rpartition("/")[2] for name in packed.namelist()]
    for kind, count in (("curves.png", 13), ("confusion.png", 13), ("evaluation.json", 1), ("comparison.csv", 1)):
        assert names.count(kind) == count, kind
    assert {"clip11.png", "mistake07.png", "mistakes.json", "audit.json", "excluded.tsv", "length.json"} <= set(names)
    assert {"reliability.png", "risk_coverage.png", "leakage.png", "comparison.png", "index.html"} <= set(names)
    (page,) = tmp_path.glob("report/report.html")
    with browse(page.as_uri()) as watched:
        shown = watched.page.locator("body").inner_text()
        for category in ("Report", "Comparison", "Evaluation", "Mistakes", "Clips", "Corpus", "Runs"):
            assert category in shown
