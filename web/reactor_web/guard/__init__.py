"""Who may ask, and how much. Files stand in the order in which a request meets them.

hosts        refuses names that are not ours, and what a web page of another site could have sent
cors         which pages of other sites may ask, and what their browser is told
private      what is shown to one principal is for nobody else
addresses    where a request comes from, also behind trusted proxies
access       what each route needs, and the middleware that sees to it before a handler runs
guard        ``Guard``: finds out who asks
principal    who asks, and what they may
keys         API keys: their form, and who has one
new_keys     what was asked for a key that is to be made, and how keys are shown
key_file     ``KeyFile``: keys in a file that is read again when it changes
key_records  keys as JSON, checked member by member
tokens/      JWTs of another service
tickets      what opens one stream where no header can be sent
redeeming    a ticket in the query of a stream
admission    ``Admission``: one request that was let in, and the stream that it opens
shared       what the processes of a cluster share of it: keys in the log, and whose streams end
watch        ends streams whose credential has ended
caps         how much somebody may ask for; what was taken of caps is given back
counting     ``MemoryCaps``: counts what is capped
limited      the answer of a cap, also to an EventSource, which sees no status
visible      what a principal may name, and what is shown to it
seen         ``Seen``: an engine as one principal sees it
schedules    ``SeenSchedules``: the schedules, seen so
repeated     the ``Idempotency-Key``s of each tenant
looking      pages of runs for somebody who sees only some
cursors      where a page of runs ends, told without the id of a run that is hidden
background   what is done after a request is over
"""
