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

-- The smallest set in which a list is found: by parent or root, by status, by workflow, or all.
local function list_of(prefix, tenant, wanted)
  if wanted.parent ~= '' then
    return of_run(prefix, tenant, wanted.parent, 'children')
  elseif wanted.root ~= '' then
    return of_run(prefix, tenant, wanted.root, 'tree')
  elseif wanted.status ~= '' then
    return of_run(prefix, tenant, '', 'status.' .. wanted.status)
  elseif wanted.workflow ~= '' then
    return of_run(prefix, tenant, '', 'workflow.' .. wanted.workflow)
  end
  return of_run(prefix, tenant, '', 'runs')
end

local function fits(found, wanted)
  return (wanted.workflow == '' or wanted.workflow == found[2]) and (wanted.status == '' or wanted.status == found[4])
    and (wanted.parent == '' or wanted.parent == found[8]) and (wanted.root == '' or wanted.root == found[9])
end

-- prefix, channels, tenant, below, limit, scan, status, workflow, parent, root: below is a number or "+inf".
-- Answers {where to look on or "", record, ...}: it looks at "scan" runs, so that others have their turn.
local function records(_, args)
  local prefix, tenant, below, limit, scan = args[1], args[3], args[4], tonumber(args[5]), tonumber(args[6])
  local wanted = {status = args[7], workflow = args[8], parent = args[9], root = args[10]}
  local list = list_of(prefix, tenant, wanted)
  local answer = {''}
  local seen = call('ZREVRANGEBYSCORE', list, '(' .. below, '-inf', 'WITHSCORES', 'LIMIT', 0, scan)
  for i = 1, #seen, 2 do
    local found = record_of(prefix, tenant, seen[i])
    if found and fits(found, wanted) then
      answer[#answer + 1] = found
      if #answer > limit then
        return answer
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
  local names = {'last', 'status', 'workflow', 'parent', 'root', 'position', 'ended', 'number'}
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
