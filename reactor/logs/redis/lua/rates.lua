-- Rates that several nodes share: at most so many starts in any time of a length. A ticket, "incarnation:number", asks for
-- a start of each of its rates at once: it gets all of them, or waits at one that has none. Its rates are a JSON list of
-- {name, starts, milliseconds}.
--
-- A start that is granted counts without an end until its node says that the body starts, and then for the time of the
-- rate. So it does not matter how long an answer takes: no window has too many.

do
local DAY = 86400000
local MOST = 100 -- tickets that are served in one call

local function started(prefix, name)
  return of_log(prefix, 'rates.' .. name)
end

local function waiting(prefix, name)
  return of_log(prefix, 'queue.rates.' .. name)
end

-- Milliseconds until a start may be free; 0 where one is. What a node has not begun before it died may have been begun.
local function free_in(prefix, rate, now)
  local key, most, per = started(prefix, rate[1]), rate[2], rate[3]
  call('ZREMRANGEBYSCORE', key, '-inf', text(now))
  local over = call('ZCARD', key) - most
  if over < 0 then
    return 0
  end
  for _, ticket in ipairs(call('ZRANGEBYSCORE', key, 'inf', 'inf', 'LIMIT', 0, MOST)) do
    if not is_alive(prefix, ticket, now) then
      call('ZADD', key, text(now + per), ticket)
    end
  end
  local ends = call('ZRANGE', key, over, over, 'WITHSCORES')[2]
  return ends == 'inf' and per or tonumber(ends) - now
end

-- The first of these rates that has nothing for a ticket with this number, and for how many milliseconds. None overtakes.
local function obstacle(prefix, rates, number, now)
  for _, rate in ipairs(rates) do
    local wait = free_in(prefix, rate, now)
    local first = call('ZRANGE', waiting(prefix, rate[1]), 0, 0, 'WITHSCORES')[2]
    if wait > 0 or first and tonumber(first) < number then
      return rate[1], math.max(wait, 1)
    end
  end
end

local function grant(prefix, channels, ticket, rates)
  for _, rate in ipairs(rates) do
    call('ZADD', started(prefix, rate[1]), 'inf', ticket)
    call('PEXPIRE', started(prefix, rate[1]), text(rate[3] + DAY))
  end
  call('PUBLISH', channels .. '!' .. parts(ticket), 'slot ' .. ticket)
end

-- Gives what is free to those who wait at a rate, in their order. One that finds another of its rates without a start
-- waits there, and keeps its number. Returns the milliseconds until the first has a chance; nil where nobody waits.
local function serve(prefix, channels, name, now)
  local queue = waiting(prefix, name)
  for _ = 1, MOST do
    local entry, number = unpack(call('ZRANGE', queue, 0, 0, 'WITHSCORES'))
    if not entry then
      return nil
    end
    local ticket, json = string.match(entry, '^(%S+) (.*)$')
    if is_alive(prefix, ticket, now) then
      local rates = cjson.decode(json)
      local where, wait = obstacle(prefix, rates, tonumber(number), now)
      if where == name then
        return wait
      elseif where then
        call('ZADD', waiting(prefix, where), number, entry)
      else
        grant(prefix, channels, ticket, rates)
      end
    end
    call('ZREM', queue, entry)
  end
  return 1
end

-- The number of one that waits, at whichever of its rates.
local function number_of(prefix, rates, entry)
  for _, rate in ipairs(rates) do
    local found = call('ZSCORE', waiting(prefix, rate[1]), entry)
    if found then
      return tonumber(found)
    end
  end
end

-- prefix, channels, ticket, rates: 0 where it has its starts; else it waits, is told, and asks again in so many milliseconds.
local function rate_take(_, args)
  local prefix, ticket, rates, now = args[1], args[3], cjson.decode(args[4]), now_ms()
  local entry, first = ticket .. ' ' .. args[4], rates[1][1]
  if call('ZSCORE', started(prefix, first), ticket) then
    return 0
  end
  local place, least = number_of(prefix, rates, entry), DAY
  if not place then
    place = call('HINCRBY', of_log(prefix, 'meta'), 'tickets', 1)
    call('ZADD', waiting(prefix, first), place, entry)
  end
  for _, rate in ipairs(rates) do
    least = math.min(least, serve(prefix, args[2], rate[1], now) or DAY)
  end
  if call('ZSCORE', started(prefix, first), ticket) then
    return 0
  end
  -- it may have gone to a rate whose queue had been served before
  local _, wait = obstacle(prefix, rates, place, now)
  return math.min(least, wait or 1)
end
register('rate_take', rate_take)

-- prefix, channels, ticket, rates: its body starts now.
local function rate_start(_, args)
  local prefix, ticket, now = args[1], args[3], now_ms()
  for _, rate in ipairs(cjson.decode(args[4])) do
    local key = started(prefix, rate[1])
    if (call('ZSCORE', key, ticket) or 'inf') == 'inf' then
      call('ZADD', key, text(now + rate[3] + 1), ticket) -- a part of a millisecond has passed
    end
  end
  return 'OK'
end
register('rate_start', rate_start, {'allow-oom'})

-- prefix, channels, ticket, rates: it wants no start any more.
local function rate_give(_, args)
  local prefix, ticket, rates, now = args[1], args[3], cjson.decode(args[4]), now_ms()
  for _, rate in ipairs(rates) do
    call('ZREM', waiting(prefix, rate[1]), ticket .. ' ' .. args[4])
    if call('ZSCORE', started(prefix, rate[1]), ticket) == 'inf' then
      call('ZREM', started(prefix, rate[1]), ticket)
    end
  end
  for _, rate in ipairs(rates) do
    serve(prefix, args[2], rate[1], now)
  end
  return 'OK'
end
register('rate_give', rate_give, {'allow-oom'})
end
