"use client";

import { useRouter } from "next/navigation";
import { useState, type FormEvent } from "react";
import { clientEnv } from "@/data/env/client";

type Props = { action: string; token: string; problem?: string | undefined };
type Answer = { receipt?: string; problem?: string };

const UNREACHABLE = `We could not be reached. Please try again, or write to ${clientEnv.NEXT_PUBLIC_CONTACT_EMAIL}.`;

/** Sends itself without leaving the page where scripts run, and as any form does where they do not. */
export function EnrolForm({ action, token, problem: before }: Props) {
  const router = useRouter();
  const [problem, setProblem] = useState(before);
  const [busy, setBusy] = useState(false);

  async function send(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      const body = new FormData(event.currentTarget);
      const response = await fetch(action, { method: "POST", body, headers: { accept: "application/json" } });
      const answer = (await response.json()) as Answer;
      if (answer.receipt) return router.push(`/enrolments/${answer.receipt}`);
      setProblem(answer.problem ?? UNREACHABLE);
    } catch {
      setProblem(UNREACHABLE);
    }
    setBusy(false);
  }

  return (
    <form action={action} method="post" onSubmit={send}>
      <label htmlFor="name">Name</label>
      <input id="name" name="name" autoComplete="name" required maxLength={80} />
      <label htmlFor="email">E-mail</label>
      <input id="email" name="email" type="email" autoComplete="email" required maxLength={254} />
      <div className="trap" aria-hidden="true">
        <label htmlFor="website">Leave this empty</label>
        <input id="website" name="website" tabIndex={-1} autoComplete="off" />
      </div>
      <input type="hidden" name="token" value={token} />
      <p className="problem" role="alert">
        {problem}
      </p>
      <button type="submit" disabled={busy}>
        {busy ? "Sending…" : "Enrol"}
      </button>
    </form>
  );
}
