import { leave } from "@/courses/store";
import { log } from "@/log";

type Context = { params: Promise<{ receipt: string }> };

/** Give up the place of a receipt. Doing so twice is no fault. */
export async function POST(_: Request, { params }: Context): Promise<Response> {
  const { receipt } = await params;
  if (await leave(receipt)) log("info", "place given up");
  return new Response(null, { status: 303, headers: { location: "/?left=1", "cache-control": "no-store" } });
}
