-- Posts bodies read from files, one after the other, and reports what came of it as one line of JSON.
-- wrk -s wrk.lua URL -- FLAVOUR "Name: value" … -- FILE …     FLAVOUR: timed, or strict (counts every status but 200)
local threads = {}
local requests, at = {}, 0
sent, refused = -1, 0  -- wrk asks for one request that it never sends, to see whether it is one or several

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local headers, files = {}, false
  for position, argument in ipairs(arguments) do
    if position == 1 then
      -- A response function makes wrk hand every answer to Lua, which costs the generator a fifth of its speed.
      if argument == "strict" then response = count_status end
    elseif argument == "--" then
      files = true
    elseif files then
      local file = assert(io.open(argument, "rb"))
      table.insert(requests, wrk.format("POST", nil, headers, file:read("*a")))
      file:close()
    else
      local name, value = argument:match("^(.-): (.*)$")
      headers[name] = value
    end
  end
end

function request()
  at = at % #requests + 1
  sent = sent + 1
  return requests[at]
end

function count_status(status)
  if status ~= 200 then refused = refused + 1 end
end

function done(summary, latency)
  local all_sent, all_refused = 0, 0
  for _, thread in ipairs(threads) do
    all_sent = all_sent + thread:get("sent")
    all_refused = all_refused + thread:get("refused")
  end
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"sent": %d, "answered": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, '
      .. '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d, "not_200": %d}\n',
    all_sent, summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status, all_refused))
end
