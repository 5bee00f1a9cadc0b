#!/usr/bin/env python3
"""Makes the three short films of the course, their posters and their captions.

Needs: espeak-ng (speech), rsvg-convert (draws the frames), ffmpeg with libx264 and aac.
Run:   python3 make_media.py            all three films
       python3 make_media.py adding     only this lesson

What is said and when a picture is shown stands in films.toml; how it is drawn stands here. Each film becomes
<lesson>/film.mp4, <lesson>/film.en.vtt, <lesson>/film.ar.vtt and <lesson>/film.jpg. The pictures hold
numbers only, so one film serves both languages.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import tempfile
import tomllib
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 360, 12
WORDS_PER_MINUTE = 140
LEAD_SECONDS, PAUSE_SECONDS = 0.3, 0.8
SAMPLE_RATE = 22050  # what espeak-ng speaks in

ORANGE, TEAL, BLUE, CORAL = "#F28C28", "#1B998B", "#2D3047", "#E84855"
FONT = 'font-family="Noto Sans, Roboto, sans-serif" font-weight="700" text-anchor="middle"'
SUN, WHITE = "#FFC857", "#FFFFFF"


def grown(progress: float, start: float, end: float) -> float:
    """Returns how far a movement from `start` to `end` has come, eased, between 0 and 1."""
    part = min(1.0, max(0.0, (progress - start) / (end - start)))
    return part * part * (3 - 2 * part)


def counted(progress: float, start: float, end: float, number: int) -> int:
    """Returns how many of `number` things are shown when they come one after the other."""
    return min(number, max(0, math.ceil((progress - start) / (end - start) * number)))


def moved(x: float, y: float, body: str, scale: float = 1.0, turn: float = 0.0) -> str:
    """Returns `body` placed at (x, y)."""
    return f'<g transform="translate({x:.1f} {y:.1f}) rotate({turn:.2f}) scale({scale:.3f})">{body}</g>'


def faded(opacity: float, body: str) -> str:
    """Returns `body` at an opacity; nothing at all when it cannot be seen."""
    return f'<g opacity="{opacity:.2f}">{body}</g>' if opacity > 0.01 else ""


def on_circle(radius: float, turn: float) -> tuple[float, float]:
    """Returns a point of a circle round the origin; `turn` 0 is the top, 0.25 the right."""
    angle = (turn - 0.25) * math.tau
    return radius * math.cos(angle), radius * math.sin(angle)


def slice_path(radius: float, first: float, last: float) -> str:
    """Returns the path of the slice of a circle between two turns."""
    (x1, y1), (x2, y2) = on_circle(radius, first), on_circle(radius, last)
    if last - first == 1:
        return f"M0 {-radius}A{radius} {radius} 0 1 1 -0.1 {-radius}Z"
    large = int(last - first > 0.5)
    return f"M0 0L{x1:.1f} {y1:.1f}A{radius} {radius} 0 {large} 1 {x2:.1f} {y2:.1f}Z"


def topping(radius: float, first: float, last: float) -> str:
    """Returns tomatoes and olives of one pizza slice."""
    number = max(1, int((last - first) * 9))
    step = (last - first) / number
    spots = [(0.66 - 0.16 * (n % 2), first + step * (n + 0.5), 0.1, CORAL) for n in range(number)]
    spots += [(0.7 - 0.32 * (n % 2), first + step * (n + 1), 0.05, TEAL) for n in range(number - 1)]
    spots += [(0.38, first + step / 2, 0.05, TEAL)]
    dots = []
    for distance, turn, size, colour in spots:
        x, y = on_circle(radius * distance, turn)
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius * size:.1f}" fill="{colour}"/>')
    return "".join(dots)


def pizza_slice(radius: float, first: float, last: float, there: bool) -> str:
    """Returns one slice: baked when it is there, an empty place on the plate when not."""
    if not there:
        path = slice_path(radius * 0.97, first, last)
        return f'<path d="{path}" fill="{WHITE}" stroke="{BLUE}" stroke-width="2" stroke-dasharray="5 5"/>'
    path = slice_path(radius, first, last)
    cheese = f'<path d="{slice_path(radius * 0.86, first, last)}" fill="{SUN}"/>'
    edge = f'<path d="{path}" fill="none" stroke="{WHITE}" stroke-width="4" stroke-linejoin="round"/>'
    return f'<path d="{path}" fill="{ORANGE}"/>' + cheese + topping(radius, first, last) + edge


def pizza(radius: float, parts: int, taken: int, apart: float = 0.0) -> str:
    """Returns a pizza in equal parts, of which the first `taken` are there."""
    slices = []
    for number in range(parts):
        there = number < taken
        x, y = on_circle(apart if there else 0, (number + 0.5) / parts)
        slices.append(moved(x, y, pizza_slice(radius, number / parts, (number + 1) / parts, there)))
    return moved(0, 0, shape("plate"), radius / 100) + "".join(slices)


def bar(width: float, height: float, parts: int, taken: int, colour: str = TEAL) -> str:
    """Returns a bar in equal parts, of which the first `taken` are coloured."""
    step = width / parts
    cells = []
    for number in range(parts):
        fill, line = (colour, "") if number < taken else (WHITE, ' stroke-dasharray="6 5"')
        cells.append(
            f'<rect x="{number * step + 2:.1f}" y="0" width="{step - 4:.1f}" height="{height}" '
            f'rx="10" fill="{fill}" stroke="{BLUE}" stroke-width="2.5"{line}/>'
        )
    return "".join(cells)


def fraction(top: int, bottom: int, size: float) -> str:
    """Returns a written fraction, its line through the origin."""
    half = size * (0.45 if max(top, bottom) < 10 else 0.7)
    return (
        f'<text {FONT} font-size="{size}" y="{-size * 0.22:.1f}" fill="{CORAL}">{top}</text>'
        f'<path d="M{-half:.1f} 0H{half:.1f}" stroke="{BLUE}" stroke-width="{size * 0.1:.1f}" stroke-linecap="round"/>'
        f'<text {FONT} font-size="{size}" y="{size * 0.95:.1f}" fill="{TEAL}">{bottom}</text>'
    )


def sign(text: str, size: float, colour: str = BLUE) -> str:
    """Returns a sign such as + or =, centred on the origin."""
    return f'<text {FONT} font-size="{size}" y="{size * 0.36:.1f}" fill="{colour}">{text}</text>'


def shape(name: str) -> str:
    """Returns the inside of a drawing in the folder `shapes`."""
    text = (HERE / "shapes" / f"{name}.svg").read_text("utf-8")
    return text[text.index(">") + 1 : text.rindex("</svg>")]


def hoopoe(face: str = "hoopoe", scale: float = 1.1) -> str:
    """Returns the bird of the course at its usual place."""
    return moved(130, 320, shape(face), scale)


def jug(parts: int, level: float) -> str:
    """Returns a measuring jug, 150 wide and 240 high from the origin down, filled to `level` parts."""
    step, deep = 216 / parts, 216 / parts * level
    water = f'<rect x="8" y="{232 - deep:.1f}" width="134" height="{deep:.1f}" rx="8" fill="{TEAL}"/>'
    marks = "".join(f"M8 {232 - step * n:.1f}h{40 if n == parts else 28}" for n in range(1, parts + 1))
    lines = f'<path d="{marks}" stroke="{BLUE}" stroke-width="4" stroke-linecap="round"/>'
    return water + shape("jug") + lines


def balance(tilt: float, left: str, right: str) -> str:
    """Returns a balance standing on the origin; `tilt` in degrees, right side down when positive."""
    drop = 170 * math.sin(math.radians(tilt))
    beam = moved(0, -200, shape("balance-beam"), turn=tilt)
    first, second = moved(0, 124, left) + shape("balance-pan"), moved(0, 124, right) + shape("balance-pan")
    return shape("balance-foot") + beam + moved(-170, -200 - drop, first) + moved(170, -200 + drop, second)


def weight(parts: int, taken: int, colour: str) -> str:
    """Returns a fraction of a 132 wide bar as a load standing on the origin, with its number above."""
    width = 132 * taken / parts
    return moved(-width / 2, -34, bar(width, 32, taken, taken, colour)) + moved(0, -66, fraction(taken, parts, 25))


# The pictures of the films: each takes how far its scene has come, from 0 to 1.


def whole_pizza(now: float) -> str:
    return moved(330, 175, pizza(118, 1, 1), grown(now, 0, 0.25)) + hoopoe()


def unfair_cut(now: float) -> str:
    gap = 16 * grown(now, 0.25, 0.5)
    big, small = pizza_slice(118, 0.28, 1, True), pizza_slice(118, 0, 0.28, True)
    pair = moved(0, 0, shape("plate"), 1.18) + moved(-gap, gap, big) + moved(gap, -gap, small)
    cross = faded(grown(now, 0.5, 0.6), moved(520, 100, shape("cross")))
    return moved(330, 175, pair) + cross + hoopoe("hoopoe-puzzled")


def shared(now: float, parts: int) -> str:
    """Returns a pizza that comes apart in equal parts, and what one of them is called."""
    written = moved(545, 170, fraction(1, parts, 72), grown(now, 0.65, 0.8))
    return moved(330, 175, pizza(118, parts, parts, 14 * grown(now, 0.25, 0.5))) + written + hoopoe()


def halves(now: float) -> str:
    return shared(now, 2)


def quarters(now: float) -> str:
    return shared(now, 4)


def three_quarters(now: float) -> str:
    written = moved(500, 170, fraction(3, 4, 88), grown(now, 0.45, 0.65))
    taken = max(1, counted(now, 0.02, 0.4, 3))
    return moved(250, 175, pizza(125, 4, taken, 6)) + written


def top_and_bottom(now: float) -> str:
    low = faded(grown(now, 0.02, 0.12), moved(470, 240, bar(130, 34, 4, 4, TEAL)))
    high = faded(grown(now, 0.52, 0.62), moved(470, 80, bar(130, 34, 4, 3, CORAL)))
    return moved(370, 160, fraction(3, 4, 120)) + low + high + hoopoe(scale=1.2)


def fifths(now: float) -> str:
    first = bar(400, 70, 5, counted(now, 0.25, 0.5, 2), ORANGE)
    second = bar(400, 70, 5, counted(now, 0.6, 0.95, 4), TEAL)
    written = moved(65, 105, fraction(2, 5, 44)) + moved(65, 245, fraction(4, 5, 44))
    return moved(120, 70, first) + moved(120, 210, second) + written


def fifths_compared(now: float) -> str:
    return fifths(1) + faded(grown(now, 0.5, 0.62), shape("ring") + moved(576, 318, shape("hoopoe"), 0.7))


def third_and_sixth(now: float) -> str:
    left = moved(180, 145, pizza(96, 3, 1 if now > 0.1 else 0)) + moved(180, 296, fraction(1, 3, 36))
    return left + moved(460, 145, pizza(96, 6, 1 if now > 0.35 else 0)) + moved(460, 296, fraction(1, 6, 36))


def third_is_more(now: float) -> str:
    return third_and_sixth(1) + moved(320, 145, sign("&gt;", 90, CORAL), grown(now, 0.55, 0.7))


def balanced(now: float) -> str:
    swing = 9 * math.sin(now * 26) * (1 - grown(now, 0.15, 0.6))
    load = weight(2, 1, CORAL), weight(4, 2, ORANGE)
    same = moved(320, 84, sign("=", 84, CORAL), grown(now, 0.7, 0.8))
    return moved(320, 342, balance(swing, *load)) + same


def jug_scene(level: float, writing: str) -> str:
    """Returns a jug of six parts with what is written beside it."""
    return moved(172, 60, jug(6, level)) + writing + moved(80, 322, shape("hoopoe"), 0.95)


def empty_jug(now: float) -> str:
    return jug_scene(0, moved(500, 175, fraction(1, 6, 72), grown(now, 0.5, 0.7)))


def poured(now: float) -> str:
    return jug_scene(2 * grown(now, 0.1, 0.75), moved(500, 175, fraction(2, 6, 72), grown(now, 0.4, 0.6)))


def poured_more(now: float) -> str:
    more = moved(515, 175, sign("+", 44)) + moved(565, 175, fraction(3, 6, 48))
    writing = moved(462, 175, fraction(2, 6, 48)) + faded(grown(now, 0.2, 0.4), more)
    return jug_scene(2 + 3 * grown(now, 0.1, 0.75), writing)


def summed(now: float) -> str:
    terms = moved(430, 175, fraction(2, 6, 42)) + moved(470, 175, sign("+", 38)) + moved(510, 175, fraction(3, 6, 42))
    total = moved(550, 175, sign("=", 38)) + moved(594, 175, fraction(5, 6, 48), grown(now, 0.5, 0.7))
    return jug_scene(5, terms + total)


def rule(now: float) -> str:
    ring = '<rect width="212" height="46" rx="20" fill="none" stroke="{}" stroke-width="5"/>'
    above = faded(grown(now, 0.02, 0.1) - 0.75 * grown(now, 0.3, 0.4), moved(407, 124, ring.format(CORAL)))
    below = faded(grown(now, 0.3, 0.4), moved(407, 181, ring.format(TEAL)))
    return summed(1) + above + below


def full_jug(now: float) -> str:
    whole = moved(462, 175, fraction(6, 6, 60)) + moved(530, 175, sign("=", 50)) + moved(585, 175, sign("1", 84, CORAL))
    return jug_scene(5 + grown(now, 0.05, 0.4), faded(grown(now, 0.4, 0.55), whole))


# fmt: off
PICTURES: tuple[Callable[[float], str], ...] = (
    whole_pizza, unfair_cut, halves, quarters, three_quarters, top_and_bottom, fifths, fifths_compared,
    third_and_sixth, third_is_more, balanced, empty_jug, poured, poured_more, summed, rule, full_jug,
)
# fmt: on
DRAWINGS = {picture.__name__: picture for picture in PICTURES}


@dataclass(frozen=True)
class Scene:
    """One sentence of a film with its picture, and when it is shown."""

    text: dict[str, str]
    drawing: str
    sound: bytes
    start_seconds: float
    seconds: float


def spoken(sentence: str, folder: Path) -> bytes:
    """Returns the sentence as 16-bit mono samples, with a rest before and after it."""
    path = folder / "sentence.wav"
    speech = ["espeak-ng", "-v", "en-us", "-s", str(WORDS_PER_MINUTE), "-g", "1", "-w", str(path), sentence]
    subprocess.run(speech, check=True)
    with wave.open(str(path)) as sound:
        samples: bytes = sound.readframes(sound.getnframes())
    return bytes(2 * int(SAMPLE_RATE * LEAD_SECONDS)) + samples + bytes(2 * int(SAMPLE_RATE * PAUSE_SECONDS))


def read_scenes(lesson: str, folder: Path) -> list[Scene]:
    """Returns the scenes of a film; a scene lasts as long as its sentence."""
    scenes: list[Scene] = []
    start_seconds = 0.0
    for row in tomllib.loads((HERE / "films.toml").read_text("utf-8"))[lesson]:
        sound = spoken(row["en"], folder)
        seconds = len(sound) / 2 / SAMPLE_RATE
        scenes.append(Scene(row, row["drawing"], sound, start_seconds, seconds))
        start_seconds += seconds
    return scenes


def rasterised(body: str) -> bytes:
    """Returns a frame as PNG."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">{shape("backdrop")}{body}</svg>'
    drawn = subprocess.run(["rsvg-convert", "-w", str(WIDTH)], input=svg.encode(), capture_output=True, check=True)
    return drawn.stdout


def frames(scenes: list[Scene]) -> Iterator[bytes]:
    """Yields every frame of a film; a picture that stands still is drawn once."""
    last_body, last_frame, number = "", b"", 0
    for scene in scenes:
        while number / FRAMES_PER_SECOND < scene.start_seconds + scene.seconds:
            now = max(0.0, number / FRAMES_PER_SECOND - scene.start_seconds) / scene.seconds
            body = DRAWINGS[scene.drawing](now)
            if body != last_body:
                last_body, last_frame = body, rasterised(body)
            yield last_frame
            number += 1


def write_film(scenes: list[Scene], sound: Path, path: Path) -> None:
    """Encodes the film so that old tablets play it and it starts before it is all there."""
    rate = str(FRAMES_PER_SECOND)
    options = f"-c:v libx264 -profile:v baseline -level 3.0 -pix_fmt yuv420p -crf 26 -g {FRAMES_PER_SECOND * 5}"
    options += " -preset veryslow -tune animation -c:a aac -b:a 40k -af loudnorm=I=-18:TP=-2 -ar 44100"
    options += " -shortest -movflags +faststart -fflags +bitexact"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "image2pipe", "-framerate", rate, "-i", "-", "-f", "s16le"]
    command += ["-ar", str(SAMPLE_RATE), "-ac", "1", "-i", str(sound), *options.split(), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for frame in frames(scenes):
            encoder.stdin.write(frame)
    if encoder.returncode:
        raise SystemExit(f"ffmpeg ended with {encoder.returncode}")


def clock(seconds: float) -> str:
    """Returns a WebVTT time."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 60000:02}:{milliseconds // 1000 % 60:02}.{milliseconds % 1000:03}"


def captions(scenes: list[Scene], language: str) -> str:
    """Returns the WebVTT captions of a film in one language."""
    cues = ["WEBVTT"]
    for number, scene in enumerate(scenes, 1):
        start = clock(scene.start_seconds + LEAD_SECONDS / 2)
        end = clock(scene.start_seconds + scene.seconds - PAUSE_SECONDS / 3)
        cues.append(f"{number}\n{start} --> {end}\n{scene.text[language]}")
    return "\n\n".join(cues) + "\n"


def write_poster(drawing: str, path: Path) -> None:
    """Writes the last picture of a scene as the poster."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "image2pipe", "-i", "-", "-q:v", "4"]
    subprocess.run([*command, str(path)], input=rasterised(DRAWINGS[drawing](1)), check=True)


def make(lesson: str, poster: str) -> None:
    """Makes the film of a lesson and everything that goes with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = read_scenes(lesson, folder)
        (folder / "film.pcm").write_bytes(b"".join(scene.sound for scene in scenes))
        write_film(scenes, folder / "film.pcm", HERE / lesson / "film.mp4")
    for language in ("en", "ar"):
        (HERE / lesson / f"film.{language}.vtt").write_text(captions(scenes, language), "utf-8")
    write_poster(poster, HERE / lesson / "film.jpg")


POSTERS = {"equal-parts": "quarters", "comparing": "balanced", "adding": "summed"}


def main() -> None:
    """Makes the film named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description="Makes the films of the course, their posters and captions.")
    parser.add_argument("lesson", nargs="?", choices=POSTERS, help="only this lesson")
    lesson: str | None = parser.parse_args().lesson
    for name in [lesson] if lesson else POSTERS:
        make(name, POSTERS[name])


if __name__ == "__main__":
    main()
