-- Takes ended runs away by age and number.

local function is_open(prefix, tenant, run)
  local known = call('HMGET', of_run(prefix, tenant, run, 'run'), 'last', 'ended')
  return known[1] and not known[2]
end

-- Whether an open run is below this one, or may ask for it: its parent, which begins it again where it is gone, unless
-- the log of the parent has its end.
local function is_needed(prefix, tenant, run)
  for _, child in ipairs(call('ZRANGE', of_run(prefix, tenant, run, 'children'), 0, -1)) do
    if is_open(prefix, tenant, child) then
      return true
    end
  end
  local known = call('HMGET', of_run(prefix, tenant, run, 'run'), 'parent', 'settled')
  return known[1] and not known[2] and is_open(prefix, tenant, known[1])
end

-- prefix, channels, before in unix seconds, offset, scan, how many removed runs are remembered: deletes those of "scan"
-- runs that have ended before. Answers {how many it has deleted, how many it has left}.
local function expire_old(_, args)
  local prefix, deleted, left = args[1], 0, 0
  local seen = call('ZRANGEBYSCORE', of_log(prefix, 'ended'), '-inf', '(' .. args[3], 'LIMIT', args[4], args[5])
  for _, name in ipairs(seen) do
    local tenant, run = parts(name)
    if is_needed(prefix, tenant, run) then
      left = left + 1
    else
      delete(_, {prefix, args[2], tenant, run, args[6]})
      deleted = deleted + 1
    end
  end
  return {deleted, left}
end
register('expire_old', expire_old, {'allow-oom'})

-- prefix, channels, offset, scan: {how many it has looked at, runs at the top of a tree as "tenant:run" ...}, of those that
-- have ended, the last one first.
local function ended_roots(_, args)
  local seen = call('ZREVRANGE', of_log(args[1], 'ended'), args[3], tonumber(args[3]) + tonumber(args[4]) - 1)
  local found = {#seen}
  for _, name in ipairs(seen) do
    local tenant, run = parts(name)
    if call('HGET', of_run(args[1], tenant, run, 'run'), 'root') == run then
      found[#found + 1] = name
    end
  end
  return found
end
register('ended_roots', ended_roots, {'no-writes'})

-- prefix, channels, tenant, root, how many removed runs are remembered: deletes a tree of which all runs have ended;
-- answers how many there were.
local function delete_tree(_, args)
  local prefix, tenant, deleted = args[1], args[3], 0
  local runs = call('ZRANGE', of_run(prefix, tenant, args[4], 'tree'), 0, -1)
  for _, run in ipairs(runs) do
    if is_open(prefix, tenant, run) then
      return 0
    end
  end
  for _, run in ipairs(runs) do
    if delete(_, {prefix, args[2], tenant, run, args[5]}) == 'OK' then
      deleted = deleted + 1
    end
  end
  return deleted
end
register('delete_tree', delete_tree, {'allow-oom'})
