-- Slots that several nodes share. A ticket is "incarnation:number": it holds a slot, or waits for one.

local function is_alive(prefix, ticket, now)
  local ends = call('ZSCORE', of_log(prefix, 'nodes'), (parts(ticket)))
  return ends and tonumber(ends) >= now
end

-- Takes slots away from nodes whose lease is over, and gives what is free to those who wait, in their order. Each is told
-- on the channel of its node.
local function serve(prefix, channels, name, most)
  local held, queue = of_log(prefix, 'slots.' .. name), of_log(prefix, 'queue.slots.' .. name)
  local now = now_ms()
  if call('SCARD', held) >= most then
    for _, ticket in ipairs(call('SMEMBERS', held)) do
      if not is_alive(prefix, ticket, now) then
        call('SREM', held, ticket)
      end
    end
  end
  while call('SCARD', held) < most do
    local ticket = call('ZPOPMIN', queue)[1]
    if not ticket then
      return
    end
    if is_alive(prefix, ticket, now) then
      call('SADD', held, ticket)
      call('PUBLISH', channels .. '!' .. parts(ticket), 'slot ' .. ticket)
    end
  end
end

-- prefix, channels, ticket, name, most: 0 where it holds a slot now; else it waits, and is told.
local function slot_take(_, args)
  local prefix, ticket, name = args[1], args[3], args[4]
  local held, queue = of_log(prefix, 'slots.' .. name), of_log(prefix, 'queue.slots.' .. name)
  if call('SISMEMBER', held, ticket) == 1 then
    return 0
  end
  if not call('ZSCORE', queue, ticket) then
    call('ZADD', queue, call('HINCRBY', of_log(prefix, 'meta'), 'tickets', 1), ticket)
  end
  serve(prefix, args[2], name, tonumber(args[5]))
  return 1 - call('SISMEMBER', held, ticket)
end
register('slot_take', slot_take)

-- prefix, channels, ticket, name, most: it holds no slot any more, and waits for none.
local function slot_give(_, args)
  local prefix, ticket, name = args[1], args[3], args[4]
  call('SREM', of_log(prefix, 'slots.' .. name), ticket)
  call('ZREM', of_log(prefix, 'queue.slots.' .. name), ticket)
  serve(prefix, args[2], name, tonumber(args[5]))
  return 'OK'
end
register('slot_give', slot_give, {'allow-oom'})
