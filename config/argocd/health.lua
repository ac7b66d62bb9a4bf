-- The health of a TradingBot and of an AssetRegistry for Argo CD, from their conditions.
-- docs/operations.md has the table of phases, conditions and health.
--
-- A bot that is paused, off hours or halted is Healthy: it is as its spec and limits want it.
-- Suspended would keep a sync wave waiting, as everything but Healthy and Degraded does.

-- Bots that trade without a known risk, and AssetRegistries with failed assets.
local degraded = { ReportStale = true, NoReport = true, AssetsDegraded = true }

local health = { status = "Progressing", message = "Waiting for the operator" }
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "The object is being deleted"
  return health
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local ready, stalled = nil, nil
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" and condition.status == "True" then
    stalled = condition
  end
end
if stalled ~= nil then
  health.status = "Degraded"
  health.message = stalled.reason .. ": " .. stalled.message
elseif ready ~= nil then
  if ready.status == "True" then
    health.status = "Healthy"
  elseif ready.status == "False" and degraded[ready.reason] then
    health.status = "Degraded"
  end
  health.message = ready.reason .. ": " .. ready.message
end
return health
