"""From an HTTP request to its answer: who asks, what, what goes wrong, and what is sent."""

import gzip
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol, cast

from tornado.web import Application, RequestHandler

from pipeline.simulator.api import METHODS, Api, Question
from pipeline.simulator.credentials import Auth, Authority, basic_credentials
from pipeline.simulator.district.district import District
from pipeline.simulator.faults.board import Faults, spoil
from pipeline.simulator.faults.fault import Fault
from pipeline.simulator.faults.wire import WIRE, Wire, play
from pipeline.simulator.log import LoggedRequest, RequestLog
from pipeline.simulator.protocol import Protocol as Settings
from pipeline.simulator.replies import LOGIN_PAGE, Reply

_TOKEN_QUERY = "OAuth2_AccessToken"  # noqa: S105 - a part of the address


class Host(Protocol):
    """What handlers need of the server that they belong to."""

    district: District
    protocol: Settings
    api: Api
    authority: Authority
    faults: Faults
    requests: RequestLog

    async def pause(self, seconds: float) -> None:
        """Wait, but not when the server is told to stop."""

    def holding(self, wire: Wire) -> AbstractContextManager[None]:
        """Remember, meanwhile, a connection that the HTTP server no longer knows."""


def make_application(host: Host) -> Application:
    """All addresses of the server. Whatever is not the API shows a login page, with status 200."""
    with_host = {"host": host}
    return Application(
        [
            (r"/(?:live|dna)/rest_server\.php/Api/(.*?)/?", _ApiHandler, with_host),
            (r"/(?:live|dna)/?", _FrontDoor, with_host),
        ],
        default_handler_class=_FrontDoor,
        default_handler_args=with_host,
        log_function=lambda _handler: None,
    )


class _Handler(RequestHandler):
    """What all addresses have in common: the way from an answer to the wire."""

    def initialize(self, host: Host) -> None:
        self.host = host
        self.params = {
            name: values[-1].decode("utf-8", "replace")
            for name, values in self.request.query_arguments.items()
        }

    def compute_etag(self) -> None:
        """Nothing: the real server sends no ETag."""

    async def answer(
        self, endpoint: str, auth: Auth, reply: Reply, question: Question | None = None
    ) -> None:
        """Log the request and send the reply, unless a fault has other plans."""
        fault = None
        if auth != "refused":
            fault = self.host.faults.take(endpoint, question, self.host.api)
        if self.host.protocol.latency_seconds:
            await self.host.pause(self.host.protocol.latency_seconds)
        if fault is None:
            self._remember(endpoint, auth, question, reply.status, None)
            self._send(reply)
        elif fault.kind in WIRE:
            self._remember(endpoint, auth, question, 0, fault)
            wire = Wire(self.detach())
            with self.host.holding(wire):
                await play(fault.kind, wire, reply, fault.value)
        else:
            reply = spoil(fault, reply, question, self.host.api)
            self._remember(endpoint, auth, question, reply.status, fault)
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        accepted = self.request.headers.get("Accept-Encoding", "")
        if (
            self.host.protocol.gzip
            and "gzip" in accepted
            and "Content-Encoding" not in reply.headers
        ):
            headers = {**reply.headers, "Content-Encoding": "gzip"}
            reply = replace(reply, body=gzip.compress(reply.body, mtime=0), headers=headers)
        self.set_status(reply.status)
        self.set_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        self.finish(reply.body)

    def _remember(
        self,
        endpoint: str,
        auth: Auth,
        question: Question | None,
        status: int,
        fault: Fault | None,
    ) -> None:
        peer = cast(Any, self.request.connection).context.address
        self.host.requests.add(
            LoggedRequest(
                time=time.monotonic(),
                endpoint=endpoint,
                assessment_id=question.assessment_id if question else None,
                page=question.page if question else None,
                status=int(status),
                auth=auth,
                connection=peer[1],
                fault=fault.kind if fault else None,
                params=self.params,
                line=f"{self.request.method} {self.request.uri}",
            )
        )

    def _error(self, status: HTTPStatus) -> Reply:
        return Reply(self.host.protocol.error_body.encode(), status, LOGIN_PAGE.content_type)


class _ApiHandler(_Handler):
    """Everything under `rest_server.php/Api/`."""

    async def get(self, method: str) -> None:
        host = self.host
        authorization = self.request.headers.get("Authorization", "")
        auth = host.authority.check("GET", self.request.full_url(), authorization)
        endpoint = METHODS.get(method, "sites" if method == "Sites" else "other")
        question = None
        if method in METHODS:
            question = Question.read(endpoint, self.params, host.protocol)
        if auth in {"none", "refused"}:
            reply = self._error(HTTPStatus.UNAUTHORIZED)
        else:
            reply = self._reply(method, question)
        await self.answer(endpoint, auth, reply, question)

    def _reply(self, method: str, question: Question | None) -> Reply:
        host = self.host
        if question is not None:
            body = host.api.body(question)
            return Reply(body) if body is not None else self._error(HTTPStatus.NOT_FOUND)
        lists = {"Sites": host.district.sites, "GradeLevels": host.district.grade_levels}
        if method in lists:
            return Reply(host.api.to_json(lists[method]))
        return self._error(HTTPStatus.NOT_FOUND)


class _FrontDoor(_Handler):
    """Where tokens are given out, and the login page of everything else."""

    async def get(self, *_path: str) -> None:
        await self.answer("other", "none", LOGIN_PAGE)

    async def post(self, *_path: str) -> None:
        if _TOKEN_QUERY not in self.params:
            await self.answer("other", "none", LOGIN_PAGE)
            return
        user, password = basic_credentials(self.request.headers.get("Authorization", ""))
        token = self.host.authority.issue(
            self.get_body_argument("client_id", user),
            self.get_body_argument("client_secret", password),
        )
        if self.get_body_argument("grant_type", "") != "client_credentials":
            await self.answer("token", "refused", self._error(HTTPStatus.BAD_REQUEST))
        elif token is None:
            await self.answer("token", "refused", self._error(HTTPStatus.UNAUTHORIZED))
        else:
            await self.answer("token", "none", Reply(self.host.api.to_json(token)))
