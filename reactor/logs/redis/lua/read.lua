-- Reads one run. None of these writes.

-- prefix, channels, tenant, run, after, limit, bytes: the windows with events behind a seq, as first, events, first,
-- events, ...; so many that they hold limit events or bytes. Nil: there is no such run.
local function read(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  if call('HEXISTS', of_run(prefix, tenant, run, 'run'), 'last') == 0 then
    return false
  end
  local events = of_run(prefix, tenant, run, 'events')
  local after, limit, room = args[5], tonumber(args[6]), tonumber(args[7])
  local found, count, at = {}, 1, '(0-' .. after
  while limit > 0 and room > 0 do
    local entries = call('XRANGE', events, at, '+', 'COUNT', count)
    for _, entry in ipairs(entries) do
      local first, joined = tonumber(entry[2][2]), entry[2][6]
      local last = tonumber(string.sub(entry[1], 3))
      found[#found + 1] = entry[2][2]
      found[#found + 1] = joined
      limit = limit - (last - math.max(first, tonumber(after) + 1) + 1)
      room = room - #joined
      at = '(' .. entry[1]
      if limit <= 0 or room <= 0 then
        return found
      end
    end
    if #entries < count then
      return found
    end
    count = math.min(count * 2, 64)
  end
  return found
end
register('read', read, {'no-writes'})

-- prefix, channels, tenant, run, name of a field: {whether there is such a run, its value}.
local function field(_, args)
  local hash = of_run(args[1], args[3], args[4], 'run')
  return {call('HEXISTS', hash, 'last'), call('HGET', hash, args[5])}
end
register('field', field, {'no-writes'})

-- prefix, channels, tenant, run, seq: {whether there is such a run, the payload beside the event}.
local function blob(_, args)
  local prefix, tenant, run = args[1], args[3], args[4]
  return {
    call('HEXISTS', of_run(prefix, tenant, run, 'run'), 'last'),
    call('HGET', of_run(prefix, tenant, run, 'blobs'), args[5]),
  }
end
register('blob', blob, {'no-writes'})
