-- Schedules: one hash, "tenant/name" -> the schedule as JSON. The same schedule is the same bytes.

-- prefix, channels
local function schedules(_, args)
  return call('HVALS', of_log(args[1], 'schedules'))
end
register('schedules', schedules, {'no-writes'})

-- prefix, channels, field, before, after: stores "after" where "before" is what is stored; empty: none.
local function replace_schedule(_, args)
  local key, field, before, after = of_log(args[1], 'schedules'), args[3], args[4], args[5]
  if (call('HGET', key, field) or '') ~= before then
    return 0
  end
  if after == '' then
    call('HDEL', key, field)
  else
    call('HSET', key, field, after)
  end
  return 1
end
register('replace_schedule', replace_schedule)
