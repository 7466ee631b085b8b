-- What is kept beside the events: cached outputs, checkpoints, answers, the mark of a clean stop, the key of digests.

-- prefix, channels, key, now: the output under a key, unless its time is over.
local function recall(_, args)
  local found = call('HGET', of_log(args[1], 'outputs'), args[3])
  if not found then
    return false
  end
  local line = string.find(found, '\n', 1, true)
  if tonumber(args[4]) < tonumber(string.sub(found, 1, line - 1)) then
    return string.sub(found, line + 1)
  end
  return false
end
register('recall', recall, {'no-writes'})

-- prefix, channels, key, until, value, most
local function remember(_, args)
  local prefix = args[1]
  local order = of_log(prefix, 'outputs.order')
  call('HSET', of_log(prefix, 'outputs'), args[3], args[4] .. '\n' .. args[5])
  call('ZADD', order, call('HINCRBY', of_log(prefix, 'meta'), 'outputs', 1), args[3])
  if call('ZCARD', order) > tonumber(args[6]) then
    call('HDEL', of_log(prefix, 'outputs'), call('ZPOPMIN', order)[1])
  end
  return 'OK'
end
register('remember', remember)

-- prefix, channels, tenant, run, until: the state that is kept with the highest seq up to "until".
local function checkpoint(_, args)
  local kept = of_run(args[1], args[3], args[4], 'checkpoints')
  local best
  for _, seq in ipairs(call('HKEYS', kept)) do
    local at = tonumber(seq)
    if at <= tonumber(args[5]) and (not best or at > tonumber(best)) then
      best = seq
    end
  end
  return best and call('HGET', kept, best) or false
end
register('checkpoint', checkpoint, {'no-writes'})

-- prefix, channels, tenant, run, seq, state, most
local function keep_checkpoint(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  if call('HEXISTS', of_run(prefix, tenant, run, 'run'), 'last') == 0 then
    return {'UNKNOWN'}
  end
  local kept = of_run(prefix, tenant, run, 'checkpoints')
  call('HSET', kept, args[5], args[6])
  local seqs = call('HKEYS', kept)
  table.sort(seqs, function(a, b) return tonumber(a) < tonumber(b) end)
  for i = 1, #seqs - tonumber(args[7]) do
    call('HDEL', kept, seqs[i])
  end
  return 'OK'
end
register('keep_checkpoint', keep_checkpoint)

-- prefix, channels, tenant, run, key
local function answer(_, args)
  return call('HGET', of_run(args[1], args[3], args[4], 'answers'), args[5])
end
register('answer', answer, {'no-writes'})

local function forget_answer(prefix, tenant, run, key)
  call('HDEL', of_run(prefix, tenant, run, 'answers'), key)
  call('ZREM', of_run(prefix, tenant, run, 'answers.order'), key)
  call('ZREM', of_log(prefix, 'answers.order'), tenant .. '\n' .. run .. '\n' .. key)
end

local function forget_answers(prefix, tenant, run)
  for _, key in ipairs(call('ZRANGE', of_run(prefix, tenant, run, 'answers.order'), 0, -1)) do
    forget_answer(prefix, tenant, run, key)
  end
end

-- prefix, channels, tenant, run, key, answer, most of a run, most of all. A key grows old from its first use.
local function keep_answer(_, args)
  local prefix, tenant, run, key = args[1], args[3], args[4], args[5]
  local order, all = of_run(prefix, tenant, run, 'answers.order'), of_log(prefix, 'answers.order')
  if call('HSET', of_run(prefix, tenant, run, 'answers'), key, args[6]) == 0 then
    return 'OK'
  end
  local place = call('HINCRBY', of_log(prefix, 'meta'), 'answers', 1)
  call('ZADD', order, place, key)
  call('ZADD', all, place, tenant .. '\n' .. run .. '\n' .. key)
  if run ~= '' and call('ZCARD', order) > tonumber(args[7]) then
    forget_answer(prefix, tenant, run, call('ZRANGE', order, 0, 0)[1])
  end
  if call('ZCARD', all) > tonumber(args[8]) then
    local of, id, oldest = string.match(call('ZRANGE', all, 0, 0)[1], '^([^\n]*)\n([^\n]*)\n(.*)$')
    forget_answer(prefix, of, id, oldest)
  end
  return 'OK'
end
register('keep_answer', keep_answer)

-- prefix, channels, field of meta, value: sets it where it is not set; answers what it is then.
local function set_once(_, args)
  call('HSETNX', of_log(args[1], 'meta'), args[3], args[4])
  return call('HGET', of_log(args[1], 'meta'), args[3])
end
register('set_once', set_once)

-- prefix, channels, field of meta, value: sets it; answers what it was.
local function swap(_, args)
  local was = call('HGET', of_log(args[1], 'meta'), args[3])
  call('HSET', of_log(args[1], 'meta'), args[3], args[4])
  return was
end
register('swap', swap)

-- prefix, channels, bytes: writes something and takes it away again.
local function probe(_, args)
  call('SET', of_log(args[1], 'probe'), args[3])
  call('UNLINK', of_log(args[1], 'probe'))
  return 'OK'
end
register('probe', probe)

-- prefix, channels: the position of the last window. None of this log: 0.
local function top(_, args)
  return number(call('HGET', of_log(args[1], 'meta'), 'position'))
end
register('top', top, {'no-writes'})
