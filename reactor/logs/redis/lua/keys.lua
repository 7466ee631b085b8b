-- The names of the keys. Each function is called with no keys: {prefix, channels, ...} are its first two arguments.
-- Redis Cluster, which wants them beforehand, is refused when a log is opened.
--
-- A run id has no ":" and a prefix has none, so the names of two runs, or of two logs, are never the same.

-- redis.call itself is not there while the library is loaded.
local function call(...)
  return redis.call(...)
end

-- What belongs to a run. Of all runs of a tenant: with an empty run id.
local function of_run(prefix, tenant, run, kind)
  return prefix .. ':' .. tenant .. ':' .. run .. ':' .. kind
end

-- What belongs to the whole log.
local function of_log(prefix, kind)
  return prefix .. ':' .. kind
end

-- A run as a member of a set: "tenant:run".
local function member(tenant, run)
  return tenant .. ':' .. run
end

local function parts(name)
  return string.match(name, '^(.*):([^:]*)$')
end

-- Whole numbers up to 2^53, as Redis writes them.
local function text(number)
  return string.format('%d', number)
end

local function number(value)
  return tonumber(value or '0') or 0
end

-- The time of Redis, in milliseconds.
local function now_ms()
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function register(name, callback, flags)
  redis.register_function{function_name = LIBRARY .. '_' .. name, callback = callback, flags = flags or {}}
end
