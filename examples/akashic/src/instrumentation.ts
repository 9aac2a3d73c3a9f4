import type { Instrumentation } from "next";

/** Once, before the server takes a request. */
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME === "nodejs") await (await import("./boot")).start();
}

export const onRequestError: Instrumentation.onRequestError = async (error, request, context) => {
  const { log } = await import("./log");
  const id = request.headers["x-request-id"];
  log("error", "request failed", { error, method: request.method, path: request.path, route: context.routePath, request: id });
};
