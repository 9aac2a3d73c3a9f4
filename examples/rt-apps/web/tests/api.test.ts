import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, ApiError, explain } from "../lib/api.js";

const ana = { id: "1", email: "ana@example.com", name: "Ana", bio: "", created_at: "2026-01-01T00:00:00Z" };

/** An API that signs `tokens` one after another and takes only the last. */
function server() {
  const asked: { path: string; token: string; body: unknown }[] = [];
  const state = { token: 0, life: 900, refreshable: true, clock: 0 };
  const session = (user?: object) => ({ user, access_token: `t${++state.token}`, expires_in: state.life });
  const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
    new Response(status === 204 ? null : JSON.stringify(body), { status, headers });
  const fetch = async (url: unknown, init: RequestInit = {}) => {
    const path = String(url);
    const token = new Headers(init.headers).get("Authorization") ?? "";
    asked.push({ path, token, body: init.body && JSON.parse(String(init.body)) });
    await new Promise((resolve) => setImmediate(resolve));
    if (path === "/api/v1/login") return answer(200, session(ana));
    if (path === "/api/v1/logout") return answer(204, null);
    if (path === "/api/v1/refresh") return state.refreshable ? answer(200, session()) : answer(401, { error: "no" });
    return token === `Bearer t${state.token}` ? answer(200, ana) : answer(401, { error: "no" });
  };
  const api = new Api({ fetch: fetch as typeof globalThis.fetch, lock: (work) => work(), now: () => state.clock });
  return { api, asked, state, paths: () => asked.map((request) => request.path.slice("/api/v1".length)) };
}

test("signs in and uses the token until it is about to end", async () => {
  const { api, state, paths } = server();
  assert.equal((await api.login("ana@example.com", "secret")).name, "Ana");
  await api.profile();
  assert.deepEqual(paths(), ["/login", "/profile"]);
  state.clock = 880_000;
  await api.profile();
  assert.deepEqual(paths(), ["/login", "/profile", "/refresh", "/profile"]);
});

test("a page that was just opened renews first, once, however many ask", async () => {
  const { api, paths } = server();
  await Promise.all([api.profile(), api.profile(), api.change({ bio: "x" })]);
  assert.equal(paths().filter((path) => path === "/refresh").length, 1);
});

test("a token that the API refuses is renewed, and only once", async () => {
  const { api, state, paths } = server();
  await api.login("ana@example.com", "secret");
  state.token++;
  await api.profile();
  assert.deepEqual(paths(), ["/login", "/profile", "/refresh", "/profile"]);
});

test("nobody signed in is a 401, and nothing is kept after signing out", async () => {
  const { api, asked, state } = server();
  await api.login("ana@example.com", "secret");
  await api.logout();
  state.refreshable = false;
  await assert.rejects(api.profile(), (error: ApiError) => error.status === 401);
  assert.equal(asked.at(-1)?.token, "");
});

test("faults are told by field, limits with the time to wait, a lost network as such", async () => {
  const refuse = (status: number, body: string, headers = {}) =>
    new Api({ fetch: async () => new Response(body, { status, headers }), lock: (work) => work() });
  await assert.rejects(refuse(422, '{"error":"not valid","fields":{"email":"must be one"}}').login("x", "y"), (error: ApiError) => {
    assert.deepEqual(error.fields, { email: "must be one" });
    return explain(error) === "Please look at the marked fields.";
  });
  await assert.rejects(refuse(429, "{}", { "Retry-After": "90" }).login("x", "y"), (error) => explain(error) === "Too many tries. Please wait 2 minutes.");
  await assert.rejects(refuse(502, "<html>").login("x", "y"), (error) => explain(error) === "The server answered 502.");
  const offline = new Api({ fetch: async () => Promise.reject(new TypeError("failed")), lock: (work) => work() });
  await assert.rejects(offline.login("x", "y"), (error: ApiError) => error.status === 0);
});
