"""HTTP handlers: authenticate a request, apply faults, and send the response."""

import gzip
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from tornado.web import Application, RequestHandler

from pipeline.simulator.api import Query
from pipeline.simulator.credentials import Auth, parse_basic_credentials
from pipeline.simulator.district import schools
from pipeline.simulator.faults.connection import CONNECTION, disturb
from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.faults.fault_injector import apply_fault
from pipeline.simulator.log import LoggedRequest
from pipeline.simulator.responses import LOGIN_PAGE, Response

if TYPE_CHECKING:
    from pipeline.simulator.server import Server

_TOKEN_QUERY = "OAuth2_AccessToken"  # noqa: S105 - a part of the address


def make_application(host: "Server") -> Application:
    """Return the routes of the server; everything but the API is a login page with status 200."""
    with_host = {"host": host}
    return Application(
        [(r"/(?:live|dna)/rest_server\.php/Api/(.*?)/?", _ApiHandler, with_host)],
        default_handler_class=_LoginHandler,
        default_handler_args=with_host,
        log_function=lambda _handler: None,
    )


class _Handler(RequestHandler):
    """Common to all routes: apply a fault, log the request, send the response."""

    def initialize(self, host: "Server") -> None:
        self.host = host
        self.params = {
            name: values[-1].decode("utf-8", "replace")
            for name, values in self.request.query_arguments.items()
        }

    def compute_etag(self) -> None:
        """Send no ETag: the real server sends none."""

    async def respond(
        self, endpoint: str, auth: Auth, response: Response, query: Query | None = None
    ) -> None:
        """Log the request and send the response, or what a fault makes of it."""
        host = self.host
        fault = None if auth == "refused" else host.faults.next_fault(endpoint, query, host.api)
        if host.protocol.latency_seconds:
            await host.pause(host.protocol.latency_seconds)
        if fault is not None and fault.kind in CONNECTION:
            self._record(endpoint, auth, query, 0, fault)
            stream = self.detach()
            host.detached.add(stream)
            await disturb(stream, response, fault)
            return
        if fault is not None:
            response = apply_fault(fault, response, query, host.api)
        self._record(endpoint, auth, query, response.status, fault)
        self._send(response)

    def _send(self, response: Response) -> None:
        accepted = self.request.headers.get("Accept-Encoding", "")
        body, headers = response.body, dict(response.headers)
        if self.host.protocol.gzip and "gzip" in accepted and "Content-Encoding" not in headers:
            body, headers["Content-Encoding"] = gzip.compress(body, mtime=0), "gzip"
        self.set_status(response.status)
        self.set_header("Content-Type", response.content_type)
        for name, value in headers.items():
            self.set_header(name, value)
        self.finish(body)

    def _record(
        self, endpoint: str, auth: Auth, query: Query | None, status: int, fault: Fault | None
    ) -> None:
        _, port = cast(Any, self.request.connection).context.address
        entry = LoggedRequest(
            time=time.monotonic(),
            endpoint=endpoint,
            assessment_id=query.assessment_id if query else None,
            page=query.page if query else None,
            status=int(status),
            auth=auth,
            connection=port,
            fault=fault.kind if fault else None,
            params=self.params,
            line=f"{self.request.method} {self.request.uri}",
        )
        self.host.record(entry)

    def _error(self, status: HTTPStatus) -> Response:
        return Response(self.host.protocol.error_body.encode(), status, LOGIN_PAGE.content_type)


class _ApiHandler(_Handler):
    """Everything under `rest_server.php/Api/`."""

    async def get(self, method: str) -> None:
        host = self.host
        authorization = self.request.headers.get("Authorization", "")
        auth = host.authority.check("GET", self.request.full_url(), authorization)
        query = Query.parse(method, self.params, host.protocol)
        endpoint = query.endpoint if query else "sites" if method == "Sites" else "other"
        if auth in {"none", "refused"}:
            response = self._error(HTTPStatus.UNAUTHORIZED)
        elif query and query.is_of_all and (answer := self._refusal()):
            response = answer
        else:
            body = host.api.body(query) if query else self._list(method)
            response = self._error(HTTPStatus.NOT_FOUND) if body is None else Response(body)
        await self.respond(endpoint, auth, response, query)

    def _refusal(self) -> Response | None:
        """Return the response to a request without an assessment, unless it has results."""
        answer = self.host.protocol.without_assessment.answer
        if answer == "html":
            return LOGIN_PAGE
        return self._error(HTTPStatus(int(answer))) if answer.isdecimal() else None

    def _list(self, method: str) -> bytes | None:
        lists = {"Sites": schools.sites, "GradeLevels": schools.grade_levels}
        return self.host.api.to_json(lists[method]()) if method in lists else None


class _LoginHandler(_Handler):
    """Issues tokens, and shows the login page for everything else."""

    async def get(self) -> None:
        await self.respond("other", "none", LOGIN_PAGE)

    async def post(self) -> None:
        if _TOKEN_QUERY not in self.params:
            await self.respond("other", "none", LOGIN_PAGE)
            return
        user, password = parse_basic_credentials(self.request.headers.get("Authorization", ""))
        token = self.host.authority.issue(
            self.get_body_argument("client_id", user),
            self.get_body_argument("client_secret", password),
        )
        if self.get_body_argument("grant_type", "") != "client_credentials":
            await self.respond("token", "refused", self._error(HTTPStatus.BAD_REQUEST))
        elif token is None:
            await self.respond("token", "refused", self._error(HTTPStatus.UNAUTHORIZED))
        else:
            await self.respond("token", "none", Response(self.host.api.to_json(token)))
