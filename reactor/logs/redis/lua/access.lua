-- Who may ask: keys, tickets, and whose streams end.

local function lives(prefix, node, now)
  local ends = call('ZSCORE', of_log(prefix, 'nodes'), node)
  return ends and tonumber(ends) >= now
end

do
  -- prefix, channels, id, nonce, record, most: "OK", "THERE" or "FULL". A repeat has the nonce that stands there.
  local function key_add(_, args)
    local prefix, id, nonce = args[1], args[3], args[4]
    local keys = of_log(prefix, 'keys')
    local known = call('HGET', keys, id)
    if known then
      return string.sub(known, 1, #nonce) == nonce and 'OK' or 'THERE'
    end
    if call('HLEN', keys) >= tonumber(args[6]) then
      return 'FULL'
    end
    call('HSET', keys, id, nonce .. args[5])
    call('ZADD', of_log(prefix, 'keys.order'), call('HINCRBY', of_log(prefix, 'meta'), 'keys', 1), id)
    return 'OK'
  end
  register('key_add', key_add)

  -- prefix, channels, id: {record, 1 where it is revoked}
  local function key_find(_, args)
    local found = call('HGET', of_log(args[1], 'keys'), args[3])
    return found and {found, call('SISMEMBER', of_log(args[1], 'keys.revoked'), args[3])} or false
  end
  register('key_find', key_find, {'no-writes'})

  -- prefix, channels, id: 1 where there is such a key
  local function key_revoke(_, args)
    if call('HEXISTS', of_log(args[1], 'keys'), args[3]) == 0 then
      return 0
    end
    call('SADD', of_log(args[1], 'keys.revoked'), args[3])
    return 1
  end
  register('key_revoke', key_revoke, {'allow-oom'})

  -- prefix, channels, place, most: {record, 1 where it is revoked}, ... in their order, from that place on
  local function key_page(_, args)
    local prefix, from, found = args[1], tonumber(args[3]), {}
    for _, id in ipairs(call('ZRANGE', of_log(prefix, 'keys.order'), from, from + tonumber(args[4]) - 1)) do
      local record = call('HGET', of_log(prefix, 'keys'), id)
      found[#found + 1] = {record, call('SISMEMBER', of_log(prefix, 'keys.revoked'), id)}
    end
    return found
  end
  register('key_page', key_page, {'no-writes'})
end

do
  -- A ticket is a hash; two sorted sets, of all and of its principal (a digest), say when each opens nothing any more.
  local function forget(prefix, digest)
    local ticket = of_log(prefix, 'ticket.' .. digest)
    local principal = call('HGET', ticket, 'principal')
    call('UNLINK', ticket)
    call('ZREM', of_log(prefix, 'tickets'), digest)
    if principal then
      call('ZREM', of_log(prefix, 'tickets.' .. principal), digest)
    end
  end

  -- prefix, channels, digest, nonce, record, principal, redeem until, expires, now, most, most of one:
  -- "OK", "THERE", "FULL" or "FULL OF ONE". Each forgets some of those that are over: more than it makes.
  local function ticket_issue(_, args)
    local prefix, digest, principal, now = args[1], args[3], args[6], args[9]
    local all, own = of_log(prefix, 'tickets'), of_log(prefix, 'tickets.' .. principal)
    for _, over in ipairs(call('ZRANGEBYSCORE', all, '-inf', now, 'LIMIT', 0, 100)) do
      forget(prefix, over)
    end
    local ticket = of_log(prefix, 'ticket.' .. digest)
    local nonce = call('HGET', ticket, 'nonce')
    if nonce then
      return nonce == args[4] and 'OK' or 'THERE'
    end
    if call('ZCARD', all) >= tonumber(args[10]) then
      return 'FULL'
    end
    if call('ZCARD', own) >= tonumber(args[11]) then
      return 'FULL OF ONE'
    end
    local till = tonumber(args[7]) < tonumber(args[8]) and args[7] or args[8]
    call('HSET', ticket, 'nonce', args[4], 'record', args[5], 'principal', principal, 'till', till, 'expires', args[8])
    call('ZADD', all, till, digest)
    call('ZADD', own, till, digest)
    return 'OK'
  end
  register('ticket_issue', ticket_issue)

  -- prefix, channels, digest, stream, node, now, "1" with a cursor: the record, where the stream has the ticket now
  local function ticket_redeem(_, args)
    local prefix, digest, stream, node = args[1], args[3], args[4], args[5]
    local ticket = of_log(prefix, 'ticket.' .. digest)
    local t = call('HMGET', ticket, 'record', 'till', 'expires', 'principal', 'cursor', 'holder', 'node')
    if not t[1] then
      return false
    end
    if t[6] == stream and t[7] == node then
      return t[1]
    end
    if tonumber(args[6]) >= tonumber(t[2]) or (t[6] and lives(prefix, t[7], now_ms())) then
      return false
    end
    if t[5] and args[7] ~= '1' then
      return false
    end
    call('HSET', ticket, 'holder', stream, 'node', node, 'till', t[3])
    call('ZADD', of_log(prefix, 'tickets'), t[3], digest)
    call('ZADD', of_log(prefix, 'tickets.' .. t[4]), t[3], digest)
    return t[1]
  end
  register('ticket_redeem', ticket_redeem, {'allow-oom'})

  -- prefix, channels, digest: the stream that holds it, on a node that lives
  local function ticket_holder(_, args)
    local t = call('HMGET', of_log(args[1], 'ticket.' .. args[3]), 'holder', 'node')
    return t[1] and lives(args[1], t[2], now_ms()) and t[1] or false
  end
  register('ticket_holder', ticket_holder, {'no-writes'})

  -- prefix, channels, digest, stream, "1" where its client was told a cursor
  local function ticket_back(_, args)
    local ticket = of_log(args[1], 'ticket.' .. args[3])
    if call('HGET', ticket, 'holder') == args[4] then
      call('HDEL', ticket, 'holder', 'node')
      if args[5] == '1' then
        call('HSET', ticket, 'cursor', 1)
      end
    end
    return 'OK'
  end
  register('ticket_back', ticket_back, {'allow-oom'})

  -- prefix, channels, digest, stream, node: the stream is still open, on a node of another name
  local function ticket_keep(_, args)
    local ticket = of_log(args[1], 'ticket.' .. args[3])
    if call('HGET', ticket, 'holder') == args[4] then
      call('HSET', ticket, 'node', args[5])
    end
    return 'OK'
  end
  register('ticket_keep', ticket_keep, {'allow-oom'})

  -- prefix, channels, principal, most: forgets so many of its tickets; answers how many are left
  local function ticket_forget(_, args)
    local own = of_log(args[1], 'tickets.' .. args[3])
    for _, digest in ipairs(call('ZRANGE', own, 0, tonumber(args[4]) - 1)) do
      forget(args[1], digest)
    end
    return call('ZCARD', own)
  end
  register('ticket_forget', ticket_forget, {'allow-oom'})
end

do
  -- prefix, channels, principal, most: the streams of a principal end, on every node.
  local function revoke(_, args)
    return call('XADD', of_log(args[1], 'revoked'), 'MAXLEN', '~', args[4], '*', 'p', args[3])
  end
  register('revoke', revoke, {'allow-oom'})

  -- prefix, channels, mark, most: {the mark of now, principals that were revoked since}. An empty mark: since now.
  local function revoked(_, args)
    local stream, mark, found = of_log(args[1], 'revoked'), args[3], {}
    if mark == '' then
      local last = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
      return {last and last[1] or '0-0', found}
    end
    for _, entry in ipairs(call('XRANGE', stream, '(' .. mark, '+', 'COUNT', args[4])) do
      mark = entry[1]
      found[#found + 1] = entry[2][2]
    end
    return {mark, found}
  end
  register('revoked', revoked, {'no-writes'})
end
