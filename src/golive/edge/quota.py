"""Quotas in the routes: a script that asks the process that counts, before a request goes on.

A script of the Lua filter, which is in every listener and turned on by route, and not Envoy's own filter for global
limits: that one would have to be put into the listeners of a machine when its first app has a quota, and a listener
that changes cuts the streams that are open on it (rule 2). Nothing is rendered for a route without quotas.
"""

from __future__ import annotations

from typing import Final

from golive.blueprint.models import Quota
from golive.edge.model import Site
from golive.edge.resource import Json, typed
from golive.edge.rules import ADD_QUERY, QUERY

UPSTREAM: Final = "quota"

SCRIPT: Final = (
    ADD_QUERY.replace("function envoy_on_request", "local function add_query")
    + """
local warned = 0

local function value_of(one, headers)
  local sent = one["header"] and headers:get(one["header"])
  if sent then return "header " .. sent end
  if one["all"] then return "all" end
  return "client " .. (headers:get("x-envoy-external-address") or "")
end

local function ask(handle, context, headers)
  local lines = {context:get("place")}
  for _, one in ipairs(context:get("quotas")) do
    lines[#lines + 1] = one["what"] .. "\\t" .. value_of(one, headers)
  end
  local request = {[":method"] = "POST", [":path"] = "/", [":authority"] = "quota"}
  for _ = 1, 2 do
    local answer, text = handle:httpCall("quota", request, table.concat(lines, "\\n"), 1500)
    local status = answer[":status"]
    if status == "200" or status == "429" or status == "424" then return status, answer, text end
  end
  return "424", {}, nil
end

local function refuse(handle, status, fields, text)
  local headers = handle:headers()
  fields[":status"] = status
  if string.find(headers:get("content-type") or "", "application/grpc", 1, true) then
    fields["grpc-status"] = status == "429" and "8" or "14"
    fields["grpc-message"] = text
  elseif string.find(headers:get("accept") or "", "application/json", 1, true) then
    fields["content-type"] = "application/json"
    local id = headers:get("x-request-id") or ""
    text = '{"error":"' .. text .. '","status":' .. status .. ',"request_id":"' .. id .. '"}\\n'
  else
    fields["content-type"] = "text/plain; charset=utf-8"
    text = status .. " " .. text .. ".\\n"
  end
  handle:respond(fields, text)
end

local function counted(handle)
  local headers, own = handle:headers(), handle:filterContext():get("own")
  if headers:get(":method") == "OPTIONS" or (own and headers:get("x-golive-probe") == own) then return true end
  local status, answer, text = ask(handle, handle:filterContext(), headers)
  local context = handle:filterContext() -- the one before the call is gone
  if status == "424" then
    if os.time() - warned >= 10 then
      warned = os.time()
      handle:logWarn("golive: the quotas of " .. context:get("place") .. " cannot be counted")
    end
    if not context:get("closed") then return true end
    local fields = {["retry-after"] = "2"}
    refuse(handle, "503", fields, "Requests cannot be counted right now. Try again in a moment")
    return false
  end
  local fields = {}
  for _, name in ipairs(context:get("fields")) do fields[name] = answer[name] end
  if status == "429" then
    fields["retry-after"] = answer["retry-after"]
    refuse(handle, status, fields, text)
    return false
  end
  local kept = handle:streamInfo():dynamicMetadata()
  for name, value in pairs(fields) do kept:set("golive.quota", name, value) end
  return true
end

function envoy_on_request(handle)
  if counted(handle) and handle:filterContext():get("parts") then add_query(handle) end
end

function envoy_on_response(handle)
  local kept = handle:streamInfo():dynamicMetadata():get("golive.quota") or {}
  for name, value in pairs(kept) do handle:headers():replace(name, value) end
end
"""
)
STANDARD: Final = ("ratelimit-policy", "ratelimit")
"""draft-ietf-httpapi-ratelimit-headers."""
USUAL: Final = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
"""Not beside a rate limit, which sends them too."""


def added(filters: Json, site: Site, quotas: tuple[tuple[str, Quota], ...], *, limited: bool) -> Json:
    """The per-route settings with the script; a query that a rewrite adds is added by the same one.

    `quotas` are of services by name; `limited` says that a rate limit applies too.
    """
    before = filters.get(QUERY, {}).get("filter_context", {})
    context: Json = {
        **before,
        "place": f"{site.app}/{site.environment}",
        "quotas": [_asked(service, one) for service, one in quotas],
        "fields": [*STANDARD, *(() if limited else USUAL)],
    }
    if any(one.when_away == "closed" for _, one in quotas):
        context["closed"] = True
    if site.probe:
        context["own"] = site.probe.reveal()
    kind = "extensions.filters.http.lua.v3.LuaPerRoute"
    return filters | {QUERY: typed(kind, source_code={"inline_string": SCRIPT}, filter_context=context)}


def _asked(service: str, one: Quota) -> Json:
    """`what` is: scope, count and period, tab-separated."""
    made: Json = {"what": f"{service} {one.path or '/'} {one.per.lower()}\t{one.limit.count}\t{one.limit.period}"}
    if one.per == "service":
        made["all"] = True
    elif one.per.startswith("header:"):
        made["header"] = one.per.removeprefix("header:").lower()
    return made
