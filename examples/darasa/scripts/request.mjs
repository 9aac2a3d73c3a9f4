// HTTP as the smoke test needs it: redirects are answers, and *.localhost is this machine (RFC 6761), which not every
// resolver knows. Certificates are checked; NODE_EXTRA_CA_CERTS names a local authority.
import http from "node:http";
import https from "node:https";
import { lookup } from "node:dns";

function resolve(host, options, done) {
  if (!host.endsWith(".localhost")) return lookup(host, options, done);
  return options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
}

/** Status, headers and text of one answer; at most 15 seconds. */
export function request(url, { method = "GET", headers = {}, body } = {}) {
  const { request: open } = url.protocol === "https:" ? https : http;
  return new Promise((answered, failed) => {
    const sent = open(url, { method, headers, lookup: resolve, timeout: 15_000 }, (response) => {
      response.setEncoding("utf8");
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("error", failed);
      response.on("end", () => answered({ status: response.statusCode, headers: response.headers, text }));
    });
    sent.on("timeout", () => sent.destroy(new Error(`no answer from ${url} within 15 s`)));
    sent.on("error", failed);
    sent.end(body);
  });
}
