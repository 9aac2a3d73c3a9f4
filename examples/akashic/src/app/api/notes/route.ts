import { log } from "@/log";
import { newNote } from "@/notes/rules";
import { addNote } from "@/notes/store";
import { fromElsewhere, ownerFor } from "@/owner";

/** Write a note down: a plain form, so that it works without scripts and in the page of an older release. */
export async function POST(request: Request): Promise<Response> {
  if (fromElsewhere(request)) return Response.json({ problem: "write from our own page" }, { status: 403 });
  const form = await request.formData().catch(() => undefined);
  if (!form) return Response.json({ problem: "send the fields as a form" }, { status: 415 });
  const headers = new Headers({ "cache-control": "no-store" });
  const note = newNote.safeParse(Object.fromEntries(form));
  if (!note.success) {
    headers.set("location", `/?problem=${String(note.error.issues[0]?.path[0])}#write`);
    return new Response(null, { status: 303, headers });
  }
  const owner = ownerFor(request);
  const id = await addNote(owner.id, note.data);
  log("info", "note written", { note: id, request: request.headers.get("x-request-id") });
  if (owner.cookie) headers.set("set-cookie", owner.cookie);
  headers.set("location", "/?written=1");
  return new Response(null, { status: 303, headers });
}
