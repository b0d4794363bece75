-- Sends a random token from a file in each request, and prints one line of JSON at the end.
--   wrk ... -s check.lua URL -- TOKENS HEADER PREFIX SEED
-- All requests are formatted before the clock starts. While it runs, this script adds only a random
-- number and a table look-up to wrk's own work.

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
   -- CPU time of the process when this thread is ready; the last thread's value is used.
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
