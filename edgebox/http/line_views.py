"""The page about the line: what crossed it, what is left, what goes next, when and for how much; and its tariff."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from content_packs.base.budget import Window, parse_window
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.tariff import CURRENCY_MAX
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.render import page, page_words
from edgebox.http.staff import problem_text, size_text
from edgebox.keys import BOX
from edgebox.services.meter import Reading
from sync.engine.lanes import FILE_HOURS_BYTES, FILE_SOON_BYTES, MEGABYTE, Lane, Step, Tariff

HERE = "/staff/line"
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_MOST = 10**9
_MICROS = 1_000_000
_LANE_TEXTS = {
    Lane.CLOSING: N_("Finished work and receipts"),
    Lane.PROGRESS: N_("What learners do"),
    Lane.SMALL: N_("Small updates and files"),
    Lane.LARGE: N_("Large packs and files"),
    Lane.TELEMETRY: N_("How the box is doing"),
}


async def show(request: web.Request) -> web.StreamResponse:
    """Show the meter and the tariff."""
    return await _show(request)


async def show_state(request: web.Request) -> web.StreamResponse:
    """Answer with the meter alone, for the page that keeps it fresh."""
    reading = await request.app[BOX].meter.read()
    return page(request, "staff/_line_state.html", is_live=True, **_state(request, reading))


async def change(request: web.Request) -> web.StreamResponse:
    """Take over what staff chose."""
    form = await read_form(request)
    try:
        line = request.app[BOX].line
        await line.set_tariff(_tariff(form))
        await line.set_coarse_times(on=form.get("coarse_times") == "on")
    except EdgeboxError as error:
        return await _show(request, problem_text(request, error), error.status)
    raise web.HTTPSeeOther(f"{HERE}?done=saved")


async def _show(request: web.Request, problem: str = "", status: int = 200) -> web.StreamResponse:
    reading = await request.app[BOX].meter.read()
    is_saved = request.query.get("done") == "saved" and not problem
    return page(
        request,
        "staff/line.html",
        status=status,
        tab="sync",
        problem=problem,
        is_saved=is_saved,
        form=_form(reading.tariff),
        has_coarse_times=await request.app[BOX].line.has_coarse_times(),
        told=reading.told,
        currency_max=CURRENCY_MAX,
        **_state(request, reading),
    )


def _state(request: web.Request, reading: Reading) -> dict[str, Any]:
    words, tariff = page_words(request), reading.tariff
    lanes = [
        {
            "name": words.gettext(_LANE_TEXTS[lane.lane]),
            "today": size_text(lane.today_bytes),
            "month": size_text(lane.month_bytes),
            "waiting": size_text(lane.waiting_bytes) if lane.waiting_bytes else "",
        }
        for lane in reading.lanes
    ]
    return {
        "is_metered": tariff.is_metered,
        "is_time_known": reading.is_time_known,
        "today": size_text(reading.today_bytes),
        "day_limit": "" if tariff.day_bytes is None else size_text(tariff.day_bytes),
        "today_left": "" if reading.today_left_bytes is None else size_text(reading.today_left_bytes),
        "today_percent": _percent(reading.today_bytes, tariff.day_bytes),
        "today_cost": _money(tariff, tariff.cost_micros(reading.today_bytes)),
        "month": size_text(reading.month_bytes),
        "month_limit": "" if tariff.month_bytes is None else size_text(tariff.month_bytes),
        "month_left": "" if reading.month_left_bytes is None else size_text(reading.month_left_bytes),
        "month_cost": _money(tariff, tariff.cost_micros(reading.month_bytes)),
        "lanes": lanes,
        "steps": [_step(request, reading, step) for step in reading.steps],
    }


def _step(request: web.Request, reading: Reading, step: Step) -> dict[str, str]:
    return {
        "name": page_words(request).gettext(_LANE_TEXTS[step.lane]),
        "size": size_text(step.size_bytes),
        "when": _when(request, step.at_ms, reading.offset_minutes),
        "cost": _money(reading.tariff, step.cost_micros),
    }


def _when(request: web.Request, at_ms: int | None, offset_minutes: int) -> str:
    """Return a moment as people say it, by the clock of the place."""
    words, now_ms = page_words(request), request.app[BOX].clock.now_ms()
    if at_ms is None:
        return str(words.gettext("when the box knows the time"))
    if at_ms - now_ms < _MINUTE_MS:
        return str(words.gettext("now"))
    local_ms, today = at_ms + offset_minutes * _MINUTE_MS, (now_ms + offset_minutes * _MINUTE_MS) // _DAY_MS
    at = datetime.fromtimestamp(local_ms // 1000, UTC)
    values = {"day": f"\u2066{at:%Y-%m-%d}\u2069", "time": f"\u2066{at:%H:%M}\u2069"}
    match local_ms // _DAY_MS - today:
        case 0:
            text = words.gettext("today at %(time)s")
        case 1:
            text = words.gettext("tomorrow at %(time)s")
        case _:
            text = words.gettext("on %(day)s at %(time)s")
    return str(text % values)


def _money(tariff: Tariff, micros: int) -> str:
    """Return an amount with its currency, nothing where nobody said what a megabyte costs."""
    if not tariff.price_micros or not tariff.is_metered:
        return ""
    amount = micros / _MICROS
    places = 2 if micros == 0 or amount >= 0.1 else 4
    return f"\u2066{amount:.{places}f}\u00a0{tariff.currency}\u2069".replace("\u00a0\u2069", "\u2069")


def _percent(size_bytes: int, limit_bytes: int | None) -> int | None:
    return None if limit_bytes is None else min(100, 100 * size_bytes // max(limit_bytes, 1))


def _form(tariff: Tariff) -> dict[str, Any]:
    """Return what the form shows of a tariff; of several windows it shows the first."""
    window = str(tariff.windows[0]) if tariff.windows else "22:00-06:00"
    return {
        "is_metered": tariff.is_metered,
        "day_mb": _plain(tariff.day_bytes, MEGABYTE),
        "month_mb": _plain(tariff.month_bytes, MEGABYTE),
        "has_hours": bool(tariff.windows),
        "from": window[:5],
        "to": window[6:],
        "rate_kbit": _plain(tariff.rate_kbit, 1),
        "price": _plain(tariff.price_micros or None, _MICROS),
        "currency": tariff.currency,
        "file_soon_mb": _plain(tariff.file_soon_bytes, MEGABYTE),
        "file_hours_mb": _plain(tariff.file_hours_bytes, MEGABYTE),
    }


def _plain(value: int | None, unit: int) -> str:
    return "" if value is None else f"{value / unit:.6f}".rstrip("0").rstrip(".")


def _tariff(form: dict[str, str]) -> Tariff:
    """Return what was chosen.

    Raises:
        BodyMalformed: a field cannot have been filled in on the page.
    """
    return Tariff(
        is_metered=form.get("is_metered") == "on",
        day_bytes=_number(form, "day_mb", MEGABYTE),
        month_bytes=_number(form, "month_mb", MEGABYTE),
        windows=_windows(form) if form.get("has_hours") == "on" else (),
        rate_kbit=_number(form, "rate_kbit", 1) or None,
        price_micros=_number(form, "price", _MICROS) or 0,
        currency=" ".join(form.get("currency", "").split())[:CURRENCY_MAX],
        file_soon_bytes=_size(form, "file_soon_mb", FILE_SOON_BYTES),
        file_hours_bytes=_size(form, "file_hours_mb", FILE_HOURS_BYTES),
    )


def _number(form: dict[str, str], name: str, unit: int) -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        value = round(float(text) * unit)
    except (ValueError, OverflowError) as error:
        raise problems.BodyMalformed(reason=name) from error
    if not 0 <= value <= _MOST * unit:
        raise problems.BodyMalformed(reason=name)
    return value


def _size(form: dict[str, str], name: str, usual_bytes: int) -> int:
    size_bytes = _number(form, name, MEGABYTE)
    return usual_bytes if size_bytes is None else size_bytes


def _windows(form: dict[str, str]) -> tuple[Window, ...]:
    try:
        window = parse_window(f"{form.get('from', '')}-{form.get('to', '')}")
    except ValueError as error:
        raise problems.BodyMalformed(reason="from") from error
    # From and to the same hour: all day.
    return () if window.start_minutes == window.end_minutes else (window,)
