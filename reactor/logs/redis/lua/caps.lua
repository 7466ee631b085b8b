-- Caps: what is held until it is given back is counted by node, what is timed by parts of its time.

do
  local WEEK = 604800
  local PARTS = 16

  -- No two pairs have the same, and whatever signs they have, it is no key of a run.
  local function key_of(prefix, kind, cap, who)
    return of_log(prefix, 'caps.' .. kind .. '.' .. redis.sha1hex(#cap .. '.' .. cap .. who))
  end

  -- prefix, channels, cap, who, node, most, count: 1 where it is counted. What nodes held that are gone is forgotten.
  local function cap_hold(_, args)
    local prefix, node, count = args[1], args[5], tonumber(args[7])
    local key, now, total = key_of(prefix, 'held', args[3], args[4]), now_ms(), 0
    local held = call('HGETALL', key)
    for i = 1, #held, 2 do
      if held[i] == node or lives(prefix, held[i], now) then
        total = total + tonumber(held[i + 1])
      else
        call('HDEL', key, held[i])
      end
    end
    if total + count > tonumber(args[6]) then
      return 0
    end
    call('HINCRBY', key, node, count)
    call('EXPIRE', key, WEEK)
    return 1
  end
  register('cap_hold', cap_hold, {'allow-oom'})

  local function take_off(key, field, count)
    local there = number(call('HGET', key, field))
    if there > count then
      call('HINCRBY', key, field, -count)
      return 0
    end
    call('HDEL', key, field)
    return count - there
  end

  -- prefix, channels, cap, who, node, count: counts so much less: of what is timed the newest, of what is held first
  -- what this node holds.
  local function cap_back(_, args)
    local prefix, left = args[1], tonumber(args[6])
    local timed = key_of(prefix, 'timed', args[3], args[4])
    local parts_there = call('HKEYS', timed)
    if #parts_there > 0 then
      table.sort(parts_there, function(a, b) return tonumber(a) > tonumber(b) end)
      for _, part in ipairs(parts_there) do
        left = left > 0 and take_off(timed, part, left) or 0
      end
      return 'OK'
    end
    local held = key_of(prefix, 'held', args[3], args[4])
    left = take_off(held, args[5], left)
    for _, node in ipairs(call('HKEYS', held)) do
      left = left > 0 and take_off(held, node, left) or 0
    end
    return 'OK'
  end
  register('cap_back', cap_back, {'allow-oom'})

  -- prefix, channels, cap, who, node, count: what this node holds, whatever was counted before
  local function cap_set(_, args)
    local key = key_of(args[1], 'held', args[3], args[4])
    if args[6] == '0' then
      call('HDEL', key, args[5])
    else
      call('HSET', key, args[5], args[6])
      call('EXPIRE', key, WEEK)
    end
    return 'OK'
  end
  register('cap_set', cap_set, {'allow-oom'})

  -- prefix, channels, cap, who, most, count, milliseconds: 1 where it is counted, for so long
  local function cap_take(_, args)
    local key, count, length = key_of(args[1], 'timed', args[3], args[4]), tonumber(args[6]), tonumber(args[7])
    local part, total = math.floor(now_ms() * PARTS / length), 0
    local taken = call('HGETALL', key)
    for i = 1, #taken, 2 do
      if tonumber(taken[i]) < part - PARTS then
        call('HDEL', key, taken[i])
      else
        total = total + tonumber(taken[i + 1])
      end
    end
    if total + count > tonumber(args[5]) then
      return 0
    end
    call('HINCRBY', key, text(part), count)
    call('PEXPIRE', key, text(math.ceil(length * (PARTS + 1) / PARTS)))
    return 1
  end
  register('cap_take', cap_take, {'allow-oom'})
end
