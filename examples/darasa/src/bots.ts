import { createHmac, timingSafeEqual } from "node:crypto";

/** Nobody reads a course and fills in two fields faster than this; milliseconds. */
export const QUICKEST = 1_500;
/** A page may stay open this long before its form has to be loaded again; milliseconds. */
export const OLDEST = 4 * 60 * 60 * 1000;
/** The field that people do not see and programs fill in. */
export const TRAP = "website";

export type Verdict = "person" | "trapped" | "forged" | "too-fast" | "stale";

function signature(secret: string, subject: string, issued: string): string {
  return createHmac("sha256", secret).update(`${subject}\n${issued}`).digest("base64url");
}

/** What a form for `subject` carries: when it was made, signed. Any instance with the same secret can check it. */
export function formToken(secret: string, subject: string, now: number): string {
  const issued = String(now);
  return `${issued}.${signature(secret, subject, issued)}`;
}

/**
 * Whether a filled-in form comes from somebody who was given it. This is the last of three fences: rate limits and
 * rules about agents and payloads are the edge's, before the application is asked at all.
 */
export function judge(secret: string, subject: string, form: { trap: string; token: string }, now: number): Verdict {
  if (form.trap !== "") return "trapped";
  const [issued = "", given = ""] = form.token.split(".", 2);
  const expected = Buffer.from(signature(secret, subject, issued));
  const actual = Buffer.from(given);
  if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) return "forged";
  const age = now - Number(issued);
  if (age < QUICKEST) return "too-fast";
  return age > OLDEST ? "stale" : "person";
}
