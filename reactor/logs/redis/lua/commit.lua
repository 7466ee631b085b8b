-- Writes windows. A window follows the last one of its run, under the fence that the run is held with.

-- Compares a window, or what of it is there already, with what is there: from first to at most at.
-- Returns the first seq that differs; nil where none does.
local function differs(events, first, until_seq, lines)
  local given, seq = {}, first
  for line in string.gmatch(lines, '[^\n]+') do
    given[seq] = line
    seq = seq + 1
  end
  local entries = call('XRANGE', events, '0-' .. text(first), '0-' .. text(until_seq))
  local beyond = call('XRANGE', events, '(0-' .. text(until_seq), '+', 'COUNT', 1)
  if beyond[1] then
    entries[#entries + 1] = beyond[1]
  end
  for _, entry in ipairs(entries) do
    local at = tonumber(entry[2][2])
    for line in string.gmatch(entry[2][6], '[^\n]+') do
      if at >= first and at <= until_seq and given[at] ~= line then
        return at
      end
      at = at + 1
    end
  end
  return nil
end

-- The sets in which a list of runs looks for one.
local function list_in(prefix, tenant, run, place, old, new)
  local score = number(place)
  if old.status ~= new.status then
    if old.status then
      call('ZREM', of_run(prefix, tenant, '', 'status.' .. old.status), run)
    end
    call('ZADD', of_run(prefix, tenant, '', 'status.' .. new.status), score, run)
  end
  if old.workflow ~= new.workflow then
    if old.workflow then
      call('ZREM', of_run(prefix, tenant, '', 'workflow.' .. old.workflow), run)
    end
    call('ZADD', of_run(prefix, tenant, '', 'workflow.' .. new.workflow), score, run)
  end
end

-- What a run is found by from its start on: its time, and digests of the members of its meta.
local function list_start(prefix, tenant, run, hash, place, changes)
  local clock = of_log(prefix, 'meta')
  local known = call('HMGET', clock, 'latest', 'late')
  local began = number(changes.began)
  local latest = math.max(number(known[1]), began)
  if changes.began then
    call('HSET', hash, 'began', changes.began)
    call('HSET', clock, 'latest', text(latest), 'late', text(math.max(number(known[2]), latest - began)))
  end
  call('HSET', hash, 'latest', text(latest))
  if changes.meta then
    call('HSET', hash, 'meta', cjson.encode(changes.meta))
    for _, digest in ipairs(changes.meta) do
      call('ZADD', of_run(prefix, tenant, '', 'meta.' .. digest), place, run)
    end
  end
end

-- The keys of the open questions of a task, without this one.
local function others(keys, key)
  local left = {}
  for _, other in ipairs(keys) do
    if other ~= key then
      left[#left + 1] = other
    end
  end
  return left
end

-- What events have changed in the open questions of a run, each as {task, key or null, whether it is open}.
local function list_questions(prefix, tenant, run, place, changes)
  local questions, asking = of_run(prefix, tenant, run, 'questions'), of_run(prefix, tenant, '', 'asking')
  for _, change in ipairs(changes) do
    local task, key, left = change[1], change[2], {}
    if key ~= cjson.null then
      left = others(cjson.decode(call('HGET', questions, task) or '[]'), key)
      if change[3] then
        left[#left + 1] = key
      end
    end
    if #left > 0 then
      call('HSET', questions, task, cjson.encode(left))
    else
      call('HDEL', questions, task)
    end
  end
  if call('EXISTS', questions) == 1 then
    call('ZADD', asking, place, run)
  else
    call('ZREM', asking, run)
  end
end

local function begin(prefix, tenant, run, hash, changes)
  local place = call('HINCRBY', of_log(prefix, 'meta'), 'runs', 1)
  local parent, root = changes.parent, run
  if parent then
    root = call('HGET', of_run(prefix, tenant, parent, 'run'), 'root') or parent
    call('ZADD', of_run(prefix, tenant, parent, 'children'), place, run)
  end
  call('HSET', hash, 'number', place, 'first', 1, 'root', root, 'epoch', changes.epoch,
    'status', 'pending', 'workflow', '', 'version', '', 'created', '')
  list_start(prefix, tenant, run, hash, place, changes)
  call('ZADD', of_run(prefix, tenant, '', 'runs'), place, run)
  call('ZADD', of_run(prefix, tenant, '', 'open'), place, run)
  call('ZADD', of_run(prefix, tenant, root, 'tree'), place, run)
  call('ZADD', of_log(prefix, 'unfinished'), place, member(tenant, run))
  if call('HEXISTS', hash, 'holder') == 0 then
    call('ZADD', of_log(prefix, 'free'), now_ms(), member(tenant, run))
  end
end

-- Nobody holds the run any more. One that has not ended is free, and all nodes are told.
local function let_go(prefix, channels, tenant, run, hash)
  local holder = call('HGET', hash, 'holder')
  if holder then
    call('SREM', of_log(prefix, 'held.' .. holder), member(tenant, run))
    call('HDEL', hash, 'holder', 'fence')
  end
  if call('ZSCORE', of_log(prefix, 'unfinished'), member(tenant, run)) then
    call('ZADD', of_log(prefix, 'free'), now_ms(), member(tenant, run))
    call('PUBLISH', channels .. '!free', member(tenant, run))
  end
end

-- What the events of a window change in the list of runs, and which commands they answer.
local function change(prefix, channels, tenant, run, hash, changes, is_new)
  local was = call('HMGET', hash, 'number', 'status', 'workflow')
  local new = {status = changes.status or was[2], workflow = changes.workflow or was[3]}
  local old = is_new and {} or {status = was[2], workflow = was[3]}
  local fields = {}
  for _, name in ipairs({'status', 'workflow', 'version', 'created', 'parent', 'ended'}) do
    if changes[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = changes[name]
    end
  end
  if #fields > 0 then
    call('HSET', hash, unpack(fields))
  end
  list_in(prefix, tenant, run, was[1], old, new)
  if changes.questions then
    list_questions(prefix, tenant, run, was[1], changes.questions)
  end
  if changes.ended then
    call('ZREM', of_log(prefix, 'unfinished'), member(tenant, run))
    call('ZADD', of_log(prefix, 'ended'), changes.ended_at, member(tenant, run))
    call('ZREM', of_log(prefix, 'free'), member(tenant, run))
    call('ZREM', of_run(prefix, tenant, '', 'open'), run)
    call('ZREM', of_run(prefix, tenant, '', 'asking'), run)
    call('UNLINK', of_run(prefix, tenant, run, 'questions'))
    let_go(prefix, channels, tenant, run, hash)
  end
  for _, done in ipairs(changes.commands or {}) do
    answer_command(prefix, channels, tenant, run, done[1], done[2])
  end
  if changes.ended then
    forget_commands(prefix, channels, tenant, run)
  end
  for _, child in ipairs(changes.settled or {}) do
    local of = of_run(prefix, tenant, child, 'run')
    if call('HGET', of, 'parent') == run then
      call('HSET', of, 'settled', 1)
    end
  end
end

-- prefix, channels, tenant, run, fence, first, last, events, changes as JSON or "", then pairs of seq and payload.
-- Answers the position; or {GAP, last}, {FENCED}, {DIFFERS, seq}, {PART, last}: nothing was written.
local function commit(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  local hash = of_run(prefix, tenant, run, 'run')
  local events = of_run(prefix, tenant, run, 'events')
  local known = call('HMGET', hash, 'last', 'fence', 'position')
  local at, first, last = number(known[1]), tonumber(args[6]), tonumber(args[7])
  local is_held = (known[2] or '') == args[5]
  if first <= at then
    local wrong = differs(events, first, math.min(last, at), args[8])
    if not wrong and last <= at then
      return number(known[3]) -- a repeat, whoever holds the run by now
    elseif is_held then
      return wrong and {'DIFFERS', text(wrong)} or {'PART', text(at)}
    end
  end
  if not is_held then
    return {'FENCED'}
  end
  if first ~= at + 1 then
    return {'GAP', text(at)}
  end
  local position = call('HINCRBY', of_log(prefix, 'meta'), 'position', 1)
  if at == 0 or args[9] ~= '' then
    local changes = args[9] ~= '' and cjson.decode(args[9]) or {}
    if at == 0 then
      changes.epoch = changes.epoch or text(position)
      begin(prefix, tenant, run, hash, changes)
    end
    change(prefix, args[2], tenant, run, hash, changes, at == 0)
  end
  call('XADD', events, '0-' .. args[7], 'f', args[6], 'p', position, 'w', args[8])
  call('XADD', of_log(prefix, 'windows'), '0-' .. text(position), 'w', member(tenant, run) .. ':' .. args[7])
  call('HSET', hash, 'last', args[7], 'position', position)
  for i = 10, #args, 2 do
    call('HSET', of_run(prefix, tenant, run, 'blobs'), args[i], args[i + 1])
  end
  local head = args[6] .. ' ' .. text(position) .. ' ' .. string.match(args[5], '^[^:]*')
  call('PUBLISH', args[2] .. ':' .. member(tenant, run), head .. '\n' .. args[8])
  return position
end
register('commit', commit)

-- prefix, channels, tenant, run, fence, epoch, last: the run has lost what it had behind this seq, and the numbers are
-- given anew. Of several losses the one that has left least counts.
local function rewind(_, args)
  local hash = of_run(args[1], args[3], args[4], 'run')
  local known = call('HMGET', hash, 'last', 'fence', 'rewound')
  if not known[1] or (known[2] or '') ~= args[5] then
    return 0
  end
  local left = math.min(tonumber(args[7]), tonumber(known[3] or args[7]))
  call('HSET', hash, 'epoch', args[6], 'rewound', text(left), 'rewound_at', text(now_ms()))
  return 1
end
register('rewind', rewind)

-- prefix, channels, tenant, run, seconds: {the seq that was left by a loss that is no longer ago, epoch}; nil: there was
-- none.
local function rewound(_, args)
  local known = call('HMGET', of_run(args[1], args[3], args[4], 'run'), 'rewound', 'rewound_at', 'epoch')
  if known[1] and tonumber(known[2]) > now_ms() - tonumber(args[5]) * 1000 then
    return {known[1], known[3]}
  end
  return false
end
register('rewound', rewound, {'no-writes'})
