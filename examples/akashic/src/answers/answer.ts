import "server-only";
import { createHash } from "node:crypto";
import { cached, keep } from "@/cache";
import { serverEnv } from "@/env/server";
import type { AnswerSource } from "@/generated/prisma/client";
import { log } from "@/log";
import { notesAbout, recordQuestion, type Found } from "@/notes/store";
import { ask, modelIsThere, UpstreamFailed } from "./model";
import { fromNotes, messages } from "./prompt";

export type Progress =
  | { readonly type: "notes"; readonly titles: readonly string[] }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "done"; readonly source: AnswerSource; readonly notice?: string }
  | { readonly type: "failed"; readonly notice: string };

const HOUR = 60 * 60;

/** Notes never change once written, so the same words about the same notes have the same answer. */
function cacheKey(question: string, notes: readonly Found[]): string {
  const parts = [serverEnv().OPENAI_MODEL, question.toLowerCase().replace(/\s+/g, " "), ...notes.map(({ id }) => id)];
  return `akashic:answer:${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}

/** The answer to a question, as it is made. With no model, or a model that fails before its first word, the notes speak. */
export async function* answer(owner: string, question: string, stop: AbortSignal): AsyncGenerator<Progress> {
  const notes = await notesAbout(owner, question);
  yield { type: "notes", titles: notes.map(({ title }) => title) };

  let text = "";
  let source: AnswerSource = "notes";
  let notice: string | undefined;
  if (notes.length > 0 && modelIsThere()) {
    const key = cacheKey(question, notes);
    const known = await cached(key);
    if (known !== undefined) {
      [text, source] = [known, "cache"];
      yield { type: "text", text };
    } else {
      try {
        for await (const piece of ask(messages(question, notes), stop)) {
          text += piece;
          yield { type: "text", text: piece };
        }
        source = "model";
        if (text) await keep(key, text, HOUR);
      } catch (fault) {
        if (!(fault instanceof UpstreamFailed)) throw fault;
        log("warn", "the model failed", { error: fault, begun: text !== "" });
        if (text) return yield { type: "failed", notice: "The answer broke off. Please ask again." };
        notice = "The language model could not be asked; this is what the notes say.";
      }
    }
  }
  if (!text) {
    [text, source] = [fromNotes(notes), "notes"];
    yield { type: "text", text };
  }
  await recordQuestion(owner, question, text, source);
  yield notice === undefined ? { type: "done", source } : { type: "done", source, notice };
}
