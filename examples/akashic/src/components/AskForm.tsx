"use client";

import { useState, type FormEvent } from "react";
import type { Progress } from "@/answers/answer";
import { eventsOf, textOf } from "@/answers/sse";

type State = { titles: readonly string[]; text: string; notice: string; busy: boolean };

const QUIET: State = { titles: [], text: "", notice: "", busy: false };
const FAILED = "That did not work. Please ask again.";

function after(state: State, progress: Progress): State {
  if (progress.type === "notes") return { ...state, titles: progress.titles };
  if (progress.type === "text") return { ...state, text: state.text + progress.text };
  return { ...state, busy: false, notice: progress.notice ?? "" };
}

/** Asks, and shows the answer as it is written. */
export function AskForm({ longest }: { longest: number }) {
  const [state, setState] = useState(QUIET);

  async function send(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const question = new FormData(event.currentTarget).get("question");
    setState({ ...QUIET, busy: true });
    let ended = false;
    try {
      const headers = { "content-type": "application/json" };
      const response = await fetch("/api/ask", { method: "POST", headers, body: JSON.stringify({ question }) });
      if (!response.ok || !response.body) {
        const refusal = (await response.json().catch(() => ({}))) as { problem?: string };
        return setState({ ...QUIET, notice: refusal.problem ?? FAILED });
      }
      for await (const data of eventsOf(textOf(response.body))) {
        const progress = JSON.parse(data) as Progress;
        ended = progress.type === "done" || progress.type === "failed";
        setState((state) => after(state, progress));
      }
    } catch {
      // what has come stays on the page; the notice says that there is no more
    }
    if (!ended) setState((state) => ({ ...state, busy: false, notice: FAILED }));
  }

  return (
    <form onSubmit={send} className="card">
      <label htmlFor="question">Your question</label>
      <div className="row">
        <input id="question" name="question" required maxLength={longest} autoComplete="off" />
        <button type="submit" disabled={state.busy}>
          {state.busy ? "Asking…" : "Ask"}
        </button>
      </div>
      <noscript>Answers are written as you watch, which needs JavaScript. Notes work without.</noscript>
      {state.titles.length > 0 && <p className="quiet">From: {state.titles.join(", ")}</p>}
      <p id="answer" className="answer" role="status" aria-live="polite" aria-busy={state.busy}>
        {state.text}
      </p>
      <p className="problem" role="alert">
        {state.notice}
      </p>
    </form>
  );
}
