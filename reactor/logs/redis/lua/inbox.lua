-- Commands to open runs, from any node: they wait in the inbox of the run for the node that holds it.
--
-- The inbox is a stream; beside it stands, by the id of each command, its entry and the nodes that wait for its answer.
-- A command is taken out and answered in one step; the answer is kept for those who ask once more.

-- prefix, channels, tenant, run, id, node that asks, command, how many wait at most
-- It is asked again and again until there is an answer, so that what is told on a channel may be missed.
-- Answers {TOLD, answer} for a command that was carried out; {UNKNOWN}, {ENDED}, {FULL}: it does not wait, and never
-- will; {FREE}: it waits, and nobody holds the run; {ASKED}.
local function ask(_, args)
  local prefix, tenant, run, id, node = args[1], args[3], args[4], args[5], args[6]
  local told = call('GET', of_run(prefix, tenant, run, 'told.' .. id))
  if told then
    return {'TOLD', told}
  end
  local known = call('HMGET', of_run(prefix, tenant, run, 'run'), 'last', 'ended', 'holder')
  if not known[1] then
    return {'UNKNOWN'}
  elseif known[2] then
    return {'ENDED'}
  end
  local waiting = of_run(prefix, tenant, run, 'inbox.waiting')
  local value = call('HGET', waiting, id)
  if not value then
    if call('HLEN', waiting) >= tonumber(args[8]) then
      return {'FULL'}
    end
    value = call('XADD', of_run(prefix, tenant, run, 'inbox'), '*', 'i', id, 'c', args[7])
  end
  if not string.find(value, node, 1, true) then
    call('HSET', waiting, id, value .. ' ' .. node)
  end
  if not known[3] then
    return {'FREE'}
  end
  call('PUBLISH', args[2] .. '!inbox.' .. string.sub(known[3], 1, 16), 'asked ' .. member(tenant, run))
  return {'ASKED'}
end
register('ask', ask)

-- Takes a command out, and tells those who wait for its answer.
local function answer_command(prefix, channels, tenant, run, id, answer)
  local waiting = of_run(prefix, tenant, run, 'inbox.waiting')
  local value = call('HGET', waiting, id)
  if not value then
    return
  end
  local entry, nodes = string.match(value, '^(%S+)(.*)$')
  call('HDEL', waiting, id)
  call('XDEL', of_run(prefix, tenant, run, 'inbox'), entry)
  call('SET', of_run(prefix, tenant, run, 'told.' .. id), answer, 'EX', 600)
  for node in string.gmatch(nodes, '%S+') do
    call('PUBLISH', channels .. '!inbox.' .. node, 'told ' .. id .. ' ' .. answer)
  end
end

-- The run has ended: what still waits is not carried out, and who asked is told so.
local function forget_commands(prefix, channels, tenant, run)
  local waiting = of_run(prefix, tenant, run, 'inbox.waiting')
  local found = call('HGETALL', waiting)
  for i = 1, #found, 2 do
    for node in string.gmatch(string.match(found[i + 1], '^%S+(.*)$'), '%S+') do
      call('PUBLISH', channels .. '!inbox.' .. node, 'told ' .. found[i] .. ' ')
    end
  end
  call('UNLINK', of_run(prefix, tenant, run, 'inbox'), waiting)
end

-- prefix, channels, tenant, run, id: nobody will carry the command out; answers 0 where it does not wait any more.
local function withdraw(_, args)
  local waiting = of_run(args[1], args[3], args[4], 'inbox.waiting')
  local value = call('HGET', waiting, args[5])
  if value then
    call('XDEL', of_run(args[1], args[3], args[4], 'inbox'), string.match(value, '^%S+'))
  end
  return call('HDEL', waiting, args[5])
end
register('withdraw', withdraw, {'allow-oom'})

-- prefix, channels, tenant, run, fence, id, answer: of a command that wrote no event. Answers 0 where the run is not
-- held by this fence.
local function tell(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  if call('HGET', of_run(prefix, tenant, run, 'run'), 'fence') ~= args[5] then
    return 0
  end
  answer_command(prefix, args[2], tenant, run, args[6], args[7])
  return 1
end
register('tell', tell, {'allow-oom'})

-- prefix, channels, tenant, run, limit: the commands that wait, as id, command, ...; the oldest first
local function commands(_, args)
  local found = {}
  for _, entry in ipairs(call('XRANGE', of_run(args[1], args[3], args[4], 'inbox'), '-', '+', 'COUNT', args[5])) do
    found[#found + 1] = entry[2][2]
    found[#found + 1] = entry[2][4]
  end
  return found
end
register('commands', commands, {'no-writes'})
