import { log } from "@/log";
import { removeNote } from "@/notes/store";
import { fromElsewhere, ownerFor } from "@/owner";

type Context = { params: Promise<{ id: string }> };

/** Remove one's own note; a note that is not there, or another's, changes nothing. */
export async function POST(request: Request, { params }: Context): Promise<Response> {
  if (fromElsewhere(request)) return Response.json({ problem: "remove it from our own page" }, { status: 403 });
  const { id } = await params;
  const gone = await removeNote(ownerFor(request).id, id);
  if (gone) log("info", "note removed", { note: id });
  return new Response(null, { status: 303, headers: { location: gone ? "/?removed=1" : "/", "cache-control": "no-store" } });
}
