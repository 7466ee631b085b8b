-- Reads the windows of several runs by their positions. None of these writes.

-- Whether this log never had a window there: the position is between the last one before a server began to keep the log
-- and the first one since. Whoever has seen something there has seen what this log has lost.
local function is_left_out(prefix, position)
  local at = tonumber(position)
  local life = call('ZRANGE', of_log(prefix, 'lives'), '(' .. text(at), '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1)[1]
  return life and at < tonumber(life)
end

-- prefix, channels, position: whether the log has lost what was at this position. The one that a server begins behind
-- was nobody's.
local function is_lost_at(_, args)
  return (is_left_out(args[1], args[3]) or call('ZSCORE', of_log(args[1], 'lives'), args[3])) and 1 or 0
end
register('is_lost_at', is_lost_at, {'no-writes'})

local LOST = 'LOST'

local function window_at(prefix, tenant, run, last)
  return call('XRANGE', of_run(prefix, tenant, run, 'events'), '0-' .. last, '0-' .. last)[1]
end

-- {position, run, first, events, the last seq before it}
local function committed(prefix, tenant, run, entry)
  local first = entry[2][2]
  local before = call('XREVRANGE', of_run(prefix, tenant, run, 'events'), '(' .. entry[1], '-', 'COUNT', 1)[1]
  return {entry[2][4], run, first, entry[2][6], before and string.sub(before[1], 3) or '0'}
end

-- prefix, channels, tenant, after, until, limit, bytes, scan, root: the windows of a tenant behind a position, of a tree
-- where root is not "". Answers {where to look on or "", window, ...}.
local function windows(_, args)
  local prefix, tenant, after, top, limit = args[1], args[3], args[4], args[5], tonumber(args[6])
  local room, scan, root = tonumber(args[7]), tonumber(args[8]), args[9]
  local answer, roots = {''}, {}
  local entries = call('XRANGE', of_log(prefix, 'windows'), '(0-' .. after, top, 'COUNT', scan)
  for _, entry in ipairs(entries) do
    local of, run, last = string.match(entry[2][2], '^(.*):([^:]*):(%d+)$')
    if of == tenant and root ~= '' and roots[run] == nil then
      roots[run] = call('HGET', of_run(prefix, tenant, run, 'run'), 'root')
    end
    if of == tenant and (root == '' or roots[run] == root) then
      local window = window_at(prefix, tenant, run, last)
      -- a new run may have the id of one that was deleted, whose windows are still to be swept
      if window and '0-' .. window[2][4] == entry[1] then
        room = room - #window[2][6]
        if room < 0 and #answer > 1 then
          answer[1] = answer[#answer][1]
          return answer
        end
        answer[#answer + 1] = committed(prefix, tenant, run, window)
        if #answer > limit then
          answer[1] = answer[#answer][1]
          return answer
        end
      end
    end
  end
  if #entries == scan then
    answer[1] = string.sub(entries[#entries][1], 3)
  end
  return answer
end

-- prefix, channels, tenant, after, limit, bytes, scan, root: of a root that has ended, nothing behind its last window.
local function tree(_, args)
  local prefix, tenant, after, root = args[1], args[3], args[4], args[8]
  if is_left_out(prefix, after) then
    return {LOST}
  end
  local known = call('HMGET', of_run(prefix, tenant, root, 'run'), 'ended', 'position', 'number', 'root')
  if known[4] and known[4] ~= root then
    return {''}
  end
  local top = known[1] and '0-' .. known[2] or '+'
  local first = call('XRANGE', of_run(prefix, tenant, root, 'events'), '-', '+', 'COUNT', 1)[1]
  if first and number(first[2][4]) - 1 > number(after) then
    after = text(number(first[2][4]) - 1)
  end
  return windows(_, {prefix, '', tenant, after, top, args[5], args[6], args[7], root})
end
register('tree', tree, {'no-writes'})

-- The runs that were deleted, between two positions, as {position, run, last, workflow, parent or ""}. Of those that
-- are forgotten one with an empty run.
local function removed_between(prefix, tenant, after, top, limit, runs)
  local found = {}
  local forgotten = number(call('HGET', of_log(prefix, 'meta'), 'forgotten'))
  if forgotten > number(after) and (top == '+inf' or forgotten <= number(top)) then
    found[1] = {text(forgotten), '', '0', '', ''}
  end
  for _, entry in ipairs(call('ZRANGEBYSCORE', of_log(prefix, 'removed'), '(' .. after, top)) do
    local position, json = string.match(entry, '^(%d+) (.*)$')
    local values = cjson.decode(json)
    if values[1] == tenant and (runs == nil or runs[values[2]]) then
      local parent = values[5] ~= cjson.null and values[5] or ''
      found[#found + 1] = {position, values[2], values[3], values[4], parent}
      if #found >= limit then
        break
      end
    end
  end
  return found
end

-- prefix, channels, tenant, after, limit, bytes, scan: {where to look on or "", {window, ...}, {removed, ...}}
local function whole(_, args)
  local prefix, tenant, after, limit = args[1], args[3], args[4], args[5]
  if is_left_out(prefix, after) then
    return {LOST, {}, {}}
  end
  local found = windows(_, {prefix, '', tenant, after, '+', limit, args[6], args[7], ''})
  local on = table.remove(found, 1)
  local top = on ~= '' and on or '+inf'
  return {on, found, removed_between(prefix, tenant, after, top, tonumber(limit))}
end
register('whole', whole, {'no-writes'})

-- The first window of a run behind a position, found by halving: positions grow with the seqs.
local function first_behind(events, after, last)
  local low, high, middle = 0, last, 0
  while low < high do
    local entry = call('XRANGE', events, '0-' .. text(middle), '+', 'COUNT', 1)[1]
    if not entry then
      return nil
    elseif number(entry[2][4]) > after then
      high = middle
    else
      low = number(string.sub(entry[1], 3)) + 1
    end
    middle = math.floor((low + high) / 2)
  end
  return call('XRANGE', events, '0-' .. text(low), '+', 'COUNT', 1)[1]
end

-- prefix, channels, tenant, after, limit, bytes, run, ...: {whether there may be more, {window, ...}, {removed, ...}}
local function of_runs(_, args)
  local prefix, tenant, after, limit, room = args[1], args[3], args[4], tonumber(args[5]), tonumber(args[6])
  if is_left_out(prefix, after) then
    return {LOST, {}, {}}
  end
  local heads, wanted = {}, {}
  for i = 7, #args do
    local run = args[i]
    wanted[run] = true
    local known = call('HMGET', of_run(prefix, tenant, run, 'run'), 'last', 'position')
    if known[1] and number(known[2]) > number(after) then
      local events = of_run(prefix, tenant, run, 'events')
      heads[#heads + 1] = {run, events, first_behind(events, number(after), number(known[1]))}
    end
  end
  local found, top = {}, '+inf'
  while #found < limit do
    local best
    for _, head in ipairs(heads) do
      if head[3] and (not best or number(head[3][2][4]) < number(best[3][2][4])) then
        best = head
      end
    end
    if not best then
      break
    end
    room = room - #best[3][2][6]
    if room < 0 and #found > 0 then
      top = found[#found][1]
      break
    end
    found[#found + 1] = committed(prefix, tenant, best[1], best[3])
    best[3] = call('XRANGE', best[2], '(' .. best[3][1], '+', 'COUNT', 1)[1]
  end
  if #found == limit then
    top = found[#found][1]
  end
  return {'', found, removed_between(prefix, tenant, after, top, limit, wanted)}
end
register('of_runs', of_runs, {'no-writes'})
