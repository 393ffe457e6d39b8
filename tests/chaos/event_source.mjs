// Uses an EventSource as any client would: it prints each event of the job and leaves reconnecting to the package.
// Usage: node event_source.mjs <path of the eventsource package> <url> <authorization>
const [, , path, url, authorization] = process.argv
const { EventSource } = await import(path)

const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: authorization } }),
})
for (const name of ['started', 'delta', 'tool', 'suggestion', 'complete', 'error', 'cancelled']) {
  source.addEventListener(name, (event) => {
    if (event.data !== undefined) console.log(JSON.stringify({ id: event.lastEventId, name, data: JSON.parse(event.data) }))
  })
}
// The package does not keep a process alive while it waits to come back.
const alive = setInterval(() => {}, 1000)
source.addEventListener('open', () => console.log(JSON.stringify({ open: true })))
source.addEventListener('error', () => {
  // 204 once all was seen: it stops by itself, and the process with it.
  if (source.readyState !== EventSource.CLOSED) return
  console.log(JSON.stringify({ closed: true }))
  clearInterval(alive)
})
