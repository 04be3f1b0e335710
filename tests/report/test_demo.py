"""The demo page in a real browser: what it shows is what `predict` says, and nothing leaves the machine."""

import csv
import io
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from demo_server import LOOPBACK, Demo
from serflow.corpus.labels import LABELS
from workspace import ADAPTED, BUNDLED_RUN

NASTY = """<img src=x onerror=alert(1)>$(touch hacked)`id`'"${alert(2)}{{7*7}} &amp;.wav"""


@pytest.fixture(scope="module")
def bundle(bundled):
    return bundled.results() / f"bundles/{BUNDLED_RUN.format('cnn2d')}.zip"


@pytest.fixture(scope="module")
def running(bundle, tmp_path_factory):
    demo = Demo(bundle, tmp_path_factory.mktemp("demo"), "--port", "0")
    demo.at = demo.address()
    yield demo
    demo.end()


@pytest.fixture(scope="module")
def clips(bundled):
    return sorted((bundled.folder / "resources/corpora/sample/AudioWAV").iterdir())


@pytest.fixture(scope="module")
def talk(clips, tmp_path_factory):
    """A long recording of twelve clips with pauses between, of another rate and two channels."""
    path = tmp_path_factory.mktemp("talk") / "talk.ogg"
    samples = np.concatenate([np.pad(sf.read(clip)[0], (0, 16_000)) for clip in clips[:12]])
    sf.write(path, np.stack([samples, samples / 2], axis=1), 22050)
    return path


def give(page, path, wait="#result h2, #result [role=alert]"):
    """Drop a file, in place of the one before, and wait for what comes of it."""
    if page.locator("#result").inner_text().strip():
        page.get_by_label("Clear").first.click()
        page.wait_for_function("!document.querySelector('#result').innerText.trim()")
    page.locator("input[type=file]").first.set_input_files(path)
    page.wait_for_selector(wait, timeout=120_000)
    return page.locator("#result").inner_text()


def shown(page):
    """Return the probabilities in the table, by class."""
    rows = page.locator(".serflow-shares tbody tr").all()
    cells = [(row.locator("th").inner_text().split(), row.locator("td").first.inner_text()) for row in rows]
    return {words[-1].upper(): float(share.removesuffix(" %")) / 100 for words, share in cells}


def predicted(bundle, path, *options):
    command = [sys.executable, "-m", "serflow", "predict", str(bundle), str(path), *map(str, options)]
    (row,) = csv.DictReader(io.StringIO(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return row


def expect_the_same(page, text, row):
    found = shown(page)
    # The same order, after temperature scaling and in whole per cents.
    ordered = sorted(found, key=lambda name: float(row[f"p_{name}"]))
    assert [found[name] for name in ordered] == sorted(found.values()) and sum(found.values()) == pytest.approx(
        1, abs=0.03
    )
    label = LABELS[row["label"]]
    assert text.split("\n")[0].lower() == label or (text.startswith("Unsure") and f"Most likely {label}," in text)
    confidence = float(re.search(r"Confidence (\d+) %", text)[1]) / 100
    assert confidence == found[row["label"]] == pytest.approx(float(row["confidence"]), abs=6e-3)


def test_probabilities_are_those_of_predict(browse, running, bundle, clips):
    with browse(running.at) as watched:
        for clip in clips[:2]:
            text = give(watched.page, clip)
            expect_the_same(watched.page, text, predicted(bundle, clip))
            assert "There is no timeline" in text and "What decides" in text and clip.name in text
        assert "Synthetic speech" in watched.page.inner_text("body")
        assert "not a judgement of people" in watched.page.inner_text("body")
        assert "Leaky" not in watched.page.inner_text("body")
        picture = watched.page.locator("#result img:visible")
        assert picture.evaluate("image => image.naturalWidth") > 500
        watched.page.wait_for_function("document.querySelector('#result audio').duration > 0.5")
        assert "Mel-spectrogram" in picture.get_attribute("alt")
        assert not watched.errors


def test_a_real_recording(browse, running, bundle, crema_d):
    clip = sorted((crema_d / "AudioWAV").glob("*.wav"))[0]
    with browse(running.at) as watched:
        expect_the_same(watched.page, give(watched.page, clip), predicted(bundle, clip))
        assert not watched.errors


def test_it_is_taught_a_voice(browse, bundled, clips, tmp_path):
    bundle = bundled.results() / f"bundles/{BUNDLED_RUN.format(ADAPTED)}.zip"
    tested, *known = clips[:5]
    (tmp_path / "voice").mkdir()
    for clip in known:
        shutil.copy(clip, tmp_path / "voice")
    unknown, adapted = predicted(bundle, tested), predicted(bundle, tested, "--enrol", tmp_path / "voice")
    assert unknown != adapted
    demo = Demo(bundle, tmp_path, "--port", "0")
    with browse(demo.address()) as watched:
        page = watched.page
        expect_the_same(page, give(page, tested), unknown)
        page.get_by_text("Teach it this voice").click()
        page.locator("input[type=file][multiple]").set_input_files(known)
        page.wait_for_selector("#taught p")
        assert page.locator("#taught").inner_text() == "Adapted to this voice by 4 windows."
        text = give(page, tested)
        expect_the_same(page, text, adapted)
        assert "reads the recording as a whole as in training" in text
        assert not watched.errors
    demo.end()


def test_a_long_recording_has_a_timeline(browse, running, bundle, talk):
    row = predicted(bundle, talk, "--segments", "speech")
    with browse(running.at) as watched:
        text = give(watched.page, talk)
        expect_the_same(watched.page, text, row)
        assert f"mean of {row['windows']} windows" in text and "There is no timeline" not in text
        watched.page.get_by_text("Table of segments of speech").click()
        rows = watched.page.locator("#result details tbody tr")
        assert rows.count() == 12
        # After the last clip there is a pause of 16,000 of 22,050 samples.
        assert 0.6 < float(row["seconds"]) - float(rows.last.locator("td").nth(1).inner_text()) < 1.2
        assert "probability of each emotion in" in watched.page.locator("#result img:visible").get_attribute("alt")


def test_after_a_bad_file_the_next_good_one_is_labelled(browse, running, bundle, clips, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF, but no more")
    with browse(running.at) as watched:
        text = give(watched.page, bad)
        assert text.strip() == (
            "Not labelled. bad.wav: not a readable audio file (Format not recognised); replace or remove it"
        )
        expect_the_same(watched.page, give(watched.page, clips[0]), predicted(bundle, clips[0]))
        assert not watched.errors


def test_too_long_and_too_large(browse, running, tmp_path):
    sf.write(tmp_path / "day.flac", np.zeros(3601 * 4000, np.int16), 4000)
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate((200 << 20) + 1)
    with browse(running.at) as watched:
        assert "day.flac: 60 minutes long by its header, above 60" in give(watched.page, tmp_path / "day.flac")
        watched.page.get_by_label("Clear").first.click()
        watched.page.locator("input[type=file]").set_input_files(tmp_path / "large.wav")
        watched.page.get_by_text(re.compile("maximum|too large|exceed", re.I)).first.wait_for(timeout=60_000)


def test_a_recording_by_microphone(browse, running):
    with browse(running.at, permissions=["microphone"]) as watched:
        watched.page.get_by_role("button", name="Record", exact=True).click()
        stop = watched.page.get_by_role("button", name="Stop", exact=True)
        stop.wait_for()  # a busy machine begins late
        watched.page.wait_for_timeout(3000)
        stop.click()
        # The microphone of the tests beeps, which the detector of speech may take for a voice or not.
        watched.page.wait_for_selector("#result h2, #result [role=alert]")
        text = watched.page.locator("#result").inner_text()
        assert "no speech was found in it" in text or shown(watched.page), text
        assert not watched.errors


def test_a_refused_microphone_says_so(browse, running):
    with browse(running.at) as watched:
        watched.page.get_by_role("button", name="Record", exact=True).click()
        watched.page.get_by_text("The browser refuses this page the microphone").wait_for()


def test_names_stay_text(browse, running, clips, tmp_path):
    shutil.copy(clips[0], tmp_path / NASTY)
    with browse(running.at) as watched:
        dialogs = []
        watched.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        give(watched.page, tmp_path / NASTY)
        watched.page.wait_for_timeout(500)
        assert (
            watched.page.locator("#result img:visible").count() == 1 and not watched.page.locator("img[src=x]").count()
        )
        assert not dialogs and not watched.errors
    assert not list(tmp_path.glob("hacked")) and not Path("hacked").exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everybody_can_use_it(browse, running, talk, width, scheme):
    with browse(running.at, width, color_scheme=scheme) as watched:
        watched.page.wait_for_selector("input[type=file]", state="attached")
        assert watched.faults() == []
        give(watched.page, talk)
        watched.page.get_by_text("Table of segments of speech").click()
        watched.page.get_by_role("button", name="Model card").click()
        watched.page.get_by_role("heading", name="Not for").wait_for()
        assert watched.faults() == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
        for element in watched.page.locator(".serflow-warning *").all():
            assert element.evaluate("e => getComputedStyle(e).color") == "rgb(28, 31, 36)"


def test_nothing_leaves_the_machine(browse, running, talk):
    with browse(running.at) as watched:
        assert not watched.page.get_by_role("heading", name="Not for").is_visible()  # the card is collapsed
        give(watched.page, talk)
        watched.page.wait_for_timeout(1000)
        outside = [url for url in watched.requests if not url.startswith((running.at, "data:", "blob:" + running.at))]
        assert len(watched.requests) > 10 and not outside
    asked = running.asked.read_text().split()
    assert not [address for address in asked if not LOOPBACK.fullmatch(address)]


def test_leaky_models_say_so(browse, bundled, tmp_path):
    demo = Demo(bundled.results() / "bundles/notebook/cnn1d/seed0/fold0.zip", tmp_path, "--port", "0")
    with browse(demo.address()) as watched:
        watched.page.get_by_text("Leaky protocol").wait_for()
    demo.end()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_it_ends_at_once_in_the_middle_of_an_hour_and_leaves_nothing(browse, bundle, tmp_path, clips, how, code):
    samples, rate = sf.read(clips[0], dtype="int16")
    with sf.SoundFile(tmp_path / "hour.flac", "w", rate, 1) as file:
        for _ in range(3590 * rate // len(samples)):
            file.write(samples)
    demo = Demo(bundle, tmp_path, "--port", "0")
    with browse(demo.address()) as watched:
        watched.page.locator("input[type=file]").set_input_files(tmp_path / "hour.flac")
        watched.page.get_by_text(re.compile(r"finding speech: \d+ of \d{4} s")).first.wait_for()
        assert list(demo.temporary.rglob("hour.flac"))
        out, err = demo.end(how)
    assert demo.process.returncode == code and not list(demo.temporary.iterdir())
    assert err == "" and out == ("serflow demo: ended\n" if how == signal.SIGINT else "")


@pytest.mark.extended
def test_memory_is_flat_for_an_hour(browse, bundled, tmp_path, clips):
    demo = Demo(bundled.results() / f"bundles/{BUNDLED_RUN.format('svm_functionals')}.zip", tmp_path, "--port", "0")
    samples, rate = sf.read(clips[0], dtype="int16")
    samples = np.pad(np.tile(samples, 3), (0, rate))  # a pause after each segment of speech
    peaks = []
    with browse(demo.address()) as watched:
        for minutes in (1, 59):
            with sf.SoundFile(tmp_path / f"{minutes}.flac", "w", rate, 1) as file:
                for _ in range(60 * minutes * rate // len(samples)):
                    file.write(samples)
            assert "Confidence" in give(watched.page, tmp_path / f"{minutes}.flac")
            peaks.append(demo.memory())
        assert watched.page.locator("#result details tbody tr").count() == 200
    demo.end()
    assert peaks[1] - peaks[0] < 60, peaks
