"""Threadr's API: `uvicorn main:app`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from threadr import billing, events, failures, generate, health, logs, plans, socket, threads
from threadr.services import Services
from threadr.settings import Settings

settings = Settings.from_env(os.environ)
logs.configure(settings.log_level)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the app talks to without waiting for it: /readiness says when it answers."""
    async with Services.running(settings) as services:
        app.state.services = services
        yield


app = FastAPI(title="Threadr", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
for part in (health, plans, generate, events, threads, billing, socket):
    app.include_router(part.router)
failures.install(app)
app.add_middleware(
    CORSMiddleware,
    allow_origins=settings.cors_origins,
    allow_credentials=True,
    allow_methods=["GET", "POST"],
    allow_headers=["Content-Type", "Last-Event-ID", logs.HEADER],
    expose_headers=["RateLimit", "RateLimit-Policy", "Retry-After", logs.HEADER],
)
app.add_middleware(logs.RequestLog)
