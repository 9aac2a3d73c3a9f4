import { answer } from "@/answers/answer";
import { event } from "@/answers/sse";
import { log } from "@/log";
import { question } from "@/notes/rules";
import { fromElsewhere, ownerFor } from "@/owner";

const LARGEST = 8_192; // bytes of a request; a question of 500 characters needs far less

/** `{"question": "…"}` → server-sent events of what `answer` tells. The reader going away ends the work. */
export async function POST(request: Request): Promise<Response> {
  if (fromElsewhere(request)) return Response.json({ problem: "ask from our own page" }, { status: 403 });
  if (Number(request.headers.get("content-length") ?? 0) > LARGEST) {
    return Response.json({ problem: "that is too long" }, { status: 413 });
  }
  const body = (await request.json().catch(() => undefined)) as { question?: unknown } | undefined;
  const asked = question.safeParse(body?.question);
  if (!asked.success) {
    const problem = asked.error.issues[0]?.message ?? "Ask something.";
    return Response.json({ problem }, { status: 422 });
  }

  const owner = ownerFor(request);
  const gone = new AbortController();
  request.signal.addEventListener("abort", () => gone.abort(), { once: true });
  const progress = answer(owner.id, asked.data, gone.signal);
  const encoder = new TextEncoder();
  const started = performance.now();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = await progress.next();
        if (next.done) {
          log("info", "answered", { milliseconds: Math.round(performance.now() - started), request: request.headers.get("x-request-id") });
          controller.close();
        } else controller.enqueue(encoder.encode(event(next.value)));
      } catch (error) {
        if (gone.signal.aborted) return;
        log("error", "an answer failed", { error });
        controller.enqueue(encoder.encode(event({ type: "failed", notice: "That did not work. Please ask again." })));
        controller.close();
      }
    },
    cancel: () => gone.abort(),
  });
  const headers = new Headers({ "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store, no-transform" });
  if (owner.cookie) headers.set("set-cookie", owner.cookie);
  return new Response(stream, { headers });
}
