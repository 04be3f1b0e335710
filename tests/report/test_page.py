"""The report in a real browser: charts, tables, recordings, keyboard, phone, and dark colours."""

import csv
import io
import re
import zipfile

import pytest
from PIL import Image

from browser import Watched
from serflow.report.page import render_report
from serflow.storage import read_json, write_json

HARM = "<img src=x onerror=document.title='pwned'>{{ 7 * 191 }}$x$</script><script>document.title='pwned'</script>"
READY = "html[data-ready]"  # the page works, and no chart is being drawn that would move what is below it
OPEN_ALL = """() => document.querySelectorAll("main details").forEach((details) => { details.open = true; })"""
OPEN_ONE_FOLD = """() => {
    const fold = document.querySelector("details.run[open] details.fold");
    for (const details of fold.parentElement.querySelectorAll("details:not(.fold)")) details.open = true;
    fold.open = true;
}"""


def draw_all(page, opened=None):
    """Draw every chart that can be seen after some details are opened, so that nothing on the page moves any more."""
    page.wait_for_selector(READY, state="attached")
    if opened:
        page.evaluate(opened)
    page.evaluate("drawAll()")
    page.wait_for_selector(READY, state="attached")


@pytest.fixture(scope="module")
def address(sample):
    return (sample.results() / "report/all/index.html").as_uri()


def quiet(watched: Watched, address: str):
    """Check that nothing went wrong on the page, and that it asked for nothing but itself."""
    assert not watched.errors
    assert {url.partition("#")[0] for url in watched.requests if not url.startswith(("data:", "blob:"))} == {address}


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_the_page_is_small_and_each_part_is_there(sample):
    path = sample.results() / "report/all/index.html"
    assert path.stat().st_size < 10_000_000
    text = path.read_text()
    linked, ids = set(re.findall(r'href="#([\w-]+)"', text)), set(re.findall(r'<section id="([\w-]+)"', text))
    assert linked == ids and len(ids) == 16


@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_and_nothing_leaves_the_page(browse, address, width):
    with browse(address, width) as watched:
        page = watched.page
        # Only what has been in view is drawn.
        page.wait_for_selector(READY, state="attached")
        page.locator("#headline .plot").scroll_into_view_if_needed()
        page.wait_for_selector("#headline .plot svg.marks")
        assert page.locator(".plot.drawn").count() < page.locator(".plot").count() / 2
        assert overflow(page) <= 0
        draw_all(page, OPEN_ALL)
        charts = page.locator(".plot")
        assert charts.count() == page.locator(".plot svg.marks").count() > 40
        marks = charts.evaluate_all(
            "plots => plots.map(plot => plot.querySelectorAll('svg .mark-symbol path, svg .mark-rect path').length)"
        )
        described = page.locator('.plot[role="graphics-document"]').evaluate_all(
            "all => all.map(chart => chart.getAttribute('aria-label'))"
        )
        assert min(marks) > 0 and len(described) == len(marks) and all(len(text) > 20 for text in described)
        assert overflow(page) <= 0
        quiet(watched, address)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_no_serious_fault_of_accessibility(browse, address, width, scheme):
    """With one run and one of its folds open; the others have the same parts."""
    with browse(address, width, color_scheme=scheme) as watched:
        draw_all(watched.page, OPEN_ONE_FOLD)
        assert watched.page.locator(".plot svg.marks").count() >= 10
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


def cells(page, table, column):
    """Return the texts of a column in the order of the rows."""
    return page.locator(f"{table} tbody tr").evaluate_all(
        "(rows, column) => rows.map((row) => row.cells[column].textContent.trim())", column
    )


def numbers(texts):
    return [float(text.split()[0].replace(",", "")) for text in texts if text != "–"]


def test_tables_sort_by_mouse_and_keyboard(browse, address):
    with browse(address) as watched:
        page, table = watched.page, "#comparison > .scroll table"
        draw_all(page)
        heads = page.locator(f"{table} th[scope=col]")
        titles = heads.all_inner_texts()
        uar, trained = titles.index("UAR"), titles.index("training accuracy")
        before = cells(page, table, 0)
        heads.nth(uar).get_by_role("button").click()
        assert heads.nth(uar).get_attribute("aria-sort") == "descending"  # the best first
        scores = numbers(cells(page, table, uar))
        assert scores == sorted(scores, reverse=True) and len(set(scores)) > 3
        page.keyboard.press("Enter")  # the button has the focus
        assert heads.nth(uar).get_attribute("aria-sort") == "ascending"
        assert numbers(cells(page, table, uar)) == sorted(scores)
        # Rows without a value stay below in both orders.
        heads.nth(trained).get_by_role("button").focus()
        for _ in range(2):
            page.keyboard.press("Space")
            texts = cells(page, table, trained)
            known = texts[: texts.index("–")]
            assert known and set(texts[len(known) :]) == {"–"}
        assert heads.nth(uar).get_attribute("aria-sort") is None
        heads.nth(0).get_by_role("button").click()
        names = cells(page, table, 0)
        assert sorted(names) == sorted(before) and names == sorted(before, key=str.lower) != before
        quiet(watched, address)


def test_a_keyboard_reaches_everything(browse, address):
    with browse(address) as watched:
        page = watched.page
        page.wait_for_selector(READY, state="attached")
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
        page.wait_for_selector(READY, state="attached")
        dark = page.evaluate(ground), page.evaluate(ink)
        page.get_by_role("button", name="Light colours").click()
        page.wait_for_selector(READY, state="attached")
        assert page.evaluate(ink) != dark[1]
        light = page.evaluate(ground)
        assert light == "rgb(255, 255, 255)" != dark[0]
        page.reload()
        page.wait_for_selector(READY, state="attached")
        assert page.evaluate(ground) == light and page.get_by_role("button", name="Dark colours").is_visible()
        quiet(watched, address)


def test_a_chart_can_be_saved(browse, address):
    with browse(address, color_scheme="dark") as watched:
        page = watched.page
        draw_all(page)
        menu = page.locator("#headline .save summary").first
        menu.focus()
        page.keyboard.press("Enter")
        for kind, beginning in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
            with page.expect_download() as saved:
                page.locator("#headline").get_by_role("button", name=f"Save as {kind}").first.click()
            content = saved.value.path().read_bytes()
            assert content.startswith(beginning) and saved.value.suggested_filename.endswith(kind.lower())
            if kind == "PNG":
                with Image.open(io.BytesIO(content)) as picture:
                    wide = page.locator("#headline .plot").first.evaluate("plot => plot.clientWidth")
                    assert picture.size[0] == pytest.approx(3 * wide, abs=12)
                    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        page.keyboard.press("Escape")
        assert page.locator("details.save[open]").count() == 0
        quiet(watched, address)


def test_a_table_can_be_saved(browse, address):
    with browse(address) as watched:
        page, table = watched.page, "#headline table"
        page.wait_for_selector(READY, state="attached")
        with page.expect_download() as saved:
            page.locator("#headline").get_by_role("button", name=re.compile("Save as CSV")).first.click()
        head, *rows = csv.reader(io.StringIO(saved.value.path().read_text(encoding="utf-8-sig")))
        assert head[:2] == ["model or reference", "UAR"] and saved.value.suggested_filename.endswith(".csv")
        assert [row[1] for row in rows] == cells(page, table, 1)[: len(rows)] and len(rows) >= 5
        quiet(watched, address)


def test_help_opens_and_closes_with_escape(browse, address):
    with browse(address) as watched:
        page = watched.page
        page.wait_for_selector(READY, state="attached")
        for section in page.locator("main > section").all():
            assert section.locator(".help").count() == 1
        text = page.locator("#calibration .help div")
        page.locator("#calibration .help summary").click()
        assert "correct as often as its confidence says" in text.inner_text()
        page.keyboard.press("Escape")
        assert not text.is_visible()
        quiet(watched, address)


def test_print_opens_all_runs_and_closes_them_again(browse, address):
    with browse(address) as watched:
        page, closed = watched.page, "document.querySelectorAll('details.run:not([open])').length"
        page.wait_for_selector(READY, state="attached")
        before = page.evaluate(closed)
        page.evaluate("openForPrint()")
        assert before > 1 and page.evaluate(closed) == 0
        assert page.locator("details.run > .trio .plot:not(.drawn)").count() == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(closed) == before
        quiet(watched, address)


def test_without_scripts_the_tables_are_there(browse, address):
    with browse(address, java_script_enabled=False) as watched:
        assert "Scripts are turned off" in watched.page.locator("header").inner_text()
        assert watched.page.locator("#headline tbody tr").count() >= 5
        assert watched.page.locator("button:visible").count() == 0


@pytest.fixture
def harmful(sample, tmp_path):
    """Render the page of the finished run with harmful text wherever a corpus or a user may choose the text."""
    results, folder = sample.results(), tmp_path
    indices = {"clips": "report/figures/clips.json", "mistakes": "report/all/mistakes.json"}
    for name, path in indices.items():
        index = read_json(results / path)
        for clip in index["clips"]:
            clip |= {"clip": HARM, "emotion": HARM, "sentence": HARM}
            if "probabilities" in clip:
                clip |= {"text": HARM, "predicted": HARM, "probabilities": {HARM: 0.9}}
        write_json(folder / f"{name}.json", index)
    evaluation = read_json(results / "report/all/evaluation.json")
    evaluation["classes"][0] = HARM
    for run in evaluation["runs"]:
        run["pooled"]["per_class"][0]["class"] = HARM
        run["groups"]["sex"][0]["group"] = HARM
    write_json(folder / "evaluation.json", evaluation)
    with (folder / "excluded.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["file", "rule", "reason", "left_out_of"], [HARM] * 4])
    with (folder / "flagged.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["file", "rule", "reason"], [HARM] * 3])
    metrics = sorted(results.glob("models/*/*/*/*/metrics.json"))
    render_report(
        corpus=HARM,
        audit=results / "catalog/audit.json",
        excluded=folder / "excluded.tsv",
        flagged=folder / "flagged.tsv",
        length=results / "length.json",
        config=read_json(results / "report/all/provenance.json")["settings"] | {"audio": HARM},
        clips=folder / "clips.json",
        figures=sorted((results / "report/figures").glob("*.png")),
        recordings=sorted((results / "report/figures").glob("*.wav")),
        mistakes=folder / "mistakes.json",
        mistakes_folder=results / "report/all/mistakes",
        evaluation=folder / "evaluation.json",
        provenance=results / "report/all/provenance.json",
        metrics=metrics,
        training=[path.with_name("training.json") for path in metrics],
        history=[path.with_name("history.csv") for path in metrics],
        searches=[],
        output=folder / "index.html",
    )
    return (folder / "index.html").as_uri()


def test_names_and_labels_stay_text(browse, harmful):
    with browse(harmful) as watched:
        page = watched.page
        draw_all(page, OPEN_ALL)
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
    for kind, count in (("curves.png", 10), ("confusion.png", 19), ("evaluation.json", 1), ("comparison.csv", 1)):
        assert names.count(kind) == count, kind
    assert {"clip11.png", "mistake07.png", "mistakes.json", "audit.json", "excluded.tsv", "length.json"} <= set(names)
    assert {"reliability.png", "risk_coverage.png", "leakage.png", "comparison.png", "index.html"} <= set(names)
    (page,) = tmp_path.glob("report/report.html")
    with browse(page.as_uri()) as watched:
        shown = watched.page.locator("body").inner_text()
        for category in ("Report", "Comparison", "Evaluation", "Mistakes", "Clips", "Corpus", "Runs"):
            assert category in shown
