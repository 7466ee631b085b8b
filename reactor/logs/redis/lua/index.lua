-- The list of runs.

local RECORD = {'workflow', 'version', 'status', 'created', 'first', 'last', 'parent', 'root', 'position', 'epoch'}

-- {run, the fields of RECORD ..., tenant}; nil for a run without events.
local function record_of(prefix, tenant, run)
  local values = call('HMGET', of_run(prefix, tenant, run, 'run'), unpack(RECORD))
  if not values[6] then
    return nil
  end
  local record = {run}
  for i = 1, #RECORD do
    record[i + 1] = values[i] or ''
  end
  record[#record + 1] = tenant
  return record
end

-- prefix, channels, tenant, run
local function record(_, args)
  return record_of(args[1], args[3], args[4]) or false
end
register('record', record, {'no-writes'})

-- The sets that have all runs that are wanted; args[7 ...]: status, workflow, parent, root, question, since, until, open,
-- and a digest for each member of meta.
local function lists_of(prefix, tenant, args)
  local lists = {}
  local function add(run, kind)
    lists[#lists + 1] = of_run(prefix, tenant, run, kind)
  end
  if args[7] ~= '' then add('', 'status.' .. args[7]) end
  if args[8] ~= '' then add('', 'workflow.' .. args[8]) end
  if args[9] ~= '' then add(args[9], 'children') end
  if args[10] ~= '' then add(args[10], 'tree') end
  if args[11] ~= '' then add('', 'asking') end
  if args[14] ~= '' then add('', 'open') end
  for i = 15, #args do add('', 'meta.' .. args[i]) end
  if #lists == 0 then add('', 'runs') end
  return lists
end

-- Moves the shortest one to the front.
local function shortest_first(lists)
  local shortest, length = 1, nil
  for i, list in ipairs(lists) do
    local count = call('ZCARD', list)
    if not length or count < length then
      shortest, length = i, count
    end
  end
  lists[1], lists[shortest] = lists[shortest], lists[1]
end

-- The number of the first run up to which there is one that has begun then or later; nil where there is none.
local function first_later(prefix, tenant, time)
  local runs = of_run(prefix, tenant, '', 'runs')
  local low, high = 0, call('ZCARD', runs)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local run = call('ZRANGE', runs, middle, middle)[1]
    if number(call('HGET', of_run(prefix, tenant, run, 'run'), 'latest')) >= time then
      high = middle
    else
      low = middle + 1
    end
  end
  return tonumber(call('ZRANGE', runs, low, low, 'WITHSCORES')[2])
end

-- Between which numbers those are that have begun in a span of time: from the first, below the second.
local function span_of(prefix, tenant, below, since, until_time)
  local low, high = '-inf', tonumber(below) or math.huge
  if since ~= '' then
    low = first_later(prefix, tenant, tonumber(since)) or math.huge
  end
  if until_time ~= '' then
    local late = number(call('HGET', of_log(prefix, 'meta'), 'late'))
    high = math.min(high, first_later(prefix, tenant, tonumber(until_time) + late) or math.huge)
  end
  return low == math.huge and '+inf' or low, high == math.huge and '+inf' or '(' .. text(high)
end

-- Those of {run, number, run, number, ...} that are in all other lists too.
local function in_all(lists, seen)
  local runs = {}
  for i = 1, #seen, 2 do
    runs[#runs + 1] = seen[i]
  end
  for i = 2, #lists do
    if #runs == 0 then
      return runs
    end
    local left = {}
    for at, score in ipairs(call('ZMSCORE', lists[i], unpack(runs))) do
      if score then
        left[#left + 1] = runs[at]
      end
    end
    runs = left
  end
  return runs
end

local function is_between(prefix, tenant, run, since, until_time)
  if since == '' and until_time == '' then
    return true
  end
  local began = tonumber(call('HGET', of_run(prefix, tenant, run, 'run'), 'began') or nil)
  return began and (since == '' or began >= tonumber(since)) and (until_time == '' or began < tonumber(until_time))
end

-- prefix, channels, tenant, below, limit, scan, and what lists_of says: below is a number or "+inf".
-- Answers {where to look on or "", record, ...}: it looks at "scan" runs, so that others have their turn.
local function records(_, args)
  local prefix, tenant, limit, scan = args[1], args[3], tonumber(args[5]), tonumber(args[6])
  local lists = lists_of(prefix, tenant, args)
  shortest_first(lists)
  local low, high = span_of(prefix, tenant, args[4], args[12], args[13])
  local answer = {''}
  local seen = call('ZREVRANGEBYSCORE', lists[1], high, low, 'WITHSCORES', 'LIMIT', 0, scan)
  for _, run in ipairs(in_all(lists, seen)) do
    if is_between(prefix, tenant, run, args[12], args[13]) then
      local found = record_of(prefix, tenant, run)
      if found then
        answer[#answer + 1] = found
        if #answer > limit then
          return answer
        end
      end
    end
  end
  if #seen == scan * 2 then
    answer[1] = seen[#seen]
  end
  return answer
end
register('records', records, {'no-writes'})

-- prefix, channels, above, scan: the runs that have not ended, the oldest first, as {where to look on or "", record, ...}
local function unfinished(_, args)
  local answer = {''}
  local above, scan = args[3], tonumber(args[4])
  local seen = call('ZRANGEBYSCORE', of_log(args[1], 'unfinished'), '(' .. above, '+inf', 'WITHSCORES', 'LIMIT', 0, scan)
  for i = 1, #seen, 2 do
    local tenant, run = parts(seen[i])
    local found = record_of(args[1], tenant, run)
    if found then
      answer[#answer + 1] = found
    end
  end
  if #seen == scan * 2 then
    answer[1] = seen[#seen]
  end
  return answer
end
register('unfinished', unfinished, {'no-writes'})

-- --- deleting ---

-- Remembers a run that is deleted for readers of all runs; of the first of them, only up to where they were.
local function remember_removed(prefix, tenant, run, values, most)
  local removed, meta = of_log(prefix, 'removed'), of_log(prefix, 'meta')
  local entry = cjson.encode({tenant, run, values.last, values.workflow, values.parent or cjson.null})
  call('ZADD', removed, values.position, values.position .. ' ' .. entry)
  if call('ZCARD', removed) > most then
    local gone = call('ZPOPMIN', removed)
    if number(gone[2]) > number(call('HGET', meta, 'forgotten')) then
      call('HSET', meta, 'forgotten', gone[2])
    end
  end
end

-- prefix, channels, tenant, run, how many removed runs are remembered
-- Answers OK; {UNKNOWN}; {OPEN, status}. What it leaves behind is taken away by sweep.
local function delete(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  local hash = of_run(prefix, tenant, run, 'run')
  local names = {'last', 'status', 'workflow', 'parent', 'root', 'position', 'ended', 'number', 'meta'}
  local known, values = call('HMGET', hash, unpack(names)), {}
  for i, name in ipairs(names) do
    values[name] = known[i] or nil
  end
  if not values.last then
    return {'UNKNOWN'}
  elseif not values.ended then
    return {'OPEN', values.status}
  end
  remember_removed(prefix, tenant, run, values, tonumber(args[5]))
  call('ZREM', of_run(prefix, tenant, '', 'runs'), run)
  call('ZREM', of_run(prefix, tenant, '', 'status.' .. values.status), run)
  call('ZREM', of_run(prefix, tenant, '', 'workflow.' .. values.workflow), run)
  call('ZREM', of_run(prefix, tenant, values.root, 'tree'), run)
  call('ZREM', of_log(prefix, 'ended'), member(tenant, run))
  if values.parent then
    call('ZREM', of_run(prefix, tenant, values.parent, 'children'), run)
  end
  for _, digest in ipairs(cjson.decode(values.meta or '[]')) do
    call('ZREM', of_run(prefix, tenant, '', 'meta.' .. digest), run)
  end
  -- its windows stand in the order of all windows too: sweep takes them away step by step
  local rest = of_log(prefix, 'gone.' .. values.position)
  call('RENAME', of_run(prefix, tenant, run, 'events'), rest)
  call('SADD', of_log(prefix, 'gone'), rest)
  forget_answers(prefix, tenant, run)
  call('UNLINK', hash, of_run(prefix, tenant, run, 'blobs'), of_run(prefix, tenant, run, 'checkpoints'))
  return 'OK'
end
register('delete', delete, {'allow-oom'})

-- prefix, channels, scan: takes away so many windows of deleted runs; answers whether there are more.
local function sweep(_, args)
  local gone = of_log(args[1], 'gone')
  local rest = call('SRANDMEMBER', gone)
  if not rest then
    return 0
  end
  local entries = call('XRANGE', rest, '-', '+', 'COUNT', args[3])
  local ids, positions = {}, {}
  for i, entry in ipairs(entries) do
    ids[i], positions[i] = entry[1], '0-' .. entry[2][4]
  end
  if #ids > 0 then
    call('XDEL', of_log(args[1], 'windows'), unpack(positions))
    call('XDEL', rest, unpack(ids))
  end
  if #ids < tonumber(args[3]) then
    call('SREM', gone, rest)
    call('UNLINK', rest)
  end
  return call('SCARD', gone) > 0 and 1 or 0
end
register('sweep', sweep, {'allow-oom'})

-- prefix, channels, tenant, run, first, until, base, scan: deletes the oldest windows of a run that has ended, up to the
-- one that ends with "until"; "first" is what the caller has seen as the first seq. Answers OK, MORE, or {CHANGED}.
local function trim(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  local hash, events = of_run(prefix, tenant, run, 'run'), of_run(prefix, tenant, run, 'events')
  local known = call('HMGET', hash, 'first', 'ended')
  if known[1] ~= args[5] or not known[2] then
    return {'CHANGED'}
  end
  local entries = call('XRANGE', events, '-', '0-' .. args[6], 'COUNT', args[8])
  local ids, positions = {}, {}
  for i, entry in ipairs(entries) do
    ids[i], positions[i] = entry[1], '0-' .. entry[2][4]
  end
  if #ids > 0 then
    call('XDEL', of_log(prefix, 'windows'), unpack(positions))
    call('XDEL', events, unpack(ids))
  end
  for _, seq in ipairs(call('HKEYS', of_run(prefix, tenant, run, 'blobs'))) do
    if tonumber(seq) <= tonumber(args[6]) then
      call('HDEL', of_run(prefix, tenant, run, 'blobs'), seq)
    end
  end
  if #ids == tonumber(args[8]) then
    return 'MORE'
  end
  call('HSET', hash, 'first', text(tonumber(args[6]) + 1), 'base', args[7])
  return 'OK'
end
register('trim', trim, {'allow-oom'})
