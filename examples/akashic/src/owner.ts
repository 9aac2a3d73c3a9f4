import "server-only";
import { createHash, randomBytes } from "node:crypto";

export const COOKIE = "akashic";
const YEAR = 365 * 24 * 60 * 60;
const FORM = /^[\w-]{32}$/;

export type Owner = { readonly id: string; readonly cookie: string | undefined };

/** Whose notes a cookie opens: only its digest is ever stored. Undefined when it is none of ours. */
export function ownerOf(cookie: string | undefined): string | undefined {
  return cookie && FORM.test(cookie) ? createHash("sha256").update(cookie).digest("hex") : undefined;
}

function cookieOf(request: Request): string | undefined {
  const pairs = (request.headers.get("cookie") ?? "").split(/;\s*/);
  return pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
}

/** The owner that a request is from; a new one, and the Set-Cookie that makes it last, when it is from nobody yet. */
export function ownerFor(request: Request): Owner {
  const known = ownerOf(cookieOf(request));
  if (known) return { id: known, cookie: undefined };
  const value = randomBytes(24).toString("base64url");
  const secure = request.headers.get("x-forwarded-proto") === "https" ? "; Secure" : "";
  const cookie = `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${YEAR}${secure}`;
  return { id: ownerOf(value) as string, cookie };
}

/** Whether a browser sent this for a page of another site. Programs that are no browser say nothing, and may. */
export function fromElsewhere(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  return site !== null && site !== "same-origin" && site !== "none";
}
