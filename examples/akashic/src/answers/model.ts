import "server-only";
import { serverEnv } from "@/env/server";
import type { Message } from "./prompt";
import { eventsOf, textOf } from "./sse";

/** The model's upstream did not answer as agreed; the message names no key and none of its words. */
export class UpstreamFailed extends Error {
  override readonly name = "UpstreamFailed";
}

export function modelIsThere(): boolean {
  return Boolean(serverEnv().OPENAI_API_KEY);
}

function piece(data: string): string {
  try {
    const content = (JSON.parse(data) as { choices?: { delta?: { content?: unknown } }[] }).choices?.[0]?.delta?.content;
    return typeof content === "string" ? content : "";
  } catch {
    throw new UpstreamFailed("the upstream sent something that is not JSON");
  }
}

/**
 * The model's answer in pieces, from any upstream that speaks OpenAI's protocol. Throws UpstreamFailed when it refuses,
 * breaks off, or is silent for OPENAI_TIMEOUT seconds. `stop` ends the request.
 */
export async function* ask(messages: readonly Message[], stop: AbortSignal): AsyncGenerator<string> {
  const env = serverEnv();
  const silence = new AbortController();
  const patience = setTimeout(() => silence.abort(), env.OPENAI_TIMEOUT * 1000);
  try {
    const response = await fetch(`${env.OPENAI_BASE_URL.replace(/\/$/, "")}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${env.OPENAI_API_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ model: env.OPENAI_MODEL, messages, stream: true }),
      signal: AbortSignal.any([stop, silence.signal]),
      redirect: "error", // the key goes to OPENAI_BASE_URL and nowhere else
    });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw new UpstreamFailed(`the upstream answered ${response.status}`);
    }
    for await (const data of eventsOf(textOf(response.body))) {
      patience.refresh();
      if (data === "[DONE]") return;
      const content = piece(data);
      if (content) yield content;
    }
    throw new UpstreamFailed("the upstream broke off");
  } catch (fault) {
    if (stop.aborted || fault instanceof UpstreamFailed) throw fault;
    throw new UpstreamFailed(silence.signal.aborted ? "the upstream was silent for too long" : "the upstream could not be reached");
  } finally {
    clearTimeout(patience);
  }
}
