"""The two tables of the hub's routes, one for the network, one for its own commands; no other module adds a route."""

from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from sync.hub import api, carry_pages, control, depot, pages, tus, waiting
from sync.transport.http import ACKS_PATH, BUNDLES_PATH, ENROLL_PATH, INTRODUCTIONS_PATH
from sync.transport.tus import UPLOADS_PATH


@dataclass(frozen=True)
class Route:
    """One method and path."""

    method: str
    path: str
    handler: Handler


PUBLIC = (
    Route("GET", "/ping", api.ping),
    Route("POST", BUNDLES_PATH, api.take_bundle),
    Route("OPTIONS", BUNDLES_PATH, carry_pages.allow_courier),
    Route("POST", ENROLL_PATH, api.enroll),
    Route("POST", INTRODUCTIONS_PATH, api.introduce),
    Route("POST", ACKS_PATH, waiting.take_ack),
    Route("GET", BUNDLES_PATH + "/{name}", waiting.send_bundle),
    # Every method, because one of them may stand in a header for another.
    Route("*", UPLOADS_PATH, tus.answer),
    Route("*", UPLOADS_PATH + "/{name}", tus.answer),
    Route("GET", "/depot/{name:.+}", depot.send_file),
    Route("HEAD", "/depot/{name:.+}", depot.send_file),
    Route("GET", "/carry", carry_pages.show),
    Route("POST", "/carry", carry_pages.take),
    Route("GET", "/carry/answers.tar", carry_pages.send_answers),
    Route("GET", "/", pages.overview),
    Route("GET", "/hand-ins", pages.hand_ins),
    Route("GET", "/hub.css", pages.style),
    Route("GET", "/icon.svg", pages.icon),
    Route("POST", "/codes", pages.make_code),
    Route("POST", "/messages", pages.send_message),
    Route("POST", "/tickets", pages.make_ticket),
    Route("POST", "/revoke", pages.revoke),
    Route("POST", "/sign-in", pages.sign_in),
    Route("POST", "/sign-out", pages.sign_out),
)
CONTROL = (Route("POST", "/control/{name}", control.operate),)


def add_routes(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Put a table into an application."""
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
