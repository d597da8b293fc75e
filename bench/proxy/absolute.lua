-- wrk speaks to a proxy when the path is the whole address. Usage: wrk … PROXY -- TARGET
function init(args)
  wrk.path = args[1]
end
