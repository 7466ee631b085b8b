-- Who may execute a run: a node lives while its incarnation is renewed, and holds runs by their fences.

-- Whether the log has lost a window that it had acknowledged at this position: no window is there, or another one is.
-- One that was deleted or trimmed since is neither.
local function is_lost(prefix, position, name)
  local last = number(call('HGET', of_log(prefix, 'meta'), 'position'))
  if last < tonumber(position) or is_left_out(prefix, position) then
    return true
  end
  local entry = call('XRANGE', of_log(prefix, 'windows'), '0-' .. position, '0-' .. position)[1]
  return entry and entry[2][2] ~= name
end

-- prefix, channels, id of this server, position of the last window that a node was acknowledged, how many lives are
-- remembered: a server begins to keep the log, after a start or as a replica that takes over. It may have lost the end of
-- the log, so no position is given twice: those that follow are above all that were given before, by the time in
-- microseconds, which no log is faster than.
local function live(_, args)
  local meta, lives = of_log(args[1], 'meta'), of_log(args[1], 'lives')
  local known = call('HMGET', meta, 'server', 'position')
  if known[1] == args[3] then
    return 0
  end
  local last = number(known[2])
  local base = math.max(now_ms() * 1000, last + 1, tonumber(args[4]) + 1)
  call('HSET', meta, 'server', args[3], 'position', text(base))
  call('ZADD', lives, text(last), text(base))
  call('ZREMRANGEBYRANK', lives, 0, -1 - tonumber(args[5]))
  return 1
end
register('live', live, {'allow-oom'})

-- prefix, channels, incarnation, milliseconds, position of the last window it was acknowledged, "tenant:run:last seq" of
-- that, runs whose loss was heard of ...: {1 where the log has lost that window, {runs that others have taken ...}}. These
-- are told until it is said that they were heard of.
local function renew(_, args)
  local prefix, node = args[1], args[3]
  call('ZADD', of_log(prefix, 'nodes'), now_ms() + tonumber(args[4]), node)
  local lost = of_log(prefix, 'taken.' .. node)
  if #args > 6 then
    call('SREM', lost, unpack(args, 7))
  end
  return {args[5] ~= '0' and is_lost(prefix, args[5], args[6]) and 1 or 0, call('SRANDMEMBER', lost, 1000)}
end
register('renew', renew, {'allow-oom'})

-- prefix, channels, tenant, run, incarnation, fence, "1" where runs of nodes that are late may be taken.
-- Answers {fence by which the incarnation holds the run, 1 where it was taken from a late node}; LATE where its own lease
-- is over; nil while another holds it.
local function acquire(_, args)
  local prefix, tenant, run, node = args[1], args[3], args[4], args[5]
  local hash = of_run(prefix, tenant, run, 'run')
  if number(call('ZSCORE', of_log(prefix, 'nodes'), node)) < now_ms() then
    return 'LATE'
  end
  local known = call('HMGET', hash, 'holder', 'fence', 'crashed')
  local holder = known[1]
  if holder == node then
    return {known[2], 0}
  end
  local was_late = known[3] and 1 or 0
  if holder then
    local ends = call('ZSCORE', of_log(prefix, 'nodes'), holder)
    if ends and (args[7] ~= '1' or tonumber(ends) >= now_ms()) then
      return false
    end
    local taken = of_log(prefix, 'taken.' .. holder)
    call('SREM', of_log(prefix, 'held.' .. holder), member(tenant, run))
    call('SADD', taken, member(tenant, run))
    call('EXPIRE', taken, 86400)
    was_late = ends and 1 or was_late
  end
  call('HSET', hash, 'holder', node, 'fence', args[6])
  call('SADD', of_log(prefix, 'held.' .. node), member(tenant, run))
  call('HDEL', hash, 'crashed')
  call('ZREM', of_log(prefix, 'free'), member(tenant, run))
  return {args[6], was_late}
end
register('acquire', acquire)

-- prefix, channels, tenant, run, fence, "1" for a run that was taken from a late node and left as it was
local function release(_, args)
  local hash = of_run(args[1], args[3], args[4], 'run')
  if call('HGET', hash, 'fence') == args[5] then
    if args[6] == '1' then
      call('HSET', hash, 'crashed', 1)
    end
    let_go(args[1], args[2], args[3], args[4], hash)
    return 1
  end
  return 0
end
register('release', release, {'allow-oom'})

-- prefix, channels, incarnation, scan: lets go of so many runs; of the node itself when none is left. Answers how many
-- are left.
local function leave(_, args)
  local prefix, node = args[1], args[3]
  local held = of_log(prefix, 'held.' .. node)
  for _, name in ipairs(call('SRANDMEMBER', held, args[4])) do
    local tenant, run = parts(name)
    local hash = of_run(prefix, tenant, run, 'run')
    if call('HGET', hash, 'holder') == node then
      let_go(prefix, args[2], tenant, run, hash)
    end
    call('SREM', held, name) -- also where the run is held by another, or gone
  end
  local left = call('SCARD', held)
  if left == 0 then
    call('ZREM', of_log(prefix, 'nodes'), node)
    call('UNLINK', of_log(prefix, 'taken.' .. node))
  end
  return left
end
register('leave', leave, {'allow-oom'})

-- prefix, channels, limit: runs of nodes whose lease is over, as "tenant:run"; forgets late nodes that hold none. A run
-- that such a node was about to start never began: anybody may start it.
local function orphans(_, args)
  local prefix, limit = args[1], tonumber(args[3])
  local found = {}
  for _, node in ipairs(call('ZRANGEBYSCORE', of_log(prefix, 'nodes'), '-inf', '(' .. text(now_ms()))) do
    local held = of_log(prefix, 'held.' .. node)
    if call('SCARD', held) == 0 then
      call('ZREM', of_log(prefix, 'nodes'), node)
    end
    for _, name in ipairs(call('SRANDMEMBER', held, limit - #found)) do
      local tenant, run = parts(name)
      local hash = of_run(prefix, tenant, run, 'run')
      if call('HEXISTS', hash, 'last') == 1 then
        found[#found + 1] = name
      else
        if call('HGET', hash, 'holder') == node then
          let_go(prefix, args[2], tenant, run, hash)
        end
        call('SREM', held, name)
      end
    end
    if #found >= limit then
      break
    end
  end
  return found
end
register('orphans', orphans, {'allow-oom'})

-- prefix, channels, skip, limit: runs that nobody holds, as "tenant:run", those first that are free for the longest
local function free(_, args)
  local skip = tonumber(args[3])
  return call('ZRANGE', of_log(args[1], 'free'), skip, skip + tonumber(args[4]) - 1)
end
register('free', free, {'no-writes'})

-- prefix, channels, incarnation: whether the engine before has left the mark of a clean stop, "clean" or "open"; takes
-- it away. While other nodes live nobody can tell which engine was before: then it is "clean".
local function take_stop(_, args)
  local meta, now = of_log(args[1], 'meta'), now_ms()
  local was = call('HGET', meta, 'stop')
  call('HSET', meta, 'stop', 'open')
  if was ~= 'open' then
    return was
  end
  for _, node in ipairs(call('ZRANGEBYSCORE', of_log(args[1], 'nodes'), text(now), '+inf')) do
    if node ~= args[3] then
      return 'clean'
    end
  end
  return was
end
register('take_stop', take_stop)

-- prefix, channels: the nodes there are, as {incarnation, milliseconds left, how many runs it holds}, ...
local function nodes(_, args)
  local found, now = {}, now_ms()
  local known = call('ZRANGE', of_log(args[1], 'nodes'), 0, -1, 'WITHSCORES')
  for i = 1, #known, 2 do
    local held = call('SCARD', of_log(args[1], 'held.' .. known[i]))
    found[#found + 1] = {known[i], tonumber(known[i + 1]) - now, held}
  end
  return found
end
register('nodes', nodes, {'no-writes'})
