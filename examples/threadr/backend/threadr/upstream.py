"""An OpenAI-compatible upstream that writes the text of a thread."""

from __future__ import annotations

import json
from typing import Any

from threadr.settings import Settings
from threadr.split import clean

_TASK = (
    "Rewrite the article as a thread. Write short paragraphs of one to three sentences, each worth reading by itself, "
    "in the article's own language, separated by blank lines. No numbers, no hashtags, no comment of your own."
)
_LONGEST = 100_000


class UpstreamFailed(Exception):
    """One sentence for the reader, without the key or the upstream's own words."""


async def rewrite(settings: Settings, article: str) -> str:
    """The thread's text. UpstreamFailed when there is none in time."""
    import httpx  # a tenth of a second that a Threadr without a key never pays

    body = {
        "model": settings.openai_model,
        "messages": [{"role": "system", "content": _TASK}, {"role": "user", "content": article}],
    }
    headers = {"Authorization": f"Bearer {settings.openai_api_key}"}
    timeout = httpx.Timeout(settings.openai_timeout, connect=min(5.0, settings.openai_timeout))
    try:
        # No redirects: the key goes to the host it was meant for and to no other.
        async with httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client:
            response = await client.post(f"{settings.openai_base_url}/chat/completions", json=body, headers=headers)
    except httpx.TimeoutException:
        raise UpstreamFailed(f"The language model did not answer within {settings.openai_timeout:g} s.") from None
    except httpx.HTTPError as error:
        raise UpstreamFailed(f"The language model cannot be reached ({type(error).__name__}).") from None
    return read_answer(response.status_code, response.text)


def read_answer(status: int, body: str) -> str:
    """The text in a chat completion."""
    if status in (401, 403):
        raise UpstreamFailed(f"The language model refused the server's key ({status}).")
    if status != 200:
        raise UpstreamFailed(f"The language model answered {status}.")
    try:
        answer: Any = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        raise UpstreamFailed("The language model's answer was not a chat completion.") from None
    text = clean(answer) if isinstance(answer, str) else ""
    if not text or len(text) > _LONGEST:
        raise UpstreamFailed("The language model's answer had no usable text.")
    return text
