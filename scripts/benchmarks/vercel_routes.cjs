// What Vercel does with requests: its own converter makes the routes, a small evaluator walks them.
// stdin: {"module": path of @vercel/routing-utils, "cases": [{"config", "requests": [{path, host, headers, cookies, query}], "files"}]}
// stdout: one list of {location, status, headers} for each case, or {"error"} where the converter refuses the file.
'use strict';
const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const { getTransformedRoutes } = require(input.module);

function conditionsHold(route, request, captured) {
  for (const item of route.has || []) if (!holds(item, request, captured)) return false;
  for (const item of route.missing || []) if (holds(item, request, {})) return false;
  return true;
}

function holds(item, request, captured) {
  const tables = { header: request.headers, cookie: request.cookies, query: request.query };
  const key = item.type === 'header' ? item.key.toLowerCase() : item.key;
  const value = item.type === 'host' ? request.host : tables[item.type][key];
  if (!value) return false;
  if (!item.value) {
    captured[item.key] = value;
    return true;
  }
  const found = value.match(new RegExp(`^${item.value.re || item.value}$`));
  if (!found) return false;
  Object.assign(captured, found.groups || {});
  if (item.type === 'host') captured.host = found[0];
  return true;
}

const filled = (text, match, captured) =>
  text.replace(/\$(\d+|[A-Za-z_]\w*)/g, (_, name) =>
    (/^\d+$/.test(name) ? match[Number(name)] : (match.groups || {})[name] ?? captured[name]) || '');

function walk(routes, request, files) {
  const headers = {};
  for (const route of routes) {
    if (route.handle) {
      if (route.handle === 'filesystem' && files.includes(request.path)) break;
      continue;
    }
    const match = new RegExp(route.src, route.caseSensitive ? '' : 'i').exec(request.path);
    const captured = {};
    if (!match || !conditionsHold(route, request, captured)) continue;
    for (const [key, value] of Object.entries(route.headers || {})) headers[key.toLowerCase()] = filled(value, match, captured);
    if (route.continue) continue;
    if (route.status >= 300 && route.status < 400 && headers.location !== undefined) {
      const { location, ...rest } = headers;
      return { location, status: route.status, headers: rest };
    }
    if (route.dest === undefined) return { location: request.path, status: route.status || null, headers };
    let location = filled(route.dest, match, captured);
    if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(location) && !location.startsWith('/')) location = `/${location}`;
    return { location, status: route.status || null, headers };
  }
  return { location: request.path, status: null, headers };
}

const answers = input.cases.map(({ config, requests, files }) => {
  const { routes, error } = getTransformedRoutes(config);
  if (error) return { error: error.message };
  return requests.map((request) => walk(routes || [], request, files || []));
});
process.stdout.write(JSON.stringify(answers));
