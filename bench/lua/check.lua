-- Sends a token from a file in each request, drawn at random, and prints one line of JSON.
--   wrk ... -s check.lua URL -- TOKENS HEADER PREFIX SEED
-- Every request is made before the clock starts: while it runs, a draw and a table look-up are
-- all that this adds to wrk's own work, for whatever is measured.

local threads = {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

function init(args)
   local tokens, header, prefix, seed = args[1], args[2], args[3], tonumber(args[4])
   requests = {}
   for token in io.lines(tokens) do
      requests[#requests + 1] = wrk.format("GET", nil, { [header] = prefix .. token })
   end
   count = #requests
   math.randomseed(seed * 1000 + number)
   -- Process time, so the last thread's counts: the others are ready before it.
   ready = os.clock()
end

function request()
   return requests[math.random(count)]
end

function done(summary, latency, requests)
   local errors = summary.errors
   local busy = os.clock() - threads[#threads]:get("ready")
   io.write(string.format(
      '{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"p999":%d,"bad_status":%d,'
         .. '"broken":%d,"timeouts":%d,"busy":%.6f,"threads":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      latency:percentile(99.9), errors.status, errors.connect + errors.read + errors.write,
      errors.timeout, busy, #threads))
end
