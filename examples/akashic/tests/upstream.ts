import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Mood = "well" | "refusing" | "breaking" | "silent" | "garbled" | "redirecting";
export type Asked = { readonly key: string | undefined; readonly body: { model: string; messages: { content: string }[] } };

/** An OpenAI-compatible upstream in the mood that a test wants. */
export class Upstream {
  mood: Mood = "well";
  readonly asked: Asked[] = [];
  open = 0;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Upstream> {
    const upstream: Upstream = new Upstream(createServer((request, response) => void upstream.answer(request, response)));
    upstream.server.listen(0, "127.0.0.1");
    await once(upstream.server, "listening");
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    this.asked.push({ key: request.headers.authorization, body: JSON.parse(text) as Asked["body"] });
    this.open += 1;
    response.on("close", () => (this.open -= 1));
    if (this.mood === "refusing") return void response.writeHead(429).end("no");
    if (this.mood === "redirecting") return void response.writeHead(307, { location: "http://127.0.0.1:9/steal" }).end();
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (this.mood === "silent") return void response.flushHeaders();
    const piece = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\r\n\r\n`;
    const whole = Buffer.from(piece("Repair the ") + piece("tiles — “café” 🏠.") + "data: [DONE]\n\n");
    if (this.mood === "garbled") return void response.end("data: {oops\n\n");
    const end = this.mood === "breaking" ? 70 : whole.length;
    for (let at = 0; at < end; at += 7) {
      response.write(whole.subarray(at, Math.min(at + 7, end))); // cut in the middle of events and of characters
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.mood === "breaking") response.destroy();
    else response.end();
  }
}
