"""The routes of the Docker Engine API that ministack 1.5.33 calls, through docker SDK 7.2, for ECS tasks."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from local.docker_api.container import Container
from local.docker_api.host import ApiError, Host
from local.docker_api.images import tagged
from local.docker_api.logs import STREAMS
from local.docker_api.views import inspect_view, list_view

API_VERSION = "1.44"
STOP_GRACE_SECONDS = 10  # Docker's default
NO_CONTENT, NOT_MODIFIED = 204, 304


def application(host: Host) -> Starlette:
    """The ASGI application. Every route exists with and without a version in front, as ``/v1.44/containers/json``."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, host.reap)
        yield

    api = Api(host)
    routes = [
        Route("/_ping", api.ping),
        Route("/version", api.version),
        Route("/images/create", api.pull_image, methods=["POST"]),
        Route("/images/{name:path}/json", api.inspect_image),
        Route("/containers/json", api.list_containers),
        Route("/containers/create", api.create, methods=["POST"]),
        Route("/containers/{id}/json", api.inspect),
        Route("/containers/{id}/start", api.start, methods=["POST"]),
        Route("/containers/{id}/logs", api.logs),
        Route("/containers/{id}/wait", api.wait, methods=["POST"]),
        Route("/containers/{id}/stop", api.stop, methods=["POST"]),
        Route("/containers/{id}/kill", api.kill, methods=["POST"]),
        Route("/containers/{id}", api.remove, methods=["DELETE"]),
        Route("/{path:path}", api.unsupported, methods=["GET", "HEAD", "POST", "PUT", "DELETE"]),
    ]
    versioned = Mount("/v{version:float}", routes=routes)
    service = Starlette(routes=[versioned, *routes], lifespan=lifespan)
    service.add_exception_handler(ApiError, error_response)  # type: ignore[arg-type]  # typed for any Exception
    return service


class Api:
    """Translates HTTP requests into calls of the host, and results into Docker's responses."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def _container(self, request: Request) -> Container:
        return self._host.container(request.path_params["id"])

    async def ping(self, _: Request) -> Response:
        """Whether the server is up."""
        return PlainTextResponse("OK")

    async def version(self, _: Request) -> Response:
        """The version of the API, by which the SDK chooses its own."""
        return JSONResponse({"ApiVersion": API_VERSION, "MinAPIVersion": API_VERSION})

    async def pull_image(self, request: Request) -> Response:
        """Report a known image as up to date, because nothing is downloaded; an unknown one is a 404."""
        name = f"{request.query_params['fromImage']}:{request.query_params.get('tag') or 'latest'}"
        self._host.image(name)
        return JSONResponse({"status": f"Image is up to date for {name}"})

    async def inspect_image(self, request: Request) -> Response:
        """Describe an image."""
        name = request.path_params["name"]
        config = {"Entrypoint": self._host.image(name).entrypoint}
        return JSONResponse({"Id": tagged(name), "RepoTags": [tagged(name)], "Config": config})

    async def create(self, request: Request) -> Response:
        """Create a container from Docker's JSON body."""
        container = self._host.create(request.query_params.get("name"), await request.json())
        return JSONResponse({"Id": container.id, "Warnings": []}, 201)

    async def list_containers(self, request: Request) -> Response:
        """List running containers, with `all` also the others; only the filter `label` is supported (else 501)."""
        filters = json.loads(request.query_params.get("filters") or "{}")
        if other := filters.keys() - {"label"}:
            raise ApiError(501, f"This engine filters by label, not by {', '.join(sorted(other))}")
        found = self._host.containers(set(filters.get("label", [])))
        return JSONResponse([list_view(c) for c in found if c.status == "running" or flag(request, "all")])

    async def inspect(self, request: Request) -> Response:
        """Describe a container."""
        return JSONResponse(inspect_view(self._container(request)))

    async def start(self, request: Request) -> Response:
        """Start a container; one that was started before is left unchanged (304)."""
        container = self._container(request)
        if container.status != "created":
            return Response(status_code=NOT_MODIFIED)
        self._host.start(container)
        return Response(status_code=NO_CONTENT)

    async def logs(self, request: Request) -> Response:
        """Stream a container's output in Docker's multiplexed format."""
        tail = request.query_params.get("tail", "all")
        frames = self._container(request).log.frames(
            [stream for stream in STREAMS if flag(request, stream)],
            follow=flag(request, "follow"),
            timestamps=flag(request, "timestamps"),
            tail=None if tail == "all" else int(tail),
        )
        return StreamingResponse(frames, media_type="application/vnd.docker.multiplexed-stream")

    async def wait(self, request: Request) -> Response:
        """Wait until a container does not run, Docker's default condition; one that never started returns at once."""
        container = self._container(request)
        if container.status == "running":
            await container.exited.wait()
        return JSONResponse({"StatusCode": container.exit_code})

    async def stop(self, request: Request) -> Response:
        """Send SIGTERM, and SIGKILL after `t` seconds."""
        container = self._container(request)
        if container.status != "running":
            return Response(status_code=NOT_MODIFIED)
        await container.stop(float(request.query_params.get("t", STOP_GRACE_SECONDS)))
        return Response(status_code=NO_CONTENT)

    async def kill(self, request: Request) -> Response:
        """Send a signal, SIGKILL by default; 409 if the container does not run."""
        container = self._container(request)
        if container.status != "running":
            raise ApiError(409, f"Container {container.name} is not running")
        name = request.query_params.get("signal", "SIGKILL")
        container.signal(int(name) if name.isdigit() else signal.Signals["SIG" + name.removeprefix("SIG")])
        return Response(status_code=NO_CONTENT)

    async def remove(self, request: Request) -> Response:
        """Remove a container; one that runs is killed with `force`, and is otherwise a 409."""
        container = self._container(request)
        if container.status == "running":
            if not flag(request, "force"):
                raise ApiError(409, f"Container {container.name} is running: stop it first, or use force")
            await container.kill()
        self._host.remove(container)
        return Response(status_code=NO_CONTENT)

    async def unsupported(self, request: Request) -> Response:
        """Respond to every other request with 501."""
        raise ApiError(501, f"This engine does not serve {request.method} {request.url.path}")


def flag(request: Request, name: str) -> bool:
    """A boolean of the query, by Docker's rule."""
    return request.query_params.get(name, "").lower() not in {"", "0", "no", "false", "none"}


async def error_response(_: Request, error: ApiError) -> Response:
    """An error as Docker's clients read it."""
    return JSONResponse({"message": str(error)}, error.status)
