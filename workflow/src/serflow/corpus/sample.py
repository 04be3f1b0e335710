"""The built-in sample corpus: synthetic clips with CREMA-D's names, spoken by twelve voices of espeak-ng."""

import ctypes
import functools
import hashlib
import importlib
import math
import multiprocessing
import os
import wave
from pathlib import Path
from typing import NamedTuple

from serflow.corpus.copies import generator_of
from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, ClipName
from serflow.runtime.errors import UserError

# Four speakers in each of three of the five blocks of the speaker-independent protocol. The voices are natural, and far
# apart in pitch and mean MFCC. Variants with a `breath` line (f2, f3, f5, Alicia, victor, sandro) are left out, since
# espeak-ng 1.52 speaks them differently in every process.
SPEAKERS = {
    "1001": ("en-us+m3", "Male"),
    "1002": ("en-us+f1", "Female"),
    "1003": ("en-us+Annie", "Female"),
    "1004": ("en-us+miguel", "Male"),
    "1019": ("en-us+Michael", "Male"),
    "1020": ("en-us+f4", "Female"),
    "1021": ("en-us+m8", "Male"),
    "1022": ("en-us+linda", "Female"),
    "1037": ("en-us+steph", "Female"),
    "1038": ("en-us+Nguyen", "Male"),
    "1039": ("en-us+Andrea", "Female"),
    "1040": ("en-us+robert", "Male"),
}
AGE = 40  # a placeholder: CREMA-D's table has the column, a synthetic voice has no age
SAMPLE_RATE = 16_000  # Hz, as in CREMA-D
SPEECH_DB = -30.0  # RMS of neutral speech, dB of full scale
NOISE_DB = -60.0  # RMS of the noise under everything, so that no clip contains digital silence
PEAK = 0.95


class Style(NamedTuple):
    """How a clip differs from the plain voice."""

    rate: float  # logarithm of the ratio of speaking rates
    pitch: float  # steps of espeak's 0–100 scale
    melody: float  # pitch range, on the same scale
    gain: float  # dB
    tilt: float  # dB per octave, brighter when positive
    tremor: float  # depth of the amplitude's tremolo, a fraction


# Anger is loud and bright, sadness soft, slow and dull, and so on. The values are tuned so that a linear classifier of
# simple statistics is well above chance on unseen voices and well below perfect.
STYLES = {
    "ANG": Style(rate=0.06, pitch=6, melody=12, gain=6, tilt=2.4, tremor=0),
    "DIS": Style(rate=-0.15, pitch=-8, melody=6, gain=2, tilt=-1.6, tremor=0.1),
    "FEA": Style(rate=0.16, pitch=18, melody=-8, gain=-2, tilt=1.6, tremor=0.4),
    "HAP": Style(rate=0.04, pitch=16, melody=28, gain=3, tilt=0.4, tremor=0),
    "NEU": Style(rate=0, pitch=0, melody=-10, gain=0, tilt=0, tremor=0),
    "SAD": Style(rate=-0.15, pitch=-6, melody=-22, gain=-5, tilt=-2, tremor=0.1),
}
SPREAD = Style(rate=0.05, pitch=5, melody=8, gain=1.6, tilt=0.5, tremor=0.08)  # standard deviation over clips
INTENSITY = {"LO": 0.6, "MD": 1.0, "HI": 1.4, "XX": 1.0}

README = """\
This is synthetic speech, not a recording of anyone: espeak-ng {version} spoke the sentences of CREMA-D with
twelve of its voices, and the emotions are changes of rate, pitch, loudness and timbre that were set by hand.
Nobody acted them and nobody rated them. The clips are for trying the workflow without a download. Results on them say
nothing about people or about CREMA-D. Ages in the metadata are placeholders.

Made by serflow.corpus.sample with seed {seed}: {clips} clips, 16 kHz, mono, 16 bit; manifest.csv lists them.
"""


def sample_clips() -> list[ClipName]:
    """Return the 288 clips of the sample corpus, sorted.

    Each speaker speaks each sentence in two emotions and each emotion four times. As in CREMA-D only ``IEO`` has
    levels, and ``NEU`` has none.
    """
    emotions, names = list(EMOTIONS), []
    for a, speaker in enumerate(SPEAKERS):
        turn = a // len(emotions)  # otherwise speakers six apart would speak the same clips
        for s, sentence in enumerate(SENTENCES):
            for take, shift in enumerate((0, 1 + turn)):
                emotion = emotions[(a + s + shift) % len(emotions)]
                grade = ("LO", "MD", "HI")[(a + turn + take) % 3]
                level = grade if sentence == "IEO" and emotion != "NEU" else "XX"
                names.append(ClipName(speaker, sentence, emotion, level))
    return sorted(names)


def synthesize_sample(folder: str | Path, *, seed: int, processes: int = 2) -> None:
    """Synthesise the built-in sample corpus with espeak-ng: the same bytes for any number of processes.

    Parameters
    ----------
    folder
        Where to put ``AudioWAV/{clip}.wav``, ``metadata/VideoDemographics.csv``, ``README.txt`` and, last of all,
        ``manifest.csv`` (file, bytes, sha256).
    seed
        Seed of the variation between clips.
    processes
        Number of clips to speak at a time.

    Raises
    ------
    UserError
        If espeak-ng or a voice is missing, the platform cannot fork, or the folder contains other recordings.
    """
    from serflow import storage

    folder, clips = Path(folder).resolve(), sample_clips()
    audio, manifest = folder / "AudioWAV", folder / "manifest.csv"
    for leftover in audio.glob(".*.part.wav"):  # of a killed run
        leftover.unlink()
    strangers = sorted({file.stem for file in audio.glob("*.wav")} - {clip.clip for clip in clips})
    if strangers:
        raise UserError(f"{audio}: {strangers[0]}.wav is not part of the sample corpus; choose an empty folder")
    manifest.unlink(missing_ok=True)  # it lists clips that are about to change
    version = _espeak()[0].espeak_Info(None).decode()
    storage.write_text(folder / "README.txt", README.format(version=version, seed=seed, clips=len(clips)))
    people = "ActorID,Age,Sex,Race,Ethnicity\n"
    people += "".join(f"{speaker},{AGE},{sex},Synthetic,Synthetic\n" for speaker, (_, sex) in SPEAKERS.items())
    storage.write_text(folder / "metadata" / "VideoDemographics.csv", people)
    _speak_all(audio, clips, seed, processes)
    lines = ["file,bytes,sha256\n"]
    for clip in clips:
        data = (audio / f"{clip.clip}.wav").read_bytes()
        lines.append(f"{clip.clip}.wav,{len(data)},{hashlib.sha256(data).hexdigest()}\n")
    storage.write_text(manifest, "".join(lines))


def _speak_all(audio: Path, clips: list[ClipName], seed: int, processes: int) -> None:
    """Speak each clip in a process of its own, forked from this one, which never speaks.

    espeak-ng carries random state from one utterance to the next and initialising it again does not reset it;
    a fresh fork always starts from the same state. A ``Pool`` would hang if one of its processes were killed.
    """
    for module in ("numpy.fft", "numpy.random", "soxr"):  # once here, not in every child
        importlib.import_module(module)
    try:
        context = multiprocessing.get_context("fork")
    except ValueError as error:
        raise UserError("the sample corpus needs a system that can fork: Linux, macOS or WSL") from error
    complaints = context.SimpleQueue()
    for start in range(0, len(clips), processes):
        children = {}
        for clip in clips[start : start + processes]:
            job = (audio / f"{clip.clip}.wav", clip, seed, complaints)
            children[clip] = context.Process(target=_write_clip, args=job, daemon=True)
            children[clip].start()
        for clip, child in children.items():
            child.join()
            if child.exitcode:
                ended = f"the process that spoke {clip.clip} ended with code {child.exitcode}; run it again"
                raise UserError(ended if complaints.empty() else complaints.get())


def _write_clip(path: Path, clip: ClipName, seed: int, complaints) -> None:
    from serflow import storage

    try:
        samples = _render(clip, seed)
        with storage.replacing(path) as partial, wave.open(str(partial), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
            file.writeframes(samples)
    except (UserError, OSError) as error:
        complaints.put(f"{clip.clip}: {error}")
        raise SystemExit(1) from error


def _render(clip: ClipName, seed: int) -> bytes:
    """Return the 16-bit samples of a clip at 16 kHz."""
    import numpy as np
    import soxr

    draw = functools.partial(generator_of, seed, clip.clip)
    target = np.array(STYLES[clip.emotion]) * INTENSITY[clip.level]
    style = Style(*(target + np.array(SPREAD) * draw("style").standard_normal(len(target))))
    spoken, rate = _speak(SPEAKERS[clip.speaker][0], SENTENCES[clip.sentence], style)
    speech = np.frombuffer(spoken, np.int16) / 32768
    loud = np.flatnonzero(np.abs(speech) > 0.01 * np.abs(speech).max())
    speech = speech[loud[0] : loud[-1] + 1]  # other silence is added around it below
    # VHQ is soxr's double precision, whose last digits, which may depend on the processor, 16 bits do not show.
    speech = soxr.resample(speech, rate, SAMPLE_RATE, quality="VHQ")
    octaves = np.log2(np.clip(np.fft.rfftfreq(len(speech), 1 / SAMPLE_RATE), 100, 6400) / 800)
    speech = np.fft.irfft(np.fft.rfft(speech) * 10 ** (style.tilt * octaves / 20), len(speech))
    hertz, start = draw("tremolo").uniform((5, 0), (8, 1))
    phase = 2 * np.pi * (start + hertz * np.arange(len(speech)) / SAMPLE_RATE)
    speech *= 1 + np.clip(style.tremor, 0, 0.8) * np.sin(phase)
    speech *= 10 ** ((SPEECH_DB + style.gain) / 20) / np.sqrt(np.mean(speech**2))
    before, after = draw("pauses").integers(SAMPLE_RATE // 20, SAMPLE_RATE // 5, 2)  # 50 to 200 ms
    signal = np.pad(speech, (before, after))
    signal += 10 ** (NOISE_DB / 20) * draw("noise").standard_normal(len(signal))
    signal *= min(1, PEAK / np.abs(signal).max())
    return np.rint(signal * 32767).astype("<i2").tobytes()


def _espeak() -> tuple[ctypes.CDLL, str]:
    """Return the library of espeak-ng, not initialised, and its data folder."""
    try:
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except (ImportError, OSError) as error:
        raise UserError(f"espeak-ng cannot be loaded ({error}); run: pip install espeakng-loader") from error
    library.espeak_Info.restype = ctypes.c_char_p
    # The head of an espeak_VOICE: name, languages, identifier.
    library.espeak_GetCurrentVoice.restype = ctypes.POINTER(ctypes.c_char_p * 3)
    return library, espeakng_loader.get_data_path()


def _speak(voice: str, text: str, style: Style) -> tuple[bytes, int]:
    """Let espeak-ng say a text; return its 16-bit samples and their sampling rate in Hz."""
    library, data = _espeak()
    os.chdir(data)  # espeak-ng takes no path over 160 bytes; this child process does nothing else
    rate = library.espeak_Initialize(2, 0, b".", 0x8000)  # samples to a callback; no exit on an error
    if rate <= 0:
        raise UserError(f"{data}: espeak-ng cannot read its data; reinstall espeakng-loader")
    # For an unknown variant espeak-ng takes the plain voice of the language without an error, so check.
    unknown = library.espeak_SetVoiceByName(voice.encode())
    taken = b"" if unknown else library.espeak_GetCurrentVoice().contents[2]
    if not taken.decode().lower().endswith(voice.lower()):
        raise UserError(f"espeak-ng has no voice {voice}; install the espeakng-loader of requirements.txt")
    # Words per minute, volume (60 %, so that no voice clips), pitch and range are espeak's parameters 1 to 4.
    settings = (175 * math.exp(style.rate), 60, 50 + style.pitch, 50 + style.melody)
    for parameter, value in enumerate(settings, 1):
        library.espeak_SetParameter(parameter, max(0, round(value)), 0)
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def receive(samples, count, _events):
        pieces.append(ctypes.string_at(samples, 2 * count) if samples else b"")
        return 0

    library.espeak_SetSynthCallback(receive)
    library.espeak_Synth(text.encode(), ctypes.c_size_t(len(text) + 1), 0, 0, 0, 1, None, None)
    return b"".join(pieces), rate
